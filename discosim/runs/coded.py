"""Text columns as codes, and whole numbers in as few bytes as they need."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from discosim.runs.placed import is_one_value

_NARROW = (np.int8, np.int16, np.int32)


def coded(values: NDArray[Any]) -> tuple[NDArray[np.int32], list[str]]:
    """Return the code of each row of a text column, and the words in the order in which each first comes.

    Rows of one word mostly lie together, token rows above all: only the first of each such stretch is looked up.
    """
    if is_one_value(values) and values.size > 0:
        return np.zeros(values.size, dtype=np.int32), values[:1].tolist()
    starts = np.flatnonzero(values[1:] != values[:-1]) + 1
    edges = np.concatenate(([0], starts, [values.size])) if values.size else np.zeros(1, dtype=np.int64)
    firsts = values[edges[:-1]].tolist()
    places = {word: place for place, word in enumerate(dict.fromkeys(firsts))}
    codes = np.fromiter(map(places.__getitem__, firsts), np.int32, len(firsts))
    return np.repeat(codes, np.diff(edges)), list(places)


def narrow(values: NDArray[Any]) -> NDArray[Any]:
    """Return whole numbers in the smallest type that holds them all; others as they are."""
    if values.dtype.kind != "i" or values.size == 0:
        return values
    least, most = values.min(), values.max()
    for kind in _NARROW:
        about = np.iinfo(kind)
        if about.min <= least and most <= about.max and kind().itemsize < values.itemsize:
            return values.astype(kind)
    return values
