"""The look-up in a grid is numpy's binary search and interpolation, bit by bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discosim.core.lookup import FEW, MOST_COUNTED, Grid, distinct, interpolated, places

FINITE = st.floats(-1e9, 1e9, allow_subnormal=False)
EDGES = st.lists(FINITE, min_size=2, max_size=60).map(sorted)


def numbers(edges: np.ndarray, seed: int) -> np.ndarray:
    """Return numbers inside, outside and on the edges, and next to them."""
    rng = np.random.default_rng(seed)
    low, high = edges[0], edges[-1]
    inside = rng.uniform(low, high, FEW)
    near = np.concatenate([np.nextafter(edges, -np.inf), edges, np.nextafter(edges, np.inf)])
    return rng.permutation(np.concatenate([inside, near, [low - 1.0, high + 1.0, -np.inf, np.inf]]))


@settings(max_examples=60)
@given(EDGES, st.integers(0, 9))
def test_places_are_those_of_a_binary_search(edges: list[float], seed: int) -> None:
    held = np.array(edges)
    x = numbers(held, seed)
    assert np.array_equal(places(held, x), np.searchsorted(held, x, side="right"))


@settings(max_examples=60)
@given(st.lists(st.tuples(FINITE, FINITE), min_size=2, max_size=60, unique_by=lambda pair: pair[0]), st.integers(0, 9))
def test_interpolation_has_the_same_bits(pairs: list[tuple[float, float]], seed: int) -> None:
    edges, values = np.array(sorted(pairs)).T.copy()
    x = numbers(edges, seed)
    assert interpolated(x, edges, values).tobytes() == np.interp(x, edges, values).tobytes()


@pytest.mark.parametrize(
    "edges", [[0.0, 1e-300, 1.0], [0.0, 1.0 - 2**-53, 1.0], np.geomspace(1e-12, 1.0, 999), [0.0, 0.5, 0.5, 1.0]]
)
def test_crowded_edges(edges: list[float]) -> None:
    held = np.array(edges)
    values = np.linspace(-0.0, 3.0, held.size)
    x = numbers(held, 1).clip(0.0, 1.0)
    assert np.array_equal(places(held, x), np.searchsorted(held, x, side="right"))
    assert interpolated(x, held, values).tobytes() == np.interp(x, held, values).tobytes()


def test_what_has_no_grid_goes_to_numpy() -> None:
    assert Grid.of(np.array([1.0, 1.0])) is None
    x = np.full(FEW, np.nan)
    assert places(np.array([0.0, 1.0]), x).tolist() == [2] * FEW
    assert np.isnan(interpolated(x, np.array([0.0, 1.0]), np.array([0.0, 1.0]))).all()
    assert interpolated(np.zeros((2, FEW)), np.array([0.0, 1.0]), np.array([5.0, 6.0])).shape == (2, FEW)


@given(st.lists(st.integers(0, 50) | st.sampled_from([-1, MOST_COUNTED, MOST_COUNTED + 1, 2**62]), max_size=30))
def test_whole_numbers_are_told_apart_as_numpy_does(whole: list[int]) -> None:
    held = np.array(whole, dtype=np.int64)
    for found, known in zip(distinct(held), np.unique(held, return_inverse=True), strict=True):
        assert found.dtype == known.dtype
        assert found.tolist() == known.tolist()
