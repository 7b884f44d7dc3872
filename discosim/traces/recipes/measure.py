"""From a raw sample to what a digest keeps: tables, correlated series, joint counts, rate profiles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from discosim.core.empirical import CorrelatedSeries, QuantileTable
from discosim.traces.digest import RateProfile

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PERCENTS = tuple(i / 100 for i in range(101))
TAILS = (0.001, 0.005, 0.995, 0.999)
N_FOR_TAILS = 1000
JOINT_BINS = 24
MOMENT_TOLERANCE = 1e-3
MAX_EXTRA_KNOTS = 48
FINEST_LEVEL = 1e-5
RHO_LIMIT = 0.999
NEGLIGIBLE_LAG1 = 0.02
PROFILE_BIN_S = 300.0


def tabulate(sample: ArrayLike) -> QuantileTable:
    """Return the quantile table of a sample: every percent, the far tails, and more knots where they matter.

    Parameters
    ----------
    sample : array of float
        At least one value.

    Returns
    -------
    QuantileTable
        Knots at 0, 1 %, ..., 100 %, and at 0.1, 0.5, 99.5 and 99.9 % from 1,000 values on; then the cell that
        misses the mean square most is cut at an order statistic, until mean and mean square agree with the
        sample's within 0.1 % or 48 knots were added.

    Notes
    -----
    Source: our choice. Straight lines between percentiles overstate heavy tails (Azure's code service: half
    of the mean gap would come from the last 0.1 %), which would change rates and CVs. From 1 % to 99 %
    quantiles are linear between order statistics at i/(n - 1), as numpy has them; outside, order statistics
    stand at (i + 1/2)/n, so that the extremes keep the weight 1/n which they have in the mean.
    """
    values = np.sort(np.asarray(sample, dtype=float))
    levels = set(PERCENTS) | (set(TAILS) if values.size >= N_FOR_TAILS else set())
    target = float(np.mean(values)), float(np.mean(values**2))
    for _ in range(MAX_EXTRA_KNOTS):
        table = _table(values, levels)
        if _moments_agree(table, target):
            break
        split = _cell_to_split(table, values)
        if split is None:
            break
        levels.add(split)
    return _table(values, levels)


def _quantiles(ordered: Floats, levels: Floats) -> Floats:
    inner = np.quantile(ordered, levels)
    outer = np.quantile(ordered, levels, method="hazen")
    return np.where((levels >= PERCENTS[1]) & (levels <= PERCENTS[-2]), inner, outer)


def _table(ordered: Floats, levels: set[float]) -> QuantileTable:
    at = np.asarray(sorted(levels))
    # the two conventions may cross by one order statistic where n is small
    values = np.maximum.accumulate(np.clip(_quantiles(ordered, at), ordered[0], ordered[-1]))
    return QuantileTable(tuple(at.tolist()), tuple(values.tolist()))


def _mean_square(table: QuantileTable) -> float:
    q = np.asarray(table.values)
    return float(np.sum(np.diff(table.levels) * (q[1:] ** 2 + q[1:] * q[:-1] + q[:-1] ** 2) / 3))


def _moments_agree(table: QuantileTable, target: tuple[float, float]) -> bool:
    reached = table.mean(), _mean_square(table)
    return all(abs(r - t) <= MOMENT_TOLERANCE * abs(t) for r, t in zip(reached, target, strict=True))


def _cell_to_split(table: QuantileTable, ordered: Floats) -> float | None:
    """Return the order statistic nearest the middle of the cell that misses the sample's mean square most."""
    levels, values = np.asarray(table.levels), np.asarray(table.values)
    n = ordered.size
    middle = (np.round((levels[1:] + levels[:-1]) / 2 * n - 0.5) + 0.5) / n
    middle = np.round(middle, 6)
    inside = (middle >= levels[:-1] + FINEST_LEVEL) & (middle <= levels[1:] - FINEST_LEVEL)
    chord = np.interp(middle, levels, values)
    miss = np.abs(_quantiles(ordered, middle) ** 2 - chord**2) * np.diff(levels)
    miss[~inside] = 0.0
    worst = int(np.argmax(miss))
    return float(middle[worst]) if miss[worst] > 0 else None


def lag1(values: ArrayLike, recording: ArrayLike | None = None) -> float:
    """Return the Pearson lag-1 autocorrelation of a series, without pairs that cross recordings."""
    x = np.asarray(values, dtype=float)
    if x.size < 3 or np.ptp(x) == 0:
        return 0.0
    centred = x - x.mean()
    products = centred[1:] * centred[:-1]
    if recording is not None:
        labels = np.asarray(recording)
        products = products[labels[1:] == labels[:-1]]
    # all n - 1 neighbours: the usual estimator, divided by n; fewer where recordings break the series
    expected_pairs = x.size - 1
    return float(np.sum(products) / np.sum(centred**2) * expected_pairs / max(products.size, 1))


def series(
    values: ArrayLike, recording: ArrayLike | None = None, *, table: QuantileTable | None = None
) -> CorrelatedSeries:
    """Return quantile table and latent correlation of a measured series.

    A lag-1 autocorrelation below 0.02 in size counts as none: in a heavy-tailed series it is noise, yet
    would ask for a latent correlation many times as large.
    """
    marginal = tabulate(values) if table is None else table
    measured = lag1(values, recording)
    rho = latent_rho(marginal, measured) if abs(measured) >= NEGLIGIBLE_LAG1 else 0.0
    return CorrelatedSeries(marginal, rho)


def latent_rho(table: QuantileTable, target: float, *, terms: int = 300) -> float:
    """Return the Gaussian correlation that gives the wanted Pearson correlation of the tabulated values.

    Parameters
    ----------
    table : QuantileTable
        Marginal distribution of both values.
    target : float
        Wanted correlation of two neighbours.
    terms : int
        Terms of the Hermite series.

    Returns
    -------
    float
        Correlation of the latent pair, to 4 decimals, clipped to the attainable range.

    Notes
    -----
    Source: Mehler's formula. With z -> g(z) = ppf(Phi(z)) expanded in normalised Hermite polynomials,
    ``corr = sum a_k^2 rho^k / sum a_k^2`` over k >= 1, which is solved by bisection.
    """
    weights = _hermite_weights(table, terms)
    if weights.sum() <= 0 or target == 0.0:
        return 0.0
    weights /= weights.sum()

    def reached(rho: float) -> float:
        return float(np.polynomial.polynomial.polyval(rho, weights))

    low, high = -RHO_LIMIT, RHO_LIMIT
    if target <= 0:
        # below zero the curve may turn up again; search only where it falls with rho
        grid = np.linspace(-RHO_LIMIT, 0.0, 1000)
        low, high = float(grid[np.argmin([reached(r) for r in grid])]), 0.0
    else:
        low = 0.0
    if target >= reached(high):
        return round(high, 4)
    if target <= reached(low):
        return round(low, 4)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if reached(middle) < target else (low, middle)
    return round((low + high) / 2, 4)


def latent_cross(first: QuantileTable, second: QuantileTable, target: float, *, terms: int = 300) -> float:
    """Return the Gaussian correlation that gives the wanted Pearson correlation of two tabulated values.

    As `latent_rho`, of two marginals: ``corr = sum a_k b_k rho^k / sqrt(sum a_k^2 sum b_k^2)``; to 4 decimals, the
    nearest that is attained.
    """
    a, b = hermite_coefficients(first, terms), hermite_coefficients(second, terms)
    size = float(np.sqrt(np.sum(a**2) * np.sum(b**2)))
    if size <= 0 or target == 0.0:
        return 0.0
    side = np.linspace(0.0, RHO_LIMIT, 9991) * (1.0 if target > 0 else -1.0)
    reached = np.polynomial.polynomial.polyval(side, a * b / size)
    return round(float(side[np.argmin(np.abs(reached - target))]), 4)


def attained_lag1(held: CorrelatedSeries) -> float:
    """Return the lag-1 autocorrelation of the values that a correlated series gives in the long run."""
    weights = _hermite_weights(held.table, 300)
    if weights.sum() <= 0:
        return 0.0
    return float(np.polynomial.polynomial.polyval(held.latent_rho, weights / weights.sum()))


def _hermite_weights(table: QuantileTable, terms: int) -> Floats:
    """Return the squared Hermite coefficients a_k^2 of ppf(Phi(z)), entry 0 set to 0."""
    weights: Floats = hermite_coefficients(table, terms) ** 2
    return weights


def hermite_coefficients(table: QuantileTable, terms: int) -> Floats:
    """Return the Hermite coefficients a_k of ppf(Phi(z)), entry 0 set to 0."""
    from scipy.special import ndtr

    z = np.linspace(-9.0, 9.0, 36001)
    step = z[1] - z[0]
    g = table.ppf(ndtr(z)) - table.mean()
    # Hermite functions h_k(z) * sqrt(phi(z)) stay bounded where the polynomials overflow
    root_phi = np.exp(-(z**2) / 4) / (2 * np.pi) ** 0.25
    before, now = np.zeros_like(z), root_phi.copy()
    held = np.zeros(terms + 1)
    for k in range(terms):
        before, now = now, (z * now - np.sqrt(k) * before) / np.sqrt(k + 1)
        held[k + 1] = np.sum(g * now * root_phi) * step
    return held


def joint_counts(first: ArrayLike, second: ArrayLike, bins: int = JOINT_BINS) -> tuple[tuple[int, ...], ...]:
    """Count pairs in equal-rank bins; ties are ranked in the order of the file."""
    rows, columns = (_rank_bin(np.asarray(values), bins) for values in (first, second))
    counts = np.zeros((bins, bins), dtype=np.int64)
    np.add.at(counts, (rows, columns), 1)
    return tuple(tuple(int(c) for c in row) for row in counts)


def _rank_bin(values: NDArray[np.int64], bins: int) -> Ints:
    ranks = np.empty(values.size, dtype=np.int64)
    ranks[np.argsort(values, kind="stable")] = np.arange(values.size)
    return ranks * bins // values.size


def rate_profile(arrival_s: Floats, bin_s: float = PROFILE_BIN_S) -> RateProfile:
    """Return the relative rate in equal bins of about ``bin_s`` that fill the trace's span exactly."""
    start, end = float(arrival_s[0]), float(arrival_s[-1])
    bins = max(round((end - start) / bin_s), 1)
    counts, _ = np.histogram(arrival_s, bins=np.linspace(start, end, bins + 1))
    relative = counts / counts.mean()
    return RateProfile(bin_s=(end - start) / bins, relative=tuple(float(r) for r in relative))


def detrended(arrival_s: Floats, profile: RateProfile) -> Floats:
    """Return the gaps on the operational clock that runs ``profile.relative`` seconds per second."""
    edges = profile.bin_s * np.arange(len(profile.relative) + 1)
    clock = np.concatenate(([0.0], np.cumsum(np.asarray(profile.relative) * profile.bin_s)))
    return np.diff(np.interp(arrival_s - arrival_s[0], edges, clock))


def rank_correlation(first: ArrayLike, second: ArrayLike) -> float:
    """Return Spearman's correlation."""
    from scipy.stats import rankdata

    return pearson(rankdata(np.asarray(first)), rankdata(np.asarray(second)))


def pearson(first: ArrayLike, second: ArrayLike) -> float:
    """Return Pearson's correlation, 0 where one side is constant or there are fewer than 3 pairs."""
    x, y = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if x.size < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0
    return float(np.corrcoef(x, y)[0, 1])


def moments(label: str, values: Sequence[float] | Floats, recording: ArrayLike | None = None) -> dict[str, float]:
    """Return mean, standard deviation, CV and lag-1 autocorrelation of a series under prefixed names."""
    x = np.asarray(values, dtype=float)
    mean, std = float(x.mean()), float(x.std())
    return {
        f"{label}_mean": mean,
        f"{label}_std": std,
        f"{label}_cv": std / mean if mean else 0.0,
        f"{label}_lag1": lag1(x, recording),
    }
