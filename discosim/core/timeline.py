"""Token timelines as arrays: in-order delivery, pacing, and the reader's buffer.

A timeline is a float array, one entry per token, in seconds. A ragged batch holds many timelines end to end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


LONG_TOK = 32
"""Rows longer than this are taken one by one; an index of each value would cost more."""


@dataclass(frozen=True)
class Ragged:
    """Many timelines stored end to end: row i is ``values[offsets[i]:offsets[i + 1]]``."""

    values: Floats
    offsets: Ints

    @classmethod
    def of(cls, rows: Sequence[Floats]) -> Ragged:
        """Join rows (arrays of any length, also 0)."""
        offsets = offsets_of(np.fromiter(map(len, rows), dtype=np.int64, count=len(rows)))
        return cls(np.concatenate(rows) if offsets[-1] else np.empty(0), offsets)

    def __len__(self) -> int:
        return int(self.offsets.size - 1)

    def row(self, i: int) -> Floats:
        """Return timeline ``i`` as a view."""
        return self.values[self.offsets[i] : self.offsets[i + 1]]

    def part(self, start: int, stop: int) -> Ragged:
        """Return rows ``start`` to ``stop`` as a view."""
        offsets = self.offsets[start : stop + 1]
        return Ragged(self.values[offsets[0] : offsets[-1]], offsets - offsets[0])

    def take(self, rows: Ints) -> Ragged:
        """Return the rows of these numbers, in their order, as a batch of their own."""
        if rows.size and rows[-1] - rows[0] == rows.size - 1 and (rows[1:] > rows[:-1]).all():  # neighbours: a view
            offsets = self.offsets[rows[0] : rows[-1] + 2]
            return Ragged(self.values[offsets[0] : offsets[-1]], offsets - offsets[0])
        sizes = self.sizes()
        chosen = sizes[rows]
        if self.values.size > LONG_TOK * sizes.size:
            first, last = runs_of(rows)
            bounds = zip(self.offsets[first].tolist(), self.offsets[last + 1].tolist(), strict=True)
            parts = [self.values[start:end] for start, end in bounds]
            return Ragged(np.concatenate(parts) if parts else np.empty(0), offsets_of(chosen))
        if not (rows[1:] > rows[:-1]).all():
            at, offsets = rows_at(self.offsets, rows)
            return Ragged(self.values[at], offsets)
        if chosen.sum() == self.values.size:  # all that are not empty: nothing moves
            return Ragged(self.values, offsets_of(chosen))
        is_chosen = np.zeros(sizes.size, dtype=np.bool_)
        is_chosen[rows] = True
        return Ragged(self.values[np.repeat(is_chosen, sizes)], offsets_of(chosen))

    @classmethod
    def joined(cls, parts: Sequence[Ragged]) -> Ragged:
        """Put batches one after the other."""
        sizes = np.concatenate([part.sizes() for part in parts])
        return cls(np.concatenate([part.values for part in parts]), offsets_of(sizes))

    @classmethod
    def interleaved(cls, parts: Sequence[Ragged], rows: Ints) -> Ragged:
        """Return ``joined(parts).take(rows)``, copied once; quick where neighbours stay neighbours."""
        begins = offsets_of(np.array([len(part) for part in parts], dtype=np.int64))
        sizes = np.concatenate([part.sizes() for part in parts])[rows]
        if not sizes.any():
            return cls(np.empty(0), offsets_of(sizes))
        first, last = runs_of(rows, begins)
        owner = np.searchsorted(begins, first, side="right") - 1
        first, last = first - begins[owner], last - begins[owner]
        runs = zip(owner.tolist(), first.tolist(), last.tolist(), strict=True)
        values = [parts[k].values[parts[k].offsets[start] : parts[k].offsets[end + 1]] for k, start, end in runs]
        return cls(np.concatenate(values), offsets_of(sizes))

    def sizes(self) -> Ints:
        """Return the length of each row."""
        return np.diff(self.offsets)

    def token_index(self) -> Ints:
        """Return the position of every value inside its own row, from 0."""
        index = np.arange(self.values.size)
        index -= np.repeat(self.offsets[:-1], self.sizes())
        return index


def offsets_of(sizes: Ints) -> Ints:
    """Return where rows of these sizes begin when they lie end to end, and where the last one ends."""
    offsets = np.zeros(sizes.size + 1, dtype=np.int64)
    np.cumsum(sizes, out=offsets[1:])
    return offsets


def runs_of(rows: Ints, cuts: Ints | None = None) -> tuple[Ints, Ints]:
    """Return the first and the last row of each run of neighbours; none goes over one of the ``cuts``."""
    is_new = np.ones(rows.size, dtype=np.bool_)
    np.not_equal(rows[1:], rows[:-1] + 1, out=is_new[1:])
    if cuts is not None:
        is_new |= np.isin(rows, cuts)
    at = np.flatnonzero(is_new)
    return rows[at], rows[np.append(at[1:], rows.size) - 1] if at.size else rows[at]


def rows_at(offsets: Ints, rows: Ints) -> tuple[Ints, Ints]:
    """Return where the values of chosen rows lie, in their order, and the offsets that these values then have."""
    sizes = np.diff(offsets)[rows]
    chosen = offsets_of(sizes)
    return np.arange(chosen[-1]) + np.repeat(offsets[:-1][rows] - chosen[:-1], sizes), chosen


def paced(delivered: Ragged, interval_s: Floats) -> Ragged:
    """Show each token when it has arrived and the reader is done with the one before.

    ``D_1 = A_1`` and ``D_i = max(A_i, D_{i-1} + interval)``, solved as a running maximum.

    Parameters
    ----------
    delivered : Ragged
        Arrival times at the client, non-decreasing in each row.
    interval_s : array of float, shape (rows,)
        Reading time of one token per row, >= 0.

    Source: consumption curve of Andes v2 (c_i = max(delivery_i, c_{i-1} + delta)), there used for QoE; here also
    what the screen does.
    """
    return held_back(delivered, schedule_lag(delivered, interval_s))


def schedule_lag(timelines: Ragged, interval_s: Floats) -> Floats:
    """Return how long after the first token of its row each token is read where no reader waits, shape (tokens,)."""
    lag = np.repeat(interval_s, timelines.sizes())
    lag *= timelines.token_index()
    return lag


def held_back(delivered: Ragged, lag: Floats) -> Ragged:
    """Show tokens as :func:`paced` does, given the lag of each behind the first of its row."""
    shown = delivered.values - lag
    accumulate = np.maximum.accumulate
    for start, end in pairwise(delivered.offsets.tolist()):
        row = shown[start:end]
        accumulate(row, out=row)
    shown += lag
    # max(A_i, ...) exactly: adding and subtracting the lag may round below the arrival by one ulp
    np.maximum(shown, delivered.values, out=shown)
    return Ragged(shown, delivered.offsets)
