"""The outlook of live requests against a token-by-token oracle, and its limits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discosim.core.timeline import Ragged
from discosim.metrics.qoe import qoe_andes
from discosim.metrics.reading import read
from discosim.world.engine.schedulers.base import LiveArrays
from discosim.world.engine.schedulers.future_qoe import FutureQoe, slack_s
from discosim.world.engine.schedulers.objectives import gain


def live_of(requests, now_s):
    """Build arrays from (arrival, rate, target, token times); tokens after ``now_s`` are not there yet."""
    rows = []
    for arrival, rate, target, tokens in requests:
        clock, delay, n = -math.inf, 0.0, 0
        for made in tokens:
            if made > now_s:
                break
            clock = max(made, clock + 1.0 / rate)
            delay += max(0.0, clock - (arrival + target + n / rate))
            n += 1
        rows.append((2, 10, n, 1, 1, arrival, rate, target, tokens[0] if n else math.inf, clock, delay, 0))
    columns = list(zip(*rows, strict=True))
    whole = [np.array(columns[i], dtype=np.int64) for i in (0, 1, 2, 3, 4, 11)]
    real = [np.array(columns[i], dtype=float) for i in range(5, 11)]
    return LiveArrays([], *whole[:5], *real, whole[5])


def staircase_qoe(arrival, rate, target, tokens, horizon_s):
    """Add up one token at a time: how long each has been consumed, over how long it should have been."""
    delta, first_due = 1.0 / rate, arrival + target
    n_due = max(0, math.floor((horizon_s - first_due) / delta + 1e-12) + 1) if horizon_s >= first_due else 0
    expected = sum(horizon_s - first_due - i * delta for i in range(n_due))
    shown, clock = 0.0, -math.inf
    for i, made in enumerate(tokens):
        clock = max(made, clock + delta)
        shown += max(0.0, horizon_s - max(clock, first_due + i * delta))
    return min(1.0, max(0.0, shown / expected)) if expected > 0 else 1.0


@st.composite
def requests(draw):
    arrival = draw(st.floats(0, 50))
    rate = draw(st.floats(1, 12))
    target = draw(st.floats(0, 5))
    gaps = draw(st.lists(st.one_of(st.floats(0.001, 0.3), st.floats(0.3, 20)), max_size=40))
    return arrival, rate, target, (arrival + np.cumsum(gaps)).tolist()


@settings(max_examples=150)
@given(st.lists(requests(), min_size=1, max_size=5), st.floats(50, 90), st.floats(0, 60), st.floats(0.01, 1.5))
def test_the_outlook_equals_the_token_by_token_oracle(asks, now_s, ahead_s, token_s):
    future = FutureQoe(live_of(asks, now_s), now_s, ahead_s)
    waiting, served, late = future.waiting(), future.served(token_s), future.served(token_s, 0.7)
    for k, (arrival, rate, target, tokens) in enumerate(asks):
        past = [t for t in tokens if t <= now_s]
        n_more = int(ahead_s / token_s) + 2
        for seen, start_s in ((served, 0.0), (late, 0.7)):
            more = [now_s + start_s + (j + 1) * token_s for j in range(n_more)]
            truth = staircase_qoe(arrival, rate, target, past + more, now_s + ahead_s)
            assert seen[k] == pytest.approx(truth, abs=1e-7)
        assert waiting[k] == pytest.approx(staircase_qoe(arrival, rate, target, past, now_s + ahead_s), abs=1e-7)
    assert np.all(served >= waiting - 1e-12)
    assert np.all(served >= late - 1e-12)


def test_at_the_last_consumption_it_is_the_qoe_of_the_finished_answer():
    """But for the ideal line, which knows no end while the answer goes on."""
    rng = np.random.default_rng(3)
    for _ in range(50):
        rate, target, n = rng.uniform(2, 8), rng.uniform(0, 2), int(rng.integers(2, 80))
        tokens = np.cumsum(rng.exponential(0.3, n))
        reading = read(Ragged.of([tokens]), np.array([1 / rate]), np.array([target]))
        end_s = max(float(reading.last_s[0]), target + (n - 1) / rate)
        outlook = FutureQoe(live_of([(0.0, rate, target, tokens.tolist())], end_s), end_s, 0.0).waiting()[0]
        due = end_s - target - np.arange(4 * n) / rate
        endless, ended = due[due > 0].sum(), due[:n].sum()
        assert outlook * endless / ended == pytest.approx(qoe_andes(reading)[0], abs=1e-9)


def test_nothing_expected_yet_is_perfect_and_an_empty_wait_is_worthless():
    live = live_of([(0.0, 5.0, 10.0, []), (0.0, 5.0, 1.0, [])], 5.0)
    assert FutureQoe(live, 5.0, 2.0).waiting().tolist() == [1.0, 0.0]
    assert slack_s(live, 5.0).tolist() == [5.0, -4.0]


def test_a_full_buffer_makes_waiting_free():
    """20 tokens at once hold a reader of 5 tok/s for four seconds."""
    live = live_of([(0.0, 5.0, 1.0, [0.9] * 20)], 1.0)
    assert FutureQoe(live, 1.0, 3.5).waiting()[0] == pytest.approx(1.0)
    assert FutureQoe(live, 1.0, 6.0).waiting()[0] < 1.0
    assert FutureQoe(live, 1.0, 6.0).served(0.2)[0] == pytest.approx(1.0)


def test_gains_of_the_three_objectives():
    served, waiting, now = np.array([1.0, 0.9, 1.0]), np.array([0.5, 0.2, 1.0]), np.array([1.0, 0.4, 1.0])
    assert gain("average", served, waiting, now).tolist() == pytest.approx([0.5, 0.7, 0.0])
    assert gain("max_min", served, waiting, now).tolist() == pytest.approx([0.0, 0.2, 0.0])
    assert gain("perfect", served, waiting, now).tolist() == [1.0, 0.0, 0.0]
