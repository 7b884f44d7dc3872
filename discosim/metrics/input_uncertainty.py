"""What few rows behind an input leave open in the numbers of a run, beside the luck of its replications.

Two ways. Where a run took what was measured for the truth, each row of an input is thought to weigh more or less than
1: requests that met the same row share its weight, so sums of their influences give the variance, and no world is run
again. Where every replication drew its own version of the inputs, replications differ by luck and by version; the
luck is known from batches of requests inside a replication, and what is left is the input's.

More replications make the luck's part smaller and leave the input's as it is.

Source: Barton, Nelson and Xie, "Quantifying input uncertainty via simulation confidence intervals", INFORMS Journal on
Computing 2014 (the two parts); the linear form is Cheng and Holland's delta method, 1997, with influences in place of
derivatives by parameters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from discosim.metrics.influence import Columns, Influence, at_level, influence
from discosim.metrics.stats import LEVEL

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BATCHES = 20
"""Batches of a replication from which its luck is known."""
PER_CELL = 4
"""Least mean number of requests in a cell of levels."""
MOST_LAGS = 200
LEAST_DF = 0.25
"""Least share of the degrees of freedom that a difference of variances keeps. Source: our choice, by trial: with 5 to
50 versions and luck up to as large as the input's part, 93 to 98 % of intervals of 95 % hold the truth."""


@dataclass(frozen=True)
class Rows:
    """One input: how many rows are behind it, and which of them each request met.

    Parameters
    ----------
    label : str
        What it is, for people.
    n : int
        Rows, >= 2.
    code : array of int, shape (replications, requests)
        Cell of each request, from 0: a row, or an interval of levels.
    n_cells : int
        How many cells there are.
    block : int
        Consecutive rows that hang together; 1 for none.
    latent_rho : float
        Memory of the draws from one request to the next, where cells are intervals of levels.
    """

    label: str
    n: int
    code: Ints
    n_cells: int
    block: int = 1
    latent_rho: float = 0.0

    @cached_property
    def _size(self) -> Ints:
        """Requests of each cell."""
        return np.bincount(self.code.ravel(), minlength=self.n_cells)

    def variance(self, each: Floats) -> float:
        """Return the variance of a number whose requests have these influences, as far as this input is the cause.

        Between cells, less what the luck of the simulated requests makes of it, over the number of rows; times what
        memory adds.
        """
        code, size = self.code.ravel(), self._size
        met = size > 0
        mean = np.bincount(code, weights=each, minlength=self.n_cells) / np.maximum(size, 1)
        spare = code.size - int(met.sum())
        of_cells = float(np.sum(size * mean**2))
        # BLAS would wake all processors for this product, and its last bit would hang on how many there are
        within = max(0.0, float(np.sum(each * each)) - of_cells) / spare if spare > 0 else 0.0
        if self.block > 1:
            padded = np.concatenate(([0.0], np.cumsum(np.concatenate((mean, mean[: self.block - 1])))))
            sums = padded[self.block :] - padded[: -self.block]
            between = float(np.mean(sums**2)) / self.block
        else:
            between = of_cells / code.size
        between -= within * int(met.sum()) / code.size
        return max(0.0, between) / self.n * self._memory(mean)

    def deviations(self, each: Floats, draws: Floats) -> Floats:
        """Return deviations of a number with these influences, one for each row of standard normal draws.

        Their variance is :meth:`variance`, and numbers that share the draws deviate together, as weights of the same
        rows make them; so a function of several numbers deviates as the function of what they become.

        Parameters
        ----------
        each : array of float, shape (requests,)
            Influences.
        draws : array of float, shape (K, n_cells)
            Standard normal; the same for all numbers that rest on these rows.
        """
        slopes = self._slopes(each)
        total = float(np.sum(slopes * slopes))
        if total == 0.0:
            return np.zeros(len(draws))
        found: Floats = np.einsum("ij,j->i", draws, slopes) * math.sqrt(self.variance(each) / total)
        return found

    def known_share(self, each: Floats) -> float:
        """Return how much of a number's deviations between cells is the input's, and not the luck of the requests."""
        slopes = self._slopes(each)
        scale = self.n * self.n_cells * self.block if self.block > 1 else self.n * self.code.size
        total = float(np.sum(slopes * slopes)) / scale
        return 0.0 if total == 0.0 else math.sqrt(self.variance(each) / total)

    def _slopes(self, each: Floats) -> Floats:
        """Return how far a number deviates with the draw of each cell, up to one factor for all."""
        code, size = self.code.ravel(), self._size
        mean = np.bincount(code, weights=each, minlength=self.n_cells) / np.maximum(size, 1)
        if self.block == 1:
            found: Floats = mean * np.sqrt(size)
            return found
        return sum((np.roll(mean, -k) for k in range(self.block)), np.zeros_like(mean))

    def weights(self, draws: Floats) -> Floats:
        """Return weights of the requests of each cell in versions, given standard normal draws; shape of the draws.

        Between sorted rows as much of the law lies as between sorted uniform numbers, whatever the law is: shares of
        n + 1 cells are exponential numbers over their sum. Where cells are rows, or several intervals together, those
        are factors of what was measured.
        """
        from scipy.special import ndtr, xlog1py

        drawn: Floats = np.asarray(xlog1py(-1.0, -np.minimum(ndtr(draws), 1.0 - 1e-12)), dtype=np.float64)
        if self.block > 1:
            return drawn[:, np.arange(self.n_cells) // self.block]
        if self.n_cells == self.n + 1:
            drawn = drawn * (self.code.size / self.n_cells / np.maximum(self._size, 1))
        return drawn

    def _memory(self, mean: Floats) -> float:
        """Return by how much the memory of the draws widens the variance: 1 + 2 (sum of autocorrelations)."""
        rho = abs(self.latent_rho)
        if rho == 0.0 or self.block > 1:
            return 1.0
        met = mean[self.code]
        met = met - met.mean()
        total = float(np.mean(met**2))
        lags = min(MOST_LAGS, math.ceil(math.log(0.01) / math.log(rho)), met.shape[1] // 4)
        if total == 0.0:
            return 1.0
        sums = [float(np.mean(met[:, k:] * met[:, :-k])) for k in range(1, lags + 1)]
        return float(np.clip(1.0 + 2.0 * sum(sums) / total, 1.0, (1.0 + rho) / (1.0 - rho)))


@dataclass(frozen=True)
class Part:
    """What an input leaves open in one number: a standard deviation, and how well it is known."""

    sd: float = 0.0
    df: float = math.inf

    def half_width(self, level: float = LEVEL) -> float:
        """Return the half-width of the interval that this alone would give."""
        return 0.0 if self.sd == 0.0 else t_quantile(self.df, level) * self.sd


@dataclass(frozen=True)
class Open:
    """What all inputs leave open in one number of one policy, and influences in the unit of the number.

    Of a quantile ``found`` has its values in order.
    """

    part: Part
    each: Floats
    value: float
    found: Influence | None = None


def t_quantile(df: float, level: float) -> float:
    """Return Student's quantile for a two-sided interval; the normal one without end of degrees."""
    from scipy.special import ndtri, stdtrit

    return float(ndtri(0.5 + level / 2) if math.isinf(df) else stdtrit(max(df, 1.0), 0.5 + level / 2))


def together(variances: Sequence[float], inputs: Sequence[Rows]) -> Part:
    """Add independent variances; degrees of freedom by Welch and Satterthwaite."""
    total = sum(variances)
    if total <= 0.0:
        return Part()
    spread = sum(v**2 / max(1, rows.n - 1) for v, rows in zip(variances, inputs, strict=True))
    return Part(math.sqrt(total), total**2 / spread)


def open_part(name: str, columns: Columns, inputs: Sequence[Rows]) -> Open | None:
    """Return what the inputs leave open in a number of a policy that met all of them; None where that is not known."""
    found = influence(name, columns)
    if found is None:
        return None
    part = together([rows.variance(found.each) for rows in inputs], inputs)
    if found.level is None:
        return Open(part, found.each, found.value)
    return _quantile(found, part)


def _quantile(found: Influence, part: Part) -> Open:
    """Return the part of a quantile: how far it is to where the interval of the share below it ends.

    Source: Woodruff 1952, with the number of rows that would leave as much open in a share of independent ones (Korn
    and Graubard 1998), and levels at which order statistics of so many rows bound the quantile. Where none bounds one
    side, the interval is as wide as the other side, or as it is far to the outermost row: our choice, as nobody knows.
    """
    assert found.level is not None
    assert found.sorted_values is not None
    q, values = found.level, found.sorted_values
    if part.sd == 0.0:
        return Open(part, np.zeros_like(found.each), found.value, found)
    n = q * (1.0 - q) / part.sd**2
    low, high = bounding_levels(n, q)
    outermost = 0.5 / n, 1.0 - 0.5 / n
    is_bounded = low > 0.0 and high < 1.0
    ends = at_level(values, [min(q, max(low, outermost[0])), max(q, min(high, outermost[1]))])
    sides = abs(ends - found.value)
    per_share = float(sides.mean() if is_bounded else sides.max()) / part.half_width()
    return Open(Part(part.sd * per_share, part.df), found.each * per_share, found.value, found)


def bounding_levels(n: float, q: float, level: float = LEVEL) -> tuple[float, float]:
    """Return the levels among n rows between which their quantile at q lies, each side at a risk of (1 - level) / 2.

    The sorted row k of n lies below the quantile with the probability that a beta variable (k, n + 1 - k) does; n and k
    need not be whole. A level is 0 or 1 where no row is that far out.

    Examples
    --------
    >>> [round(level, 3) for level in bounding_levels(400, 0.99)]
    [0.979, 0.998]
    """
    from scipy.special import betainc

    risk = (1.0 - level) / 2.0

    def place(below: float) -> float:
        least, most = 0.0, n
        for _ in range(40):
            k = (least + most) / 2.0
            inside = 1.0 if k <= 0.0 else float(betainc(k, n + 1.0 - k, q))
            least, most = (k, most) if inside > below else (least, k)
        return (least + most) / 2.0

    low, high = ((place(below) - 0.5) / n for below in (1.0 - risk, risk))
    return max(0.0, low), 1.0 if high > 1.0 - 0.5001 / n else high


def luck_variance(parts: Sequence[Floats | None]) -> float:
    """Return the variance of a number of one replication by luck alone: a mean over replications, NaN if unknown.

    Parameters
    ----------
    parts : sequence of array or None
        Influences of each replication, in the unit of the number.
    """
    known = [batch_variance(each) for each in parts if each is not None]
    return float(np.mean(known)) if known else math.nan


def luck_influences(name: str, replications: Sequence[Columns]) -> list[Floats | None]:
    """Return influences by replication in the unit of a number; None where they are not known.

    Those on a share become those on a quantile by the density of values around it, which is that of all replications: a
    single one has too few values there.
    """
    found = [influence(name, columns) for columns in replications]
    per_share = float(np.mean([_per_share(each) for each in found if each is not None] or [1.0]))
    return [None if each is None else each.each * per_share for each in found]


def _per_share(found: Influence) -> float:
    if found.level is None or found.sorted_values is None:
        return 1.0
    q, values = found.level, found.sorted_values
    reach = max(1.0 / values.size, math.sqrt(q * (1.0 - q) / values.size))
    around = max(0.0, q - reach), min(1.0, q + reach)
    low, high = at_level(values, around)
    return float(high - low) / (around[1] - around[0])


def batch_variance(each: Floats) -> float:
    """Return the variance of the mean of influences, from sums over batches of consecutive requests."""
    n = each.size
    n_batches = min(BATCHES, n)
    if n_batches < 2:
        return math.nan
    edges = np.linspace(0, n, n_batches + 1).astype(np.int64)[:-1]
    sums = np.add.reduceat(each, edges)
    return float(np.var(sums, ddof=1)) * n_batches / n**2


def versions_half_widths(sample: Floats, luck: float, level: float = LEVEL) -> tuple[float, float]:
    """Return half-widths by luck alone, and with inputs, of a number whose replications had versions of their own.

    Parameters
    ----------
    sample : array of float, shape (R,)
        The number by replication; NaN where undefined.
    luck : float
        Variance by luck of one replication; NaN where unknown: then all of the spread is taken for the input's.

    Notes
    -----
    The truth lies from the mean over replications as far as one version does, and as the mean itself errs: variances
    (spread - luck) and spread / R, with degrees of freedom by Satterthwaite, at least a quarter of R - 1. Where luck is
    several times what the input leaves open, no interval from so few versions is exact; this one is then no wider than
    that of all of the spread.
    """
    known = sample[~np.isnan(sample)]
    if known.size < 2:
        return math.nan, math.nan
    spread = float(np.var(known, ddof=1))
    t = t_quantile(known.size - 1, level)
    n = known.size
    widest = spread * (1.0 + 1.0 / n)
    if math.isnan(luck):
        return math.nan, t * math.sqrt(widest)
    luck = min(luck, spread)  # luck is a part of the spread
    left = widest - luck
    # the difference of two variances is known worse than either; but it is no more than all of the spread
    df = max(left**2 / widest**2, LEAST_DF) * (n - 1) if widest > 0.0 else math.inf
    half = min(t_quantile(df, level) * math.sqrt(left), t * math.sqrt(widest))
    return t * math.sqrt(luck / n), max(half, t * math.sqrt(luck / n))
