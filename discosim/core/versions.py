"""Other data that might have been measured: versions of a table or of rows, drawn from what their number leaves open.

The rows behind an input are a sample, and another day's sample of the same service would have given another table. A
version keeps the measured values and draws anew how much of the law each of them stands for: the levels of n sorted
rows are n sorted uniform numbers, whatever the law is. So a quantile of the versions lies between two order statistics
as often as the binomial law says that the true quantile does, also far in the tail, where drawing rows with
replacement says so too rarely.

Source: Rubin 1981 (the Bayesian bootstrap); Banks 1988 (spread over the gaps between order statistics); David and
Nagaraja, "Order Statistics", section 7.1. Blocks: Politis and White 2004, corrected by Patton, Politis and White 2009.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import ArrayLike, NDArray

from discosim.core.empirical import CorrelatedSeries, QuantileTable

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

COPIES = 8
"""Rows of a version of a series, per measured row: so many that copies follow the drawn weights closely."""

MOST_KNOTS = 1000
"""Rows that are knots of a version's table; between them it is a straight line."""


@dataclass(frozen=True)
class Warp:
    """Which level of the law each level of the measured table stands for in one version.

    Parameters
    ----------
    measured, drawn : array of float, shape (n + 2,)
        Levels of the sorted rows in the table, (i - 1/2) / n, and in the version; both from 0 to 1, increasing.
    """

    measured: Floats
    drawn: Floats

    @classmethod
    def of(cls, n: int, rng: np.random.Generator, latent_rho: float = 0.0) -> Warp:
        """Draw a version of ``n`` rows, which follow each other as a Gaussian AR(1) where they remember.

        Parameters
        ----------
        n : int
            Rows behind the table, >= 1.
        rng : Generator
            Luck.
        latent_rho : float
            Correlation of the latent process, in (-1, 1).
        """
        if latent_rho == 0.0:
            levels = rng.random(n)
        else:
            from scipy.special import ndtr

            shocks = rng.standard_normal(n)
            shocks[1:] *= math.sqrt(1.0 - latent_rho**2)
            levels = ndtr(np.fromiter(accumulate(shocks.tolist(), lambda x, z: latent_rho * x + z), float, n))
        measured = np.concatenate(([0.0], (np.arange(n) + 0.5) / n, [1.0]))
        return cls(measured, np.concatenate(([0.0], np.sort(levels), [1.0])))

    def table(self, table: QuantileTable) -> QuantileTable:
        """Return the version of a table: its own values, and those of its rows, at other levels."""
        rows = self.measured[:: max(1, self.measured.size // MOST_KNOTS)]
        known = np.union1d(table.levels, rows)
        levels = np.interp(known, self.measured, self.drawn)
        levels[0], levels[-1] = 0.0, 1.0
        kept = np.concatenate(([True], np.diff(np.maximum.accumulate(levels)) > 0.0))
        kept[-1] = True
        if levels[kept][-2] >= 1.0:  # a row at the very end leaves no room for another
            kept[np.flatnonzero(kept)[-2]] = False
        values = table.ppf(known[kept])
        return QuantileTable(tuple(levels[kept].tolist()), tuple(values.tolist()))

    def levels(self, u: ArrayLike) -> Floats:
        """Return for levels of the version those of the measured table: uniform draws become draws of the version."""
        found: Floats = np.interp(np.asarray(u, dtype=float), self.drawn, self.measured)
        return found


def series_version(law: CorrelatedSeries, n: int, rng: np.random.Generator) -> CorrelatedSeries:
    """Return a version of a law that ``n`` rows are behind; its memory stays as it is."""
    return CorrelatedSeries(Warp.of(n, rng, law.latent_rho).table(law.table), law.latent_rho)


def share_version(share: float, n: int, rng: np.random.Generator) -> float:
    """Return a version of a share that was counted among ``n`` rows."""
    return float(rng.binomial(n, share) / n) if 0.0 < share < 1.0 else share


def block_length(values: ArrayLike) -> int:
    """Return how many consecutive rows are drawn together: 1 without memory, more the longer it is.

    Source: the length with the least error of the variance of a mean, for circular blocks of an AR(1) series with the
    measured lag-1 autocorrelation r: ``(6 n)^(1/3) (r / (1 - r^2))^(2/3)`` (Politis and White 2004), at most a tenth of
    the rows. A negative r counts as none, which makes intervals wider than they need be.
    """
    x = np.asarray(values, dtype=float)
    n = x.size
    if n < 3 or np.ptp(x) == 0.0:
        return 1
    centred = x - x.mean()
    r = min(float(np.sum(centred[1:] * centred[:-1]) / np.sum(centred**2)), 0.99)
    if r <= 0.0:
        return 1
    wanted = math.pow(6.0 * n, 1 / 3) * math.pow(r / (1.0 - r**2), 2 / 3)
    return max(1, min(math.ceil(wanted), n // 10))


def rows_version(values: ArrayLike, rng: np.random.Generator) -> Floats:
    """Return a version of a series of rows: blocks of them, each as often as its drawn weight says, in a new order.

    Parameters
    ----------
    values : array of float, shape (n,)
        Rows in measuring order.
    rng : Generator
        Luck.

    Returns
    -------
    array of float, shape about ``COPIES`` n
        Inside a block rows follow each other as they were measured; the last row is followed by the first.
    """
    x = np.asarray(values, dtype=float)
    n, length = x.size, block_length(x)
    n_blocks = math.ceil(n / length)
    start = int(rng.integers(n))
    if length == 1:
        weights = _weights_by_rank(np.roll(x, -start), rng)
    else:
        weights = rng.exponential(size=n_blocks)
        weights[-1] *= (n - (n_blocks - 1) * length) / length
    reached = np.cumsum(weights) / weights.sum() * COPIES * n_blocks + rng.random()
    copies = np.diff(np.floor(reached), prepend=0.0).astype(np.int64)
    block = rng.permutation(np.repeat(np.arange(n_blocks), copies))
    first = start + block * length
    return x[((first[:, None] + np.arange(length)) % n).ravel()]


def _weights_by_rank(x: Floats, rng: np.random.Generator) -> Floats:
    """Return weights of rows without memory: half of what lies between a row and each of its neighbours in size.

    Between n sorted rows, and beyond them, lie n + 1 shares of the law. Weights that knew only n of them would put a
    quantile half a row too low, which a p99 of 400 rows shows.
    """
    gaps = rng.exponential(size=x.size + 1)
    gaps[[0, -1]] *= 2.0
    weights = np.empty(x.size)
    weights[np.argsort(x, kind="stable")] = (gaps[:-1] + gaps[1:]) / 2.0
    return weights
