"""One long run: how much of its start to leave out, and the interval of a mean whose values depend on each other."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from discosim.metrics.stats import LEVEL, Interval, t_interval

MSER_BATCH = 5
MIN_BATCHES = 10
"""Batches that must remain behind the cut: the statistic of a handful of values is small by accident."""

N_BATCHES = 20


@dataclass(frozen=True)
class WarmUp:
    """What the MSER-5 rule says about a series.

    Parameters
    ----------
    n_deleted : int
        Values that the rule would leave out at the start.
    n : int
        Length of the series.
    is_settled : bool
        Whether the cut lies in the first half; if not, the run is too short to tell its start from its course.
    """

    n_deleted: int
    n: int
    is_settled: bool

    @property
    def share(self) -> float:
        """Deleted share of the series, NaN for an empty one."""
        return self.n_deleted / self.n if self.n else math.nan


def mser5(series: ArrayLike) -> WarmUp:
    """Return the warm-up of a series by the MSER-5 rule.

    Parameters
    ----------
    series : array of float, shape (n,)
        Values in the order of time, without NaN.

    Returns
    -------
    WarmUp
        Nothing is deleted from a series of fewer than 50 values, and it does not count as settled. O(n).

    Notes
    -----
    Source: White, Cobb and Spratt, "A comparison of five steady-state truncation heuristics for simulation", WSC
    2000. Over the means Z of successive batches of five, the cut d minimises the squared standard error
    ``sum_{i > d} (Z_i - mean)^2 / (m - d)^2``. That at least ten batches remain is our choice.
    """
    values = np.asarray(series, dtype=float)
    n_batches = values.size // MSER_BATCH
    if n_batches < MIN_BATCHES:
        return WarmUp(0, int(values.size), is_settled=False)
    means = values[: n_batches * MSER_BATCH].reshape(n_batches, MSER_BATCH).mean(axis=1)
    centred = means - means.mean()  # keeps the difference of squares below accurate
    left = np.arange(n_batches, 0, -1)
    sums, squares = _tail_sums(centred), _tail_sums(centred**2)
    error = (squares - sums**2 / left) / left**2
    cut = int(np.argmin(error[: n_batches - MIN_BATCHES + 1]))
    return WarmUp(cut * MSER_BATCH, int(values.size), is_settled=2 * cut <= n_batches)


def _tail_sums(values: NDArray[np.float64]) -> NDArray[np.float64]:
    tails: NDArray[np.float64] = np.cumsum(values[::-1])[::-1]
    return tails


def batch_means(series: ArrayLike, n_batches: int = N_BATCHES, level: float = LEVEL) -> Interval:
    """Return the mean of one long run with the t interval of its batch means.

    Parameters
    ----------
    series : array of float, shape (n,)
        Values in the order of time, warm-up taken out, without NaN; a rest that fills no batch is left out at the
        start.
    n_batches : int
        Number of batches, >= 2. Batches must be much longer than the memory of the series; 20 to 30 is usual.
    level : float
        Coverage, in (0, 1).

    Raises
    ------
    ValueError
        With fewer than two batches, or a series shorter than them.

    Notes
    -----
    Source: Law, "Simulation Modeling and Analysis", section 9.5.3 (method of batch means).
    """
    values = np.asarray(series, dtype=float)
    size = values.size // n_batches if n_batches >= 2 else 0
    if size < 1:
        raise ValueError(f"{values.size} values do not fill {n_batches} batches, two at least")
    return t_interval(values[values.size - size * n_batches :].reshape(n_batches, size).mean(axis=1), level)
