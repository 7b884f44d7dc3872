"""Bootstrap, quantiles, batch means, warm-up and equivalence on cases with a known answer."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from discosim.metrics.equivalence import tost
from discosim.metrics.intervals import bootstrap_interval, quantile_interval
from discosim.metrics.long_run import batch_means, mser5
from discosim.metrics.stats import t_interval

TRIALS = 2000


def bound(level: float, trials: int = TRIALS) -> float:
    """4.5 standard errors of a share: a false alarm in seven of a million tests."""
    return 4.5 * math.sqrt(level * (1 - level) / trials)


# --- bootstrap ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["BCa", "percentile", "basic"])
def test_the_bootstrap_gives_the_same_interval_each_time_and_nearly_that_of_student(method):
    sample = np.random.default_rng(1).normal(5.0, 1.0, 60)
    first = bootstrap_interval(sample, method=method)
    assert first == bootstrap_interval(sample, method=method)
    assert first != bootstrap_interval(sample, method=method, seed=1)
    t = t_interval(sample)
    assert first.estimate == t.mean
    assert first.half_width == pytest.approx(t.half_width, rel=0.1)
    assert (first.n, first.n_missing) == (60, 0)


def test_the_bootstrap_follows_a_skewed_law():
    sample = np.random.default_rng(2).exponential(1.0, 40)
    found = bootstrap_interval(sample)
    assert found.high - found.estimate > found.estimate - found.low


def test_the_bootstrap_of_little_is_undefined_and_of_equal_values_is_a_point():
    assert math.isnan(bootstrap_interval([1.0]).low)
    found = bootstrap_interval([2.0, 2.0, math.nan])
    assert (found.low, found.high, found.n, found.n_missing) == (2.0, 2.0, 2, 1)


def test_the_bootstrap_covers():
    rng = np.random.default_rng(3)
    trials = 400
    covered = 0
    for _ in range(trials):
        found = bootstrap_interval(rng.exponential(1.0, 60), n_resamples=500)
        covered += found.low <= 1.0 <= found.high
    # 60 exponential values: the bootstrap itself errs by up to two points (Efron 1987), beside the chance of the trials
    assert abs(covered / trials - 0.95) < bound(0.95, trials) + 0.02


# --- quantiles ------------------------------------------------------------------------------------------------


def test_a_quantile_lies_between_the_order_statistics_of_the_tables():
    """n = 100, median, 95 %: the 40th and the 61st value (Conover, table A3)."""
    found = quantile_interval(np.arange(1.0, 101.0), 0.5)
    assert (found.estimate, found.low, found.high) == (50.5, 40.0, 61.0)


@pytest.mark.parametrize(("q", "n"), [(0.5, 20), (0.9, 60), (0.99, 500)])
def test_quantile_intervals_cover_at_least_as_often_as_they_say(q, n):
    rng = np.random.default_rng(4)
    truth = -math.log(1 - q)
    found = [quantile_interval(rng.exponential(1.0, n), q) for _ in range(TRIALS)]
    covered = np.mean([i.low <= truth <= i.high for i in found])
    assert covered > 0.95 - bound(0.95)


def test_a_small_sample_cannot_bound_a_high_quantile():
    found = quantile_interval(np.arange(50.0), 0.99)
    assert found.high == math.inf
    assert math.isfinite(found.low)
    assert math.isnan(quantile_interval([], 0.5).estimate)
    with pytest.raises(ValueError, match="q must lie"):
        quantile_interval([1.0], 1.0)


# --- one long run ---------------------------------------------------------------------------------------------


def ar1(n: int, rho: float, rng: np.random.Generator) -> np.ndarray:
    from scipy.signal import lfilter

    start = rng.normal() / math.sqrt(1 - rho**2)
    noise = rng.normal(size=n)
    return lfilter([1.0], [1.0, -rho], noise, zi=[rho * start])[0]


def test_batch_means_cover_where_single_values_do_not():
    rng = np.random.default_rng(5)
    series = [ar1(4000, 0.9, rng) for _ in range(TRIALS)]
    batched = [batch_means(s) for s in series]
    naive = [t_interval(s) for s in series]
    covered = np.mean([abs(i.mean) <= i.half_width for i in batched])
    # batches of 200 with memory 1/(1 - 0.9) = 10 steps: correlation of neighbours about 0.05, coverage a point lower
    assert abs(covered - 0.95) < bound(0.95) + 0.02
    assert np.mean([abs(i.mean) <= i.half_width for i in naive]) < 0.5


def test_batches_leave_out_a_rest_at_the_start():
    found = batch_means([100.0, 1.0, 1.0, 3.0, 3.0], n_batches=2)
    assert (found.mean, found.n) == (2.0, 2)
    with pytest.raises(ValueError, match="do not fill"):
        batch_means([1.0], n_batches=2)
    with pytest.raises(ValueError, match="do not fill"):
        batch_means([1.0, 2.0], n_batches=1)


def test_mser5_is_its_definition():
    rng = np.random.default_rng(6)
    series = rng.exponential(1.0, 403) + 5.0 * np.exp(-np.arange(403) / 30)
    means = series[:400].reshape(80, 5).mean(axis=1)
    errors = [np.sum((means[d:] - means[d:].mean()) ** 2) / (80 - d) ** 2 for d in range(71)]
    found = mser5(series)
    assert found.n_deleted == 5 * int(np.argmin(errors))
    assert found.n == 403
    assert found.n_deleted > 30
    assert found.is_settled


def test_mser5_leaves_a_steady_series_nearly_whole_and_distrusts_a_short_or_rising_one():
    rng = np.random.default_rng(7)
    shares = [mser5(rng.normal(size=2000)).share for _ in range(200)]
    assert np.median(shares) < 0.1
    assert not mser5(np.arange(2000.0)).is_settled
    assert mser5(np.ones(49)) == mser5(np.zeros(49))
    assert not mser5(np.ones(49)).is_settled


# --- equivalence ----------------------------------------------------------------------------------------------


def test_tost_is_two_one_sided_t_tests():
    rng = np.random.default_rng(8)
    base = rng.normal(10.0, 2.0, 25)
    other = base + rng.normal(0.05, 0.2, 25)
    found = tost(other, base, margin=0.15)
    diff = other - base
    assert found.p_above == pytest.approx(stats.ttest_1samp(diff, 0.15, alternative="less").pvalue)
    assert found.p_below == pytest.approx(stats.ttest_1samp(diff, -0.15, alternative="greater").pvalue)
    low, high = stats.t.interval(0.90, 24, diff.mean(), stats.sem(diff))
    assert (found.diff.mean - found.diff.half_width, found.diff.mean + found.diff.half_width) == pytest.approx(
        (low, high)
    )
    assert found.is_equivalent == (low > -0.15 and high < 0.15)


def test_no_worse_looks_at_the_harmful_side_only():
    base = np.linspace(1.0, 2.0, 10)
    much_lower = base - 1.0 + np.linspace(-0.01, 0.01, 10)
    found = tost(much_lower, base, margin=0.1)
    assert found.is_no_worse("lower")
    assert not found.is_no_worse("higher")
    assert not found.is_no_worse("neutral")
    assert tost(base, base, margin=0.1).is_equivalent
    assert math.isnan(tost([1.0], [1.0], margin=0.1).p_above)
    assert not tost([1.0], [1.0], margin=0.1).is_no_worse("lower")
    with pytest.raises(ValueError, match="margin must be > 0"):
        tost(base, base, margin=0.0)


def test_a_false_claim_of_no_worse_is_as_rare_as_alpha():
    """At a true harm of exactly the margin, the claim is made in 5 % of studies."""
    rng = np.random.default_rng(9)
    claims = [tost(rng.normal(0.5, 1.0, 20), np.zeros(20), margin=0.5).is_no_worse("lower") for _ in range(TRIALS)]
    assert abs(np.mean(claims) - 0.05) < bound(0.05)
