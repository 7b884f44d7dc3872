"""Pooled percentiles of hundreds of millions of token gaps in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_MANTISSA_BITS = 9
SHIFT = 52 - _MANTISSA_BITS
_FLOOR_EXPONENT, _CEILING_EXPONENT = -20, 17
_BIAS = 1023
FIRST = (_FLOOR_EXPONENT + _BIAS) << _MANTISSA_BITS
_N_BINS = ((_CEILING_EXPONENT - _FLOOR_EXPONENT) << _MANTISSA_BITS) + 2


@dataclass
class GapHistogram:
    """Counts of non-negative durations in log-linear bins.

    Every octave from 2^-20 s (about 1 us) to 2^17 s (about 36 h) is cut into 512 equal bins, so a bin is
    at most 0.196 % wide. Shorter gaps count as 0; longer ones share one bin. A percentile is the mean of
    the bin that holds it, so its relative error is below 0.2 %, and values that repeat exactly (a constant
    decode rate) come out exactly. Memory is 300 kB whatever the number of gaps.

    Notes
    -----
    Source: the log-linear bins of HdrHistogram. A bin is the exponent and the top nine bits of the
    mantissa, read off the float itself: no logarithm, hence the same bins on every platform.
    """

    counts: Ints = field(default_factory=lambda: np.zeros(_N_BINS, dtype=np.int64))
    sums_s: Floats = field(default_factory=lambda: np.zeros(_N_BINS))

    def add(self, gaps_s: Floats, *, n_padding: int = 0) -> None:
        """Count gaps; O(gaps).

        Parameters
        ----------
        gaps_s : array of float64
            Durations, seconds, >= 0, finite.
        n_padding : int
            Number of zeros among them that are no gaps (the first token of each row).
        """
        if gaps_s.size:
            at = _bins(gaps_s)
            low = int(at.min())  # the gaps of a batch lie in few of the bins
            at -= low
            found = np.bincount(at)
            mine = slice(low, low + found.size)
            self.counts[mine] += found
            self.sums_s[mine] += np.bincount(at, weights=gaps_s)
        self.counts[0] -= n_padding
        self.sums_s[0] = 0.0

    def add_repeated(self, gaps_s: Floats, times: Ints) -> None:
        """Count each gap of ``gaps_s`` (seconds) as often as ``times`` says; arrays of equal length."""
        at = _bins(gaps_s)
        np.add.at(self.counts, at, times)
        np.add.at(self.sums_s, at, gaps_s * times)
        self.sums_s[0] = 0.0

    def merge(self, other: GapHistogram) -> None:
        """Add the counts of another histogram."""
        self.counts += other.counts
        self.sums_s += other.sums_s

    def __len__(self) -> int:
        return int(self.counts.sum())

    def percentile(self, p: float) -> float:
        """Return percentile ``p`` in [0, 100], seconds, quantile method ``linear``; NaN without gaps."""
        n = len(self)
        if n == 0:
            return float("nan")
        rank = (n - 1) * p / 100.0
        low = int(rank)
        high = min(low + 1, n - 1)
        bins = np.searchsorted(np.cumsum(self.counts), [low, high], side="right")
        below, above = self.sums_s[bins] / self.counts[bins]
        return float(below + (above - below) * (rank - low))


def _bins(gaps_s: Floats) -> Ints:
    """Return the bin of each gap; bin 0 holds the gaps that count as 0."""
    at = np.ascontiguousarray(gaps_s).view(np.int64) >> SHIFT
    at -= FIRST - 1
    return np.clip(at, 0, _N_BINS - 1, out=at)


@dataclass
class PooledGaps:
    """The gaps of all answers of one policy in one replication: as delivered, as displayed, and between events."""

    delivered: GapHistogram = field(default_factory=GapHistogram)
    displayed: GapHistogram = field(default_factory=GapHistogram)
    events: GapHistogram = field(default_factory=GapHistogram)
