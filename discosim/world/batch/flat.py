"""Rows of tokens end to end: how far along its row each token is, and what is known of a row by its first and last."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import compress, pairwise

import numpy as np
from numpy.typing import NDArray

from discosim.core.timeline import offsets_of

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Rows:
    """Where the tokens of each row lie; every row has at least one."""

    sizes: Ints

    @cached_property
    def offsets(self) -> Ints:
        """Where each row begins, and where the last one ends."""
        return offsets_of(self.sizes)

    @property
    def first(self) -> Ints:
        """Where the first token of each row lies."""
        return self.offsets[:-1]

    @property
    def last(self) -> Ints:
        """Where the last token of each row lies."""
        return self.offsets[1:] - 1

    @cached_property
    def index(self) -> Ints:
        """Place of each token in its row, from 0."""
        return np.arange(self.offsets[-1]) - np.repeat(self.first, self.sizes)

    def spread(self, of_rows: NDArray[np.generic]) -> NDArray[np.generic]:
        """Give every token what its row has."""
        return np.repeat(of_rows, self.sizes)


def ramps(rows: Rows, gap_s: Floats, start_s: Floats) -> Floats:
    """Return tokens that come at an even pace: ``index * gap + start``, as every endpoint rounds it."""
    times_s = np.repeat(gap_s, rows.sizes)
    times_s *= rows.index
    times_s += np.repeat(start_s, rows.sizes)
    return times_s


def kept_in_order(times_s: Floats, rows: Rows) -> Floats:
    """Let no token come before the one ahead of it, in place: the running maximum of each row."""
    falls = times_s[1:] < times_s[:-1]
    falls[rows.first[1:] - 1] = False
    if falls.any():  # most rows are in order already, and a running maximum leaves them as they are
        at = np.flatnonzero(falls)
        has_fall = np.zeros(rows.sizes.size, dtype=np.bool_)
        has_fall[np.searchsorted(rows.offsets, at, side="right") - 1] = True
        for start, end in compress(pairwise(rows.offsets.tolist()), has_fall.tolist()):
            row = times_s[start:end]
            np.maximum.accumulate(row, out=row)
    return times_s


def counted(is_so: Bools, rows: Rows) -> Ints:
    """Return of how many tokens of each row something is so."""
    found: Ints = np.add.reduceat(is_so, rows.first, dtype=np.int64)
    return found


def first_where(is_so: Bools, rows: Rows) -> Ints:
    """Return the place in its row of the first token of which something is so; its size where there is none."""
    at = np.append(np.flatnonzero(is_so), rows.offsets[-1])
    found = at[np.searchsorted(at, rows.first)]
    return np.minimum(found - rows.first, rows.sizes)
