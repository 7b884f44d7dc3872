"""Sampling from a measured quantile table, with the measured lag-1 autocorrelation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class QuantileTable:
    """A distribution known by its quantiles, linear in between.

    Parameters
    ----------
    levels : tuple of float
        Probabilities, increasing, first 0 and last 1.
    values : tuple of float
        Quantiles in the unit of the measured quantity, non-decreasing, as many as levels.
    """

    levels: tuple[float, ...]
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        levels, values = np.asarray(self.levels), np.asarray(self.values)
        well_formed = (
            levels.size == values.size >= 2
            and levels[0] == 0.0
            and levels[-1] == 1.0
            and bool(np.all(np.diff(levels) > 0))
            and bool(np.all(np.isfinite(values)))
            and bool(np.all(np.diff(values) >= 0))
        )
        if not well_formed:
            raise ValueError("a quantile table needs increasing levels from 0 to 1 and finite, non-decreasing values")

    @classmethod
    def of(cls, sample: ArrayLike, levels: Sequence[float]) -> QuantileTable:
        """Tabulate the linear-interpolated quantiles of a sample."""
        values = np.quantile(np.asarray(sample, dtype=float), levels)
        return cls(tuple(float(x) for x in levels), tuple(float(x) for x in values))

    @classmethod
    def constant(cls, value: float) -> QuantileTable:
        """Return the distribution of a constant."""
        return cls((0.0, 1.0), (value, value))

    def ppf(self, u: ArrayLike) -> Floats:
        """Return the quantile at probability ``u`` in [0, 1], any shape."""
        values: Floats = np.interp(np.asarray(u, dtype=float), self.levels, self.values)
        return values

    def cdf(self, x: ArrayLike) -> Floats:
        """Return the probability of a value of at most ``x``; flat runs give their upper end."""
        values, levels = np.asarray(self.values), np.asarray(self.levels)
        at = np.searchsorted(values, np.asarray(x, dtype=float), side="right")
        low = np.clip(at - 1, 0, values.size - 1)
        high = np.clip(at, 0, values.size - 1)
        width = values[high] - values[low]
        share = np.divide(np.asarray(x, dtype=float) - values[low], width, out=np.zeros_like(width), where=width > 0)
        inside = levels[low] + share * (levels[high] - levels[low])
        return np.where(at == 0, 0.0, np.where(at >= values.size, 1.0, inside))

    def mean(self) -> float:
        """Return the mean of the piecewise-linear quantile function."""
        levels, values = np.asarray(self.levels), np.asarray(self.values)
        return float(np.sum(np.diff(levels) * (values[1:] + values[:-1]) / 2))

    def scaled(self, factor: float) -> QuantileTable:
        """Return the distribution of ``factor`` (>= 0) times the quantity."""
        return QuantileTable(self.levels, tuple(v * factor for v in self.values))


@dataclass(frozen=True)
class CorrelatedSeries:
    """A stationary series: a quantile table for the values, a latent Gaussian AR(1) for their order.

    Parameters
    ----------
    table : QuantileTable
        Marginal distribution.
    latent_rho : float
        Lag-1 correlation of the latent Gaussian process, in (-1, 1). The digest builder chooses it so that the
        Pearson lag-1 autocorrelation of the *values* equals the measured one.

    Notes
    -----
    Source: Gaussian copula over an AR(1) process, our choice: it keeps the measured marginal exactly and has one
    parameter for the measured memory.
    """

    table: QuantileTable
    latent_rho: float = 0.0

    def sample(self, n: int, rng: np.random.Generator) -> Floats:
        """Draw a series of ``n`` consecutive values; cost O(n)."""
        if self.latent_rho == 0.0:
            return self.table.ppf(rng.random(n))
        from scipy.special import ndtr

        rho = self.latent_rho
        shocks = rng.standard_normal(n)
        shocks[1:] *= np.sqrt(1.0 - rho**2)
        latent = np.fromiter(accumulate(shocks.tolist(), lambda before, shock: rho * before + shock), float, n)
        return self.table.ppf(ndtr(latent))

    def sample_by(self, owner: NDArray[np.int64], rng: np.random.Generator) -> Floats:
        """Draw one value for each entry; those of one owner are consecutive values of a series of his own.

        Parameters
        ----------
        owner : array of int, shape (n,)
            Whose value each is. Where there is one owner, the values are those of :meth:`sample`.
        rng : numpy.random.Generator
            Draw i belongs to entry i.
        """
        if self.latent_rho == 0.0:
            return self.table.ppf(rng.random(owner.size))
        from scipy.special import ndtr

        rho, step = self.latent_rho, float(np.sqrt(1.0 - self.latent_rho**2))
        latent: list[float] = []
        last: dict[int, float] = {}
        for who, shock in zip(owner.tolist(), rng.standard_normal(owner.size).tolist(), strict=True):
            before = last.get(who)
            last[who] = now = shock if before is None else rho * before + step * shock
            latent.append(now)
        return self.table.ppf(ndtr(np.array(latent)))
