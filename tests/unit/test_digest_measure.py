"""What the recipes measure: tables that keep moments, and latent correlations that give the wanted ones."""

from __future__ import annotations

import numpy as np
import pytest

from discosim.core.empirical import CorrelatedSeries, QuantileTable
from discosim.traces.recipes import measure

HEAVY = np.random.default_rng(5).pareto(2.2, 4000)


def test_percentiles_are_exact_knots():
    table = measure.tabulate(HEAVY)
    for percent in range(1, 100):
        assert percent / 100 in table.levels
        assert table.ppf(percent / 100) == pytest.approx(np.quantile(HEAVY, percent / 100), rel=1e-12)
    assert (table.values[0], table.values[-1]) == (HEAVY.min(), HEAVY.max())


def test_extra_knots_keep_mean_and_variance_of_a_heavy_tail():
    def mean_square(table: QuantileTable) -> float:
        return float(np.mean(table.ppf((np.arange(2_000_000) + 0.5) / 2_000_000) ** 2))

    plain = QuantileTable.of(HEAVY, [*measure.PERCENTS])
    kept = measure.tabulate(HEAVY)
    assert kept.mean() == pytest.approx(HEAVY.mean(), rel=2e-3)
    assert mean_square(kept) == pytest.approx(np.mean(HEAVY**2), rel=5e-3)
    # without them the straight line from p99 to the maximum spoils the mean square: the test can fail
    assert mean_square(plain) > 1.5 * np.mean(HEAVY**2)


def test_far_tails_need_a_thousand_values():
    assert 0.001 not in measure.tabulate(np.linspace(0, 1, 999)).levels
    assert 0.001 in measure.tabulate(np.linspace(0, 1, 1000)).levels


def test_lag1_of_a_known_series_and_over_recordings():
    values = [1.0, 2.0, 1.0, 2.0, 1.0, 2.0]
    assert measure.lag1(values) == pytest.approx(-5 / 6)
    # two recordings: the pair that crosses from one to the next does not count
    rising = np.array([0.0, 1.0, 5.0, 6.0])
    centred = rising - 3.0
    pairs = centred[0] * centred[1] + centred[2] * centred[3]
    assert measure.lag1(rising, [0, 0, 1, 1]) == pytest.approx(pairs / np.sum(centred**2) * 3 / 2)


@pytest.mark.parametrize("target", [-0.3, 0.06, 0.5, 0.9])
def test_latent_correlation_of_a_uniform_has_a_closed_form(target):
    # for uniform marginals the Pearson correlation is 6/pi asin(rho/2)
    rho = measure.latent_rho(QuantileTable((0.0, 1.0), (0.0, 1.0)), target)
    assert 6 / np.pi * np.arcsin(rho / 2) == pytest.approx(target, abs=2e-4)


def test_latent_correlation_of_a_lognormal_has_a_closed_form():
    levels = np.concatenate([[0.0], np.linspace(1e-6, 1 - 1e-6, 200_001), [1.0]])
    from scipy.special import ndtri

    z = ndtri(np.clip(levels, 1e-7, 1 - 1e-7))
    table = QuantileTable(tuple(levels), tuple(np.exp(0.5 * z)))
    for rho in (-0.6, 0.4, 0.8):
        target = np.expm1(0.25 * rho) / np.expm1(0.25)
        assert measure.latent_rho(table, target) == pytest.approx(rho, abs=0.003)


def test_unattainable_autocorrelation_is_clipped():
    table = measure.tabulate(HEAVY)
    rho = measure.latent_rho(table, -0.95)
    assert -measure.RHO_LIMIT <= rho < 0
    held = CorrelatedSeries(table, rho)
    assert measure.attained_lag1(held) > -0.95


def test_tiny_autocorrelation_counts_as_none():
    assert measure.series(np.random.default_rng(0).random(50_000)).latent_rho == 0.0


def test_joint_counts_have_equal_margins_and_keep_dependence():
    rng = np.random.default_rng(3)
    first = rng.integers(1, 50, 2400)
    counts = np.array(measure.joint_counts(first, first + rng.integers(0, 3, 2400)))
    assert counts.shape == (measure.JOINT_BINS, measure.JOINT_BINS)
    assert (counts.sum(axis=0) == 100).all()
    assert (counts.sum(axis=1) == 100).all()
    assert np.trace(counts) > 1200


def test_detrending_makes_a_piecewise_poisson_stream_flat():
    rng = np.random.default_rng(4)
    slow, fast = rng.exponential(1.0, 300).cumsum(), rng.exponential(0.1, 3000).cumsum()
    arrival_s = np.concatenate([slow[slow < 300], 300 + fast[fast < 300]])
    profile = measure.rate_profile(arrival_s, 300.0)
    assert len(profile.relative) == 2
    assert np.mean(profile.relative) == pytest.approx(1.0)
    gaps = measure.detrended(arrival_s, profile)
    assert gaps.mean() == pytest.approx(np.diff(arrival_s).mean(), rel=1e-9)
    # CV of n exponential gaps has a standard error near 1/sqrt(n) = 0.018; 5 SE: 6 false alarms in 10 million
    assert gaps.std() / gaps.mean() == pytest.approx(1.0, abs=0.09)
    assert np.diff(arrival_s).std() / np.diff(arrival_s).mean() > 1.4
