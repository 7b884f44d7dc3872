"""Choosing requests by priority until the memory is full: Andes' greedy packing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def ranked(priority: Floats, is_resident: Bools) -> Ints:
    """Return indices by descending priority; among equals those that run already come first, then the older.

    O(n log n). Source: ties are not settled by the paper; this order avoids moving memory for nothing.
    """
    return np.lexsort((~is_resident, -priority))


def greedy(order: Ints, weight: Ints, capacity: int, size: int) -> Ints:
    """Take requests in the given order while they fit, and stop at the first that does not.

    Parameters
    ----------
    order : array of int, shape (n,)
        Indices, best first.
    weight : array of int, shape (n,)
        Memory each would hold, >= 1.
    capacity : int
        Memory that may be held in all.
    size : int
        Most requests that may be taken.

    Returns
    -------
    array of int
        Indices taken, best first.

    Source: Andes (arXiv 2404.16283), greedy packing: "stop at the first that does not fit" (secondary source).
    """
    order = order[:size]
    n = int(np.searchsorted(np.cumsum(weight[order]), capacity, side="right"))
    return order[:n]


def most_that_fit(weight: Ints, capacity: int) -> int:
    """Return how many requests fit if the lightest go first: ``B_max`` of Andes."""
    return int(np.searchsorted(np.cumsum(np.sort(weight)), capacity, side="right"))
