"""From what a service's times are drawn: a law, or the rows of a measurement in their own order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from discosim.core.empirical import CorrelatedSeries

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class RawSeries:
    """A measured series replayed in its own order from a random starting row.

    Parameters
    ----------
    values : tuple of float
        Measured values in measuring order, in s.
    """

    values: tuple[float, ...]

    def rows(self, n: int, rng: np.random.Generator) -> Ints:
        """Return which rows ``n`` draws are."""
        start = int(rng.integers(len(self.values)))
        rows: Ints = (start + np.arange(n)) % len(self.values)
        return rows

    def sample(self, n: int, rng: np.random.Generator) -> Floats:
        """Return ``n`` values in measured order, wrapping around."""
        return np.asarray(self.values)[self.rows(n, rng)]


Law = CorrelatedSeries | RawSeries


def mean_of(law: Law) -> float:
    """Return the mean of a law, in s."""
    if isinstance(law, RawSeries):
        return float(np.mean(law.values))
    return law.table.mean()
