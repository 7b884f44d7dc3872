"""Queues in front of a noisy device: Pollaczek and Khinchine with the noise's second moment, and Lindley."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t as student_t
from test_queueing import OUTPUT_SHARE, OUTPUTS_TOK, PROMPT_SHARE, PROMPTS_TOK, one_queue, service_s
from worlds import Floats, model, play, profile

from discosim.core.device_law import Residual, Stalls
from discosim.core.empirical import CorrelatedSeries, QuantileTable
from discosim.core.request import RequestTable
from discosim.core.rng import RandomStreams
from discosim.policies.device_only import DeviceOnly
from discosim.world.device_profile import DeviceProfile
from discosim.world.noise import Noises

PREFILL = QuantileTable((0.0, 0.5, 0.9, 1.0), (0.6, 1.0, 1.6, 5.0))
DECODE = QuantileTable((0.0, 1.0), (0.7, 1.5))
STALL_S = QuantileTable((0.0, 0.8, 1.0), (1.0, 3.0, 20.0))
STALL_SHARE = 0.05


def noisy(rho: float) -> DeviceProfile:
    return profile(
        prefill_intercept_s=0.1,
        residual=Residual(
            prefill=CorrelatedSeries(PREFILL, rho),
            decode=CorrelatedSeries(DECODE, rho),
            stalls=Stalls(share=STALL_SHARE, duration=STALL_S),
        ),
    )


def moments(table: QuantileTable) -> tuple[float, float]:
    """Return mean and mean square of a law whose quantile function is made of straight lines."""
    width, low, high = np.diff(table.levels), np.array(table.values[:-1]), np.array(table.values[1:])
    return float((width * (low + high) / 2).sum()), float((width * (low**2 + low * high + high**2) / 3).sum())


def service_moments_s() -> tuple[float, float]:
    """Return mean and mean square of the time that a request keeps the device."""
    prefill_s = 0.1 + 0.01 * PROMPTS_TOK[:, None]
    decode_s = (OUTPUTS_TOK[None, :] - 1) / 15.0
    share = PROMPT_SHARE[:, None] * OUTPUT_SHARE[None, :]
    (p1, p2), (d1, d2) = moments(PREFILL), moments(DECODE)
    s1, s2 = (STALL_SHARE * moment for moment in moments(STALL_S))
    mean = s1 + p1 * prefill_s + d1 * decode_s
    # the three are independent
    variance = (s2 - s1**2) + (p2 - p1**2) * prefill_s**2 + (d2 - d1**2) * decode_s**2
    return float((share * mean).sum()), float((share * (mean**2 + variance)).sum())


def waits_s(table: RequestTable, device: DeviceProfile, seed: int) -> Floats:
    """Return the simulated time between arrival and the begin of the work, the true draws taken out."""
    played = play(DeviceOnly(), model(device=device), table, seed=seed)
    waits: Floats = played.ttft_s - played.world.draws.device_ttft_s
    return waits


@pytest.mark.parametrize(
    ("load", "n_runs", "n"),
    [(0.5, 16, 900), *(pytest.param(load, 24, 1800, marks=pytest.mark.long) for load in (0.3, 0.6))],
)
def test_a_noisy_device_is_an_m_g_1_queue_with_the_second_moment_of_its_noise(load: float, n_runs: int, n: int) -> None:
    mean, second = service_moments_s()
    rate = load / mean
    expected_s = rate * second / (2 * (1 - load))  # Pollaczek and Khinchine

    warm_up = n // 6
    means = [waits_s(one_queue(n, rate, seed), noisy(0.0), seed)[warm_up:].mean() for seed in range(n_runs)]
    standard_error = np.std(means, ddof=1) / np.sqrt(n_runs)
    # False alarms: 1 in 1000 by Student's t over independent runs. The bias left by starting empty is below a
    # tenth of the standard error at these loads, because 150 requests are many busy periods.
    tolerance_s = student_t.ppf(1 - 0.0005, n_runs - 1) * standard_error
    assert abs(np.mean(means) - expected_s) < tolerance_s
    plain = service_s(noisy(0.0), PROMPTS_TOK[:, None], OUTPUTS_TOK[None, :])
    share = PROMPT_SHARE[:, None] * OUTPUT_SHARE[None, :]
    without_s = load * (share * plain**2).sum() / (share * plain).sum() / (2 * (1 - load))
    assert abs(np.mean(means) - without_s) > tolerance_s, "the line's moments alone are refused"
    assert standard_error < 0.07 * expected_s, "the interval is too wide to notice anything"


def test_a_noisy_device_follows_lindleys_recursion_request_by_request() -> None:
    device = noisy(0.7)  # with memory, which the formula above leaves out
    table = one_queue(1500, 0.1, seed=5)
    assert device.residual is not None
    prefill, decode, stall_s = Noises(device.residual, 0, table.user_id, RandomStreams(5, 0)).draws(0)
    each = stall_s + prefill * (0.1 + 0.01 * table.prompt_tok) + decode * (table.output_tok - 1) / 15.0
    expected, wait = [0.0], 0.0
    for i in range(1, len(table)):
        wait = max(0.0, wait + each[i - 1] - (table.arrival_s[i] - table.arrival_s[i - 1]))
        expected.append(wait)
    assert np.count_nonzero(expected) > 300
    np.testing.assert_allclose(waits_s(table, device, 5), expected, rtol=0, atol=1e-7)
