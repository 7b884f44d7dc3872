"""A replayed service with a capacity is a queue with several servers: Erlang's formula, and a plain loop."""

from __future__ import annotations

import heapq
import math

import numpy as np
import pytest
from scipy.stats import t as student_t
from worlds import constant, gated, law, long, model, play, requests, server

from discosim.core.empirical import QuantileTable
from discosim.core.scenario import Capacity, RateLimit
from discosim.policies.server_only import ServerOnly

MEAN_S = 2.0
LEVELS = tuple(np.concatenate([np.linspace(0.0, 0.99, 400), 1.0 - np.logspace(-2.1, -7, 200), [1.0]]).tolist())
EXPONENTIAL = QuantileTable(LEVELS, tuple(-MEAN_S * math.log(max(1.0 - q, 1e-8)) for q in LEVELS))


def erlang_c(c: int, offered: float) -> float:
    """Return the share of customers who wait in M/M/c."""
    below = sum(offered**k / math.factorial(k) for k in range(c))
    full = offered**c / math.factorial(c) * c / (c - offered)
    return full / (below + full)


def test_the_table_is_an_exponential_law() -> None:
    q = np.asarray(EXPONENTIAL.values)
    second = float(np.sum(np.diff(EXPONENTIAL.levels) * (q[1:] ** 2 + q[1:] * q[:-1] + q[:-1] ** 2) / 3))
    assert EXPONENTIAL.mean() == pytest.approx(MEAN_S, rel=1e-3)
    assert second == pytest.approx(2 * MEAN_S**2, rel=1e-3)


@pytest.mark.parametrize("case", [(3, 0.7), long((1, 0.6)), long((8, 0.8))], ids=str)
def test_the_service_is_an_m_m_c_queue(case: tuple[int, float]) -> None:
    c, load = case
    rate = load * c / MEAN_S
    expected_s = erlang_c(c, load * c) / (c / MEAN_S - rate)
    parts = model(service=gated(server(ttft=law(EXPONENTIAL)), capacity=Capacity(concurrent=c)))
    n_runs, n, warm_up, waits = 12, 1200, 200, []
    for seed in range(n_runs):
        played = play(ServerOnly(), parts, requests(n, seed=seed, gap_s=1 / rate, output_tok=1), seed=seed)
        held_s = played.world.luck.series("server.ttft.0", law(EXPONENTIAL))
        waits.append(float((played.ttft_s - held_s)[warm_up:].mean()))
    standard_error = np.std(waits, ddof=1) / math.sqrt(n_runs)
    # False alarms: 1 in 1000 by Student's t over independent runs; 200 requests of warm-up are some 40 busy periods
    assert abs(np.mean(waits) - expected_s) < student_t.ppf(1 - 0.0005, n_runs - 1) * standard_error
    assert standard_error < 0.15 * expected_s, "the interval is too wide to notice anything"


@pytest.mark.parametrize("c", [1, 4])
def test_waits_follow_the_plain_loop_request_by_request(c: int) -> None:
    tpot_s = 0.05
    service = gated(server(ttft=law(), tpot=constant(tpot_s)), capacity=Capacity(concurrent=c))
    table = requests(600, gap_s=3.6 / c * 1.1)
    played = play(ServerOnly(), model(service=service), table)
    ttft_s = played.world.luck.series("server.ttft.0", law())
    held_s = ttft_s + (table.output_tok - 1) * tpot_s
    free_s, waits = [0.0] * c, []
    for at_s, hold_s in zip(table.arrival_s.tolist(), held_s.tolist(), strict=True):
        begin_s = max(at_s, heapq.heappop(free_s))
        heapq.heappush(free_s, begin_s + hold_s)
        waits.append(begin_s - at_s)
    assert np.count_nonzero(waits) > 100
    np.testing.assert_allclose(played.ttft_s - ttft_s, waits, rtol=0, atol=1e-7)


def test_tokens_a_second_are_a_queue_of_one_server_with_the_lengths_as_work() -> None:
    rate = 80.0
    service = gated(server(ttft=constant(0.5)), capacity=Capacity(tok_per_s=rate))
    table = requests(600, gap_s=1.4)
    played = play(ServerOnly(), model(service=service), table)
    wait_s, waits = 0.0, [0.0]
    for i in range(1, len(table)):  # Lindley's recursion
        work_s = table.output_tok[i - 1] / rate
        wait_s = max(0.0, wait_s + work_s - (table.arrival_s[i] - table.arrival_s[i - 1]))
        waits.append(wait_s)
    assert np.count_nonzero(waits) > 300
    np.testing.assert_allclose(played.ttft_s - 0.5, waits, rtol=0, atol=1e-7)


def test_a_bucket_of_one_is_a_queue_with_constant_work() -> None:
    rate = 0.9
    service = gated(server(ttft=constant(0.5)), rate_limit=RateLimit(requests_per_s=rate, excess="wait"))
    table = requests(600, gap_s=1.4)
    played = play(ServerOnly(), model(service=service), table)
    wait_s, waits = 0.0, [0.0]
    for gap_s in np.diff(table.arrival_s).tolist():
        wait_s = max(0.0, wait_s + 1 / rate - gap_s)
        waits.append(wait_s)
    assert np.count_nonzero(waits) > 300
    np.testing.assert_allclose(played.ttft_s - 0.5, waits, rtol=0, atol=1e-7)
