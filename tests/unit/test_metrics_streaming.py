"""Streaming metrics against exact vectors, a token-by-token oracle, and hand-worked cases."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discosim.core.errors import UserError
from discosim.core.timeline import Ragged
from discosim.metrics.capacity import capacity
from discosim.metrics.reading import read
from discosim.metrics.streaming import (
    fluid_token_rate,
    fluidity_index,
    idle_latency_s,
    share_on_time,
    slo_goodput_tok_per_s,
    smooth_benefit_tok,
    smooth_goodput_tok_per_s,
    stall_ratio,
    tds_tok_per_s,
)

# --- exact vectors: n = 100, 5 tok/s, first token due at 1 s; "fast" is one token per 0.05 s ------------------

INDEX = np.arange(100)
FAST = 1.0 + 0.05 * INDEX


def paused(first_slow_token: int, pause_s: float) -> np.ndarray:
    return FAST + pause_s * (first_slow_token - 1 <= INDEX)


VECTORS = {
    # pattern: times, fluidity, share on time, idle latency from d_i = i/r and from the ideal line, benefit, stall s
    "A on the ideal line": (1.0 + 0.2 * INDEX, 1, 1, 0.80, 0, 98.0, 0.0),
    "B on time, fast": (FAST, 1, 1, 0.80, 0, 98.0, 0.0),
    "C first token at 11 s": (FAST + 10.0, 0.6600, 0.99, 10.80, 10.00, 73.0, 0.0),
    "D one token per 0.4 s": (1.0 + 0.4 * INDEX, 0.0050, 0.01, 20.60, 19.80, 48.5, 19.8),
    "E 10 s pause before token 51": (paused(51, 10.0), 0.8839, 0.99, 3.30, 2.50, 91.8, 2.5),
    "F 10 s pause before token 6": (paused(6, 10.0), 0.6781, 0.99, 10.05, 9.25, 74.9, 9.25),
    "G 5 s pause before token 51": (paused(51, 5.0), 1, 1, 0.80, 0, 98.0, 0.0),
}


@pytest.mark.parametrize("name", VECTORS)
def test_exact_vectors(name):
    times, fluidity, share, idle, behind, benefit, stall_s = VECTORS[name]
    one = Ragged.of([times])
    assert fluidity_index(one, 1.0, 0.2)[0] == pytest.approx(fluidity, abs=5.1e-5)
    assert share_on_time(one, 1.0, 0.2)[0] == pytest.approx(share)
    assert idle_latency_s(one, 0.2)[0] == pytest.approx(idle)
    assert idle_latency_s(one, 0.2, 1.0)[0] == pytest.approx(behind, abs=1e-9)
    assert smooth_benefit_tok(one, 0.2)[0] == pytest.approx(benefit, abs=0.051)  # the published value is rounded
    assert smooth_benefit_tok(one, 0.2, penalty="tokens")[0] == pytest.approx(100 - 2.5 * idle / 0.2)
    reading = read(one, np.array([0.2]), np.array([1.0]))
    assert stall_ratio(reading)[0] == pytest.approx(stall_s / (stall_s + 99 * 0.2), abs=1e-9)


def test_all_rows_at_once_are_each_alone():
    rows = [v[0] for v in VECTORS.values()]
    together = Ragged.of(rows)
    alone = np.array([fluidity_index(Ragged.of([row]), 1.0, 0.2)[0] for row in rows])
    np.testing.assert_array_equal(fluidity_index(together, 1.0, 0.2), alone)
    assert smooth_goodput_tok_per_s(together, 0.2, 10.0) == pytest.approx(smooth_benefit_tok(together, 0.2).sum() / 10)


# --- token by token -------------------------------------------------------------------------------------------


def etalon(times, first_s, pace_s):
    """The loop of Etalon's documentation."""
    slack, before, met, missed, on_time = 0.0, 0.0, 0, 0, 0
    for i, t in enumerate(times):
        allowed = first_s if i == 0 else pace_s
        gap, before = t - before, t
        if gap <= slack + allowed + 1e-9:
            slack += allowed - gap
            met += 1
            on_time += 1
        else:
            missed += int((gap - slack - allowed + 1e-9) // pace_s) + 1
            slack = 0.0
    return met / (met + missed), on_time / len(times)


@settings(max_examples=80)
@given(
    st.lists(st.lists(st.floats(0, 3), min_size=1, max_size=40), min_size=1, max_size=6),
    st.floats(0, 2),
    st.floats(0.01, 0.7),
)
def test_the_running_minimum_equals_the_loop(gaps, first_s, pace_s):
    rows = [np.cumsum(g) for g in gaps]
    batch = Ragged.of(rows)
    truth = [etalon(row.tolist(), first_s, pace_s) for row in rows]
    on_edge = any(  # a lateness that is a whole number of deadlines may fall on either side by rounding
        abs((late := row - first_s - pace_s * np.arange(row.size)) / pace_s - np.round(late / pace_s)).min() < 1e-6
        for row in rows
    )
    if not on_edge:
        np.testing.assert_allclose(fluidity_index(batch, first_s, pace_s), [t[0] for t in truth], rtol=1e-9)
    np.testing.assert_allclose(share_on_time(batch, first_s, pace_s), [t[1] for t in truth], atol=1e-9)


# --- by hand --------------------------------------------------------------------------------------------------


def test_the_fluid_token_rate_of_even_streams_is_the_slow_ones_rate():
    rows = [1.0 + np.arange(500) / rate for rate in (10.0, 20.0, 40.0)]
    assert fluid_token_rate(Ragged.of(rows), 1.0) == pytest.approx(10.0, rel=1e-5)
    assert fluid_token_rate(Ragged.of(rows), 1.0, share=0.6) == pytest.approx(20.0, rel=1e-5)
    assert fluid_token_rate(Ragged.of(rows), 1.0, share=0.3) == pytest.approx(40.0, rel=1e-5)
    assert fluid_token_rate(Ragged.of([np.array([5.0])]), 1.0) == pytest.approx(0.0)


def test_goodput_counts_whole_answers_or_fractions():
    batch = Ragged.of([np.array([0.1, 0.2]), np.array([0.1, 0.9])])
    assert slo_goodput_tok_per_s(batch, 0.2, 2.0) == 1.0
    assert smooth_goodput_tok_per_s(batch, 0.2, 2.0, alpha=2.0) == pytest.approx((4 - 2 * 0.5) / 2.0)


def test_the_speed_of_an_answer_ignores_its_first_token():
    batch = Ragged.of([np.array([5.0, 5.5, 6.0]), np.array([1.0]), np.array([1.0, 1.0])])
    np.testing.assert_array_equal(tds_tok_per_s(batch), [2.0, np.nan, np.inf])


def test_capacity_is_where_the_quality_crosses_the_target():
    assert capacity(lambda x: 1.0 - x / 10, 0.9, 0.1, 5.0, tolerance=1e-4) == pytest.approx(1.0, abs=1e-4)
    with pytest.raises(UserError, match=r"must lie on both sides of 0\.9"):
        capacity(lambda x: 1.0 - x / 10, 0.9, 2.0, 5.0, tolerance=0.1)
