"""Intervals that need no normal law: the bootstrap over replications, and order statistics for a quantile."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from discosim.core.rng import RandomStreams
from discosim.metrics.stats import LEVEL

N_RESAMPLES = 9999
BATCH = 1000
"""Resamples held at once. SciPy's default holds all, and its BCa even an n x n table of the jackknife."""

Method = Literal["BCa", "percentile", "basic"]


@dataclass(frozen=True)
class Bounds:
    """An estimate between two bounds that need not lie evenly around it.

    Parameters
    ----------
    estimate, low, high : float
        NaN where the sample is too small.
    n, n_missing : int
        Replications (or pairs) used, and left out because the metric is undefined in them.
    level : float
        Coverage that was asked for.
    method : str
        How the bounds were computed, for the table.
    """

    estimate: float
    low: float
    high: float
    n: int
    n_missing: int
    level: float
    method: str

    @property
    def half_width(self) -> float:
        """Half the distance of the bounds."""
        return (self.high - self.low) / 2.0


def bootstrap_interval(
    sample: ArrayLike,
    level: float = LEVEL,
    *,
    method: Method = "BCa",
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
) -> Bounds:
    """Return the bootstrap interval of the mean over replications.

    Parameters
    ----------
    sample : array of float, shape (n,)
        One value per replication, or one difference per pair; NaN where undefined.
    level : float
        Coverage, in (0, 1).
    method : str
        ``BCa`` (bias-corrected and accelerated), ``percentile`` or ``basic``.
    n_resamples : int
        Resamples, >= 1.
    seed : int
        Seed of the resampling: the same sample gives the same interval.

    Returns
    -------
    Bounds
        NaN bounds with fewer than two values; equal ones where all values are the same. Below about 20 values
        the bootstrap is too narrow; Student's t is the better choice there.

    Notes
    -----
    Source: ``scipy.stats.bootstrap``; Efron, "Better bootstrap confidence intervals", JASA 1987.
    """
    values = np.asarray(sample, dtype=float)
    known = values[~np.isnan(values)]
    n, n_missing = int(known.size), int(values.size - known.size)
    label = f"bootstrap ({method}, {n_resamples} resamples)"
    mean = float(np.mean(known)) if n else math.nan
    if n < 2:
        return Bounds(mean, math.nan, math.nan, n, n_missing, level, label)
    if np.ptp(known) == 0.0:
        return Bounds(mean, mean, mean, n, n_missing, level, label)
    from scipy import stats

    found = stats.bootstrap(
        (known,),
        np.mean,
        confidence_level=level,
        n_resamples=n_resamples,
        batch=BATCH,
        method=method,
        vectorized=True,
        rng=RandomStreams(seed).generator("metrics.bootstrap"),
    ).confidence_interval
    return Bounds(mean, float(found.low), float(found.high), n, n_missing, level, label)


def quantile_interval(sample: ArrayLike, q: float, level: float = LEVEL) -> Bounds:
    """Return a quantile of independent values between two of its order statistics.

    Parameters
    ----------
    sample : array of float, shape (n,)
        Independent values: one per replication, or requests that do share nothing; NaN where undefined.
    q : float
        Which quantile, in (0, 1).
    level : float
        Coverage, in (0, 1); the true coverage is at least this for a continuous law.

    Returns
    -------
    Bounds
        The estimate has the quantile method ``linear``. A bound is infinite where the sample is too small to
        bound that side.

    Notes
    -----
    Source: the number of values below the quantile is binomial(n, q) whatever the law; each side errs with at
    most (1 - level)/2 (David and Nagaraja, "Order Statistics", section 7.1).
    """
    if not 0.0 < q < 1.0:
        raise ValueError(f"q must lie in (0, 1), got {q}")
    values = np.asarray(sample, dtype=float)
    known = np.sort(values[~np.isnan(values)])
    n, n_missing = int(known.size), int(values.size - known.size)
    if n == 0:
        return Bounds(math.nan, math.nan, math.nan, 0, n_missing, level, "order statistics")
    from scipy.stats import binom

    tail = (1.0 - level) / 2.0
    # P(X_(l) > quantile) = P(fewer than l values below it) <= tail, for the largest such l; likewise above.
    below = int(binom.ppf(tail, n, q))
    low = float(known[below - 1]) if below >= 1 else -math.inf
    above = int(binom.ppf(1.0 - tail, n, q))
    high = float(known[above]) if above < n else math.inf
    return Bounds(float(np.quantile(known, q)), low, high, n, n_missing, level, "order statistics")
