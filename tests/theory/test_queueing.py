"""Queueing and order statistics: what must come out is known in closed form."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import t as student_t
from worlds import SKEWED_S, Floats, law, long, model, play, profile, requests, server

from discosim.core.empirical import QuantileTable
from discosim.core.request import RequestTable
from discosim.policies.device_only import DeviceOnly
from discosim.policies.race import Race
from discosim.policies.server_only import ServerOnly
from discosim.world.device_profile import DeviceProfile

PROMPTS_TOK = np.array([20, 60, 300])
PROMPT_SHARE = np.array([0.5, 0.3, 0.2])
OUTPUTS_TOK = np.array([1, 30, 120])
OUTPUT_SHARE = np.array([0.2, 0.5, 0.3])


def one_queue(n: int, rate_per_s: float, seed: int) -> RequestTable:
    """Return Poisson arrivals at one device, with independent lengths of known moments."""
    rng = np.random.default_rng(seed)
    table = requests(
        n,
        seed=seed,
        gap_s=1.0 / rate_per_s,
        prompt_tok=rng.choice(PROMPTS_TOK, n, p=PROMPT_SHARE),
        output_tok=rng.choice(OUTPUTS_TOK, n, p=OUTPUT_SHARE),
    )
    return replace(table, user_id=np.zeros(n, dtype=np.int64))


def service_s(device: DeviceProfile, prompt_tok: Floats, output_tok: Floats) -> Floats:
    """Return how long a request keeps the device."""
    return (
        device.prefill_intercept_s + device.prefill_s_per_tok * prompt_tok + (output_tok - 1) / device.decode_tok_per_s
    )


def waits_s(table: RequestTable, device: DeviceProfile) -> Floats:
    """Return the simulated time between arrival and the start of the prefill."""
    played = play(DeviceOnly(), model(device=device), table)
    return played.ttft_s - device.prefill_array_s(table.prompt_tok)


@pytest.mark.parametrize("load", [long(0.3), 0.7])
def test_the_device_is_an_m_g_1_queue(load: float) -> None:
    device = profile(prefill_intercept_s=0.1)
    each = service_s(device, PROMPTS_TOK[:, None], OUTPUTS_TOK[None, :])
    share = PROMPT_SHARE[:, None] * OUTPUT_SHARE[None, :]
    mean, second = float((share * each).sum()), float((share * each**2).sum())
    rate = load / mean
    expected_s = rate * second / (2 * (1 - load))  # Pollaczek and Khinchine

    n_runs, n, warm_up = 24, 1800, 300
    means = [waits_s(one_queue(n, rate, seed), device)[warm_up:].mean() for seed in range(n_runs)]
    standard_error = np.std(means, ddof=1) / np.sqrt(n_runs)
    # False alarms: 1 in 1000 by Student's t over independent runs. The bias left by starting empty is below a
    # tenth of the standard error at these loads, because 300 requests are many busy periods.
    assert abs(np.mean(means) - expected_s) < student_t.ppf(1 - 0.0005, n_runs - 1) * standard_error
    assert standard_error < 0.05 * expected_s, "the interval is too wide to notice anything"


def test_the_device_queue_follows_lindleys_recursion_request_by_request() -> None:
    device = profile()
    table = one_queue(1500, 0.12, seed=5)
    each = service_s(device, table.prompt_tok.astype(float), table.output_tok.astype(float))
    expected, wait = [0.0], 0.0
    for i in range(1, len(table)):
        wait = max(0.0, wait + each[i - 1] - (table.arrival_s[i] - table.arrival_s[i - 1]))
        expected.append(wait)
    assert np.count_nonzero(expected) > 300
    np.testing.assert_allclose(waits_s(table, device), expected, rtol=0, atol=1e-8)


def test_the_race_is_the_order_statistic_of_the_two_draws() -> None:
    parts = model(service=server(ttft=law(SKEWED_S, 0.5)))
    played = play(Race(), parts, requests(3000))
    draws = played.world.draws
    np.testing.assert_allclose(played.ttft_s, np.minimum(draws.server_ttft_s, draws.device_ttft_s), rtol=0, atol=1e-9)


def test_the_mean_of_the_race_is_the_integral_of_both_survival_functions() -> None:
    n = 20_000
    device = profile()
    rng = np.random.default_rng(2)
    table = requests(n, prompt_tok=rng.choice(PROMPTS_TOK, n, p=PROMPT_SHARE), output_tok=1)
    ttft_s = play(Race(), model(device=device), table).ttft_s
    grid_s = np.linspace(0.0, 6.0, 600_001)
    device_survives = sum(p * (grid_s < device.prefill_s(k)) for k, p in zip(PROMPTS_TOK, PROMPT_SHARE, strict=True))
    expected_s = np.trapezoid(device_survives * (1.0 - SKEWED_S.cdf(grid_s)), grid_s)
    # independent draws: 3.9 standard errors, a false alarm in 10,000 seeds; the grid's own error is below 1e-5 s
    assert abs(ttft_s.mean() - expected_s) < 3.9 * ttft_s.std() / np.sqrt(n) + 1e-5


def test_server_only_has_the_law_of_the_digest() -> None:
    n = 20_000
    table = QuantileTable((0.0, 0.3, 1.0), (0.1, 0.2, 3.0))
    parts = model(service=server(ttft=law(table)))
    ttft_s = play(ServerOnly(), parts, requests(n, output_tok=1)).ttft_s
    for level in (0.05, 0.3, 0.5, 0.9, 0.99):
        # share of a binomial sample: 3.9 standard errors, a false alarm in 10,000 seeds
        share = np.mean(ttft_s <= float(table.ppf(level)) + 1e-9)
        assert abs(share - level) < 3.9 * np.sqrt(level * (1 - level) / n)
