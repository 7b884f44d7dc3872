"""The exact knapsack of Andes by dynamic programming over requests, batch size and memory.

Source: Andes (arXiv 2404.16283): maximise the sum of gains over at most B requests whose contexts fit into the memory;
O(M N B) time (secondary source). The paper finds it too slow for use and no better than the greedy packing; here it
is the greedy packing's yardstick, and a solver one can select.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from discosim.world.engine.schedulers.packing import most_that_fit

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def exact(value: Floats, weight: Ints, capacity: int, size: int, *, max_units: int | None = None) -> Ints:
    """Return the indices of the most valuable requests that fit, in rising order.

    Parameters
    ----------
    value : array of float, shape (n,)
        Gain of each, >= 0.
    weight : array of int, shape (n,)
        Memory of each, >= 1.
    capacity : int
        Memory in all, >= 0.
    size : int
        Most requests that may be chosen, >= 0.
    max_units : int, optional
        Measure memory in so few units of equal size that there are at most this many; weights are rounded up, so the
        choice still fits but may not be the best one. Exact where left out.
    """
    step = 1 if max_units is None else max(1, -(-capacity // max_units))
    units, room = -(-weight // step), capacity // step
    if most_that_fit(units, room) <= size:
        return _by_memory(value, units, room)
    return _by_memory_and_size(value, units, room, size)


def _by_memory(value: Floats, weight: Ints, room: int) -> Ints:
    """Solve where the batch size cannot bind: one row of best values per request."""
    best = np.zeros(room + 1)
    taken: list[Bools] = []
    for v, w in zip(value.tolist(), weight.tolist(), strict=True):
        improved = np.zeros(room + 1, dtype=np.bool_)
        if w <= room:
            with_it = best[: room + 1 - w] + v
            improved[w:] = with_it > best[w:]
            best[w:] = np.maximum(best[w:], with_it)
        taken.append(improved)
    chosen, left = [], room
    for i in range(len(taken) - 1, -1, -1):
        if taken[i][left]:
            chosen.append(i)
            left -= int(weight[i])
    return np.array(chosen[::-1], dtype=np.int64)


def _by_memory_and_size(value: Floats, weight: Ints, room: int, size: int) -> Ints:
    """Solve with both limits: a table of best values per request."""
    best = np.zeros((size + 1, room + 1))
    taken: list[Bools] = []
    for v, w in zip(value.tolist(), weight.tolist(), strict=True):
        improved = np.zeros(best.shape, dtype=np.bool_)
        if w <= room and size:
            with_it = best[:-1, : room + 1 - w] + v
            improved[1:, w:] = with_it > best[1:, w:]
            best[1:, w:] = np.maximum(best[1:, w:], with_it)
        taken.append(improved)
    chosen, left, places = [], room, size
    for i in range(len(taken) - 1, -1, -1):
        if taken[i][places, left]:
            chosen.append(i)
            left -= int(weight[i])
            places -= 1
    return np.array(chosen[::-1], dtype=np.int64)
