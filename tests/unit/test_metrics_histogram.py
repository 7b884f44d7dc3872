"""The gap histogram against exact percentiles."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discosim.metrics.histogram import GapHistogram


def of(gaps) -> GapHistogram:
    histogram = GapHistogram()
    histogram.add(np.asarray(gaps, dtype=float))
    return histogram


@settings(max_examples=50)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 5000),
    sigma=st.floats(0, 4),
    p=st.floats(0, 100),
)
def test_percentiles_are_within_the_stated_resolution(seed, n, sigma, p):
    gaps = np.random.default_rng(seed).lognormal(math.log(0.05), sigma, n)
    gaps[gaps < 2.0**-20] = 0.0
    assert of(gaps).percentile(p) == pytest.approx(np.percentile(gaps, p), rel=0.002, abs=1e-15)


def test_repeated_values_come_out_as_they_went_in():
    """A constant decode rate at a bin's edge, with rounding noise on both sides of it."""
    gaps = np.concatenate((np.full(500, 0.25), np.full(499, np.nextafter(0.25, 0)), np.full(2, 1.7)))
    histogram = of(gaps)
    assert histogram.percentile(50) == pytest.approx(0.25, rel=1e-12)
    assert histogram.percentile(100) == pytest.approx(1.7, rel=1e-12)


def test_gaps_below_a_microsecond_count_as_zero():
    histogram = of([0.0, 1e-12, 9e-7, 2e-6])
    assert [histogram.percentile(p) for p in (0, 50, 66)] == [0.0, 0.0, 0.0]
    assert histogram.percentile(100) == pytest.approx(2e-6, rel=0.002)


def test_huge_gaps_share_the_last_bin():
    assert of([2.0**18, 2.0**20]).percentile(50) == pytest.approx((2.0**18 + 2.0**20) / 2)


def test_padding_is_not_counted():
    histogram = GapHistogram()
    histogram.add(np.array([0.0, 0.5, 0.0, 0.5, 0.0]), n_padding=3)
    assert len(histogram) == 2
    assert histogram.percentile(0) == pytest.approx(0.5)


def test_nothing_counted_is_undefined():
    assert math.isnan(GapHistogram().percentile(50))


def test_repeats_and_merges_equal_adding_one_by_one():
    rng = np.random.default_rng(3)
    gaps, times = rng.exponential(0.1, 300), rng.integers(0, 5, 300)
    one_by_one = of(np.repeat(gaps, times))
    repeated = GapHistogram()
    repeated.add_repeated(gaps[:100], times[:100])
    rest = GapHistogram()
    rest.add_repeated(gaps[100:], times[100:])
    repeated.merge(rest)
    np.testing.assert_array_equal(repeated.counts, one_by_one.counts)
    np.testing.assert_allclose(repeated.sums_s, one_by_one.sums_s)
