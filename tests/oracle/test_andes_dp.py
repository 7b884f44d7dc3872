"""The exact knapsack against every subset, and the greedy packing against the exact knapsack."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discosim.world.engine.schedulers.andes_dp import exact
from discosim.world.engine.schedulers.packing import greedy, most_that_fit, ranked


@settings(max_examples=100)
@given(
    st.lists(st.tuples(st.floats(0, 1), st.integers(1, 12)), min_size=1, max_size=9),
    st.integers(0, 40),
    st.integers(0, 9),
)
def test_the_dynamic_program_finds_the_best_subset(items, capacity, size):
    value, weight = np.array([v for v, _ in items]), np.array([w for _, w in items])
    chosen = exact(value, weight, capacity, size)
    assert len(set(chosen.tolist())) == chosen.size <= size
    assert weight[chosen].sum() <= capacity
    best = max(
        value[list(subset)].sum()
        for n in range(min(size, len(items)) + 1)
        for subset in combinations(range(len(items)), n)
        if weight[list(subset)].sum() <= capacity
    )
    assert value[chosen].sum() == pytest.approx(best)


def test_coarse_units_still_fit():
    rng = np.random.default_rng(0)
    value, weight = rng.random(60), rng.integers(1, 50, 60)
    chosen = exact(value, weight, 400, 60, max_units=32)
    assert weight[chosen].sum() <= 400
    assert value[chosen].sum() <= value[exact(value, weight, 400, 60)].sum()


def instance(rng):
    """A crowded replica: 100 to 200 requests with log-normal contexts in blocks, room for a third to four fifths."""
    n = int(rng.integers(100, 200))
    weight = np.maximum(1, np.rint(rng.lognormal(3.0, 0.8, n))).astype(np.int64)
    value = rng.random(n) ** rng.choice([0.5, 1.0, 2.0])
    capacity = int(weight.sum() * rng.uniform(0.33, 0.8))
    size = n if rng.random() < 0.5 else int(rng.integers(n // 3, n))
    return value, weight, capacity, size


@pytest.mark.parametrize("n_instances", [15, pytest.param(60, marks=pytest.mark.long)])
def test_greedy_is_within_two_per_cent_and_never_better(n_instances):
    """Median over random instances, where the batch size binds and where it does not."""
    rng = np.random.default_rng(2404)
    shares = []
    for _ in range(n_instances):
        value, weight, capacity, size = instance(rng)
        order = ranked(value / weight, np.zeros(value.size, dtype=np.bool_))
        packed = value[greedy(order, weight, capacity, size)].sum()
        best = value[exact(value, weight, capacity, size)].sum()
        assert packed <= best + 1e-9
        shares.append(packed / best)
    assert np.median(shares) >= 0.98


def test_ties_go_to_those_who_run_and_packing_stops_at_the_first_misfit():
    resident = np.array([False, True, False, True])
    assert ranked(np.array([1.0, 1.0, 2.0, 0.0]), resident).tolist() == [2, 1, 0, 3]
    weight = np.array([3, 9, 1, 1])
    assert greedy(np.arange(4), weight, 5, 4).tolist() == [0]
    assert greedy(np.arange(4), weight, 50, 2).tolist() == [0, 1]
    assert most_that_fit(weight, 5) == 3
