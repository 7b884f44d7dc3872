"""Sampling from a measured quantile table, with the measured lag-1 autocorrelation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from discosim.core.lookup import interpolated
from discosim.kernel.memory import remember, remember_in_row

Floats = NDArray[np.float64]

LEAST_OF_ROUND = 8
"""Entries of a round on average from which on many at once are quicker than one after the other."""


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
        return interpolated(np.asarray(u, dtype=float), *self._arrays)

    @cached_property
    def _arrays(self) -> tuple[Floats, Floats]:
        return np.array(self.levels), np.array(self.values)

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
        if remember_in_row(rho, shocks):
            return self.table.ppf(ndtr(shocks))
        before = 0.0
        latent = np.array([before := rho * before + shock for shock in shocks.tolist()], dtype=float)
        return self.table.ppf(ndtr(latent))

    def sample_by(self, owner: NDArray[np.int64] | Turns, rng: np.random.Generator) -> Floats:
        """Draw one value for each entry; those of one owner are consecutive values of a series of his own.

        Parameters
        ----------
        owner : array of int, shape (n,), or Turns
            Whose value each is. Where there is one owner, the values are those of :meth:`sample`.
        rng : numpy.random.Generator
            Draw i belongs to entry i.
        """
        turns = owner if isinstance(owner, Turns) else Turns.of(owner)
        if self.latent_rho == 0.0:
            return self.table.ppf(rng.random(turns.size))
        from scipy.special import ndtr

        return self.table.ppf(ndtr(turns.remember(self.latent_rho, rng.standard_normal(turns.size))))


@dataclass(frozen=True, eq=False)
class Turns:
    """Entries in the order of their owners' turns: all first ones, all second ones, and so on.

    Parameters
    ----------
    size : int
        Number of entries.
    rounds : tuple of (array of int, array of int)
        Of every round but the first, the entries and those before them of the same owners; empty where there are so
        many rounds that one entry after the other is quicker.
    before : array of int, shape (size,)
        The entry before each of the same owner; -1 for none.
    """

    size: int
    rounds: tuple[tuple[NDArray[np.int64], NDArray[np.int64]], ...]
    before: NDArray[np.int64]

    @classmethod
    def of(cls, owner: NDArray[np.int64]) -> Turns:
        """Return the turns of entries, given whose each is; cost O(n log n)."""
        n = owner.size
        before = np.full(n, -1)
        order = np.argsort(owner, kind="stable")
        is_same = owner[order[1:]] == owner[order[:-1]]
        before[order[1:][is_same]] = order[:-1][is_same]
        starts = np.flatnonzero(np.concatenate(([True], ~is_same))) if n else np.empty(0, dtype=np.int64)
        lengths = np.diff(np.append(starts, n))
        turn = np.empty(n, dtype=np.int64)
        turn[order] = np.arange(n) - np.repeat(starts, lengths)
        n_rounds = int(lengths.max()) if n else 0
        if n_rounds * LEAST_OF_ROUND > n:
            return cls(n, (), before)
        by_turn = np.argsort(turn, kind="stable")
        edges = np.searchsorted(turn[by_turn], np.arange(1, n_rounds + 1))
        rounds = [by_turn[low:high] for low, high in pairwise(edges.tolist())]
        return cls(n, tuple((now, before[now]) for now in rounds), before)

    def remember(self, rho: float, shocks: Floats) -> Floats:
        """Return standard normals from independent ones; each has correlation ``rho`` with its owner's one before."""
        step = float(np.sqrt(1.0 - rho**2))
        latent = shocks.copy()
        if remember(rho, step, self.before, latent):
            return latent
        if self.rounds:
            for now, before in self.rounds:
                latent[now] = rho * latent[before] + step * shocks[now]
            return latent
        values = shocks.tolist()
        for i, before_i in enumerate(self.before.tolist()):
            if before_i >= 0:
                values[i] = rho * values[before_i] + step * values[i]
        return np.array(values, dtype=float)
