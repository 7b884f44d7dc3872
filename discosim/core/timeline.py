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


@dataclass(frozen=True)
class Ragged:
    """Many timelines stored end to end: row i is ``values[offsets[i]:offsets[i + 1]]``."""

    values: Floats
    offsets: Ints

    @classmethod
    def of(cls, rows: Sequence[Floats]) -> Ragged:
        """Join rows (arrays of any length, also 0)."""
        sizes = np.fromiter((row.size for row in rows), dtype=np.int64, count=len(rows))
        offsets = np.concatenate(([0], np.cumsum(sizes)))
        values = np.concatenate(rows) if len(rows) else np.empty(0)
        return cls(values, offsets)

    def __len__(self) -> int:
        return int(self.offsets.size - 1)

    def row(self, i: int) -> Floats:
        """Return timeline ``i`` as a view."""
        return self.values[self.offsets[i] : self.offsets[i + 1]]

    def sizes(self) -> Ints:
        """Return the length of each row."""
        return np.diff(self.offsets)

    def token_index(self) -> Ints:
        """Return the position of every value inside its own row, from 0."""
        return np.arange(self.values.size) - np.repeat(self.offsets[:-1], self.sizes())


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
    lag = np.repeat(interval_s, delivered.sizes()) * delivered.token_index()
    shown = delivered.values - lag
    accumulate = np.maximum.accumulate
    for start, end in pairwise(delivered.offsets.tolist()):
        row = shown[start:end]
        accumulate(row, out=row)
    shown += lag
    # max(A_i, ...) exactly: adding and subtracting the lag may round below the arrival by one ulp
    np.maximum(shown, delivered.values, out=shown)
    return Ragged(shown, delivered.offsets)
