"""Columns whose rows come out of order, batch by batch, for a known number of requests: nothing is held twice.

Most worlds leave many columns as they were: no edge tier, no sketch, no preemption. A column that holds one value alone
is held as that value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Columns = dict[str, NDArray[Any]]


class Placed:
    """Rows put in their places; that each comes once is for others to check.

    Parameters
    ----------
    n_rows : int
        How many will come.
    """

    def __init__(self, n_rows: int) -> None:
        self._n_rows = n_rows
        self._held: Columns = {}

    def put(self, rows: NDArray[np.int64], columns: Mapping[str, NDArray[Any]]) -> None:
        """Put values at rows; the columns have the same names each time."""
        places = np.clip(rows, 0, self._n_rows - 1)  # a row that there is not is found when all have come
        for name, values in columns.items():
            held = self._held.get(name)
            if held is None:
                held = self._held[name] = one_value(values, self._n_rows)
            if is_one_value(held):
                if _is_same(values, held[:1]):
                    continue
                held = self._held[name] = held.copy()
            held[places] = values

    def columns(self) -> Columns:
        """Return the columns; those of one value are views that cannot be written."""
        return self._held


def one_value(value: NDArray[Any], n_rows: int) -> NDArray[Any]:
    """Return a column of the first value of an array alone; it takes no memory and cannot be written."""
    held = value[:1].copy()
    if held.dtype.hasobject or not held.size:
        return np.broadcast_to(held, n_rows)
    column: NDArray[Any] = np.ndarray(n_rows, held.dtype, held, strides=(0,))  # a tenth of the time of broadcast_to
    column.flags.writeable = False
    return column


def is_one_value(column: NDArray[Any]) -> bool:
    """Tell whether a column is held as one value."""
    return column.strides == (0,)


def joined(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Put columns one after the other; a single one, or parts of one and the same value, take no memory."""
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    if first.size and all(is_one_value(part) and _is_same(part[:1], first[:1]) for part in parts):
        return one_value(first, sum(part.size for part in parts))
    return np.concatenate(parts)


def _is_same(values: NDArray[Any], one: NDArray[Any]) -> bool:
    """Tell whether all values are one, to the last bit: NaN is, and 0.0 is not -0.0."""
    if values.dtype.kind == "f":
        values, one = values.view(np.int64), one.view(np.int64)
    return bool((values == one).all())
