"""The clock as requests arrive: where it stands for each, and how those that somebody else serves are passed by."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

import numpy as np
import simpy
from numpy.typing import NDArray
from simpy.events import Timeout

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


def clock_at(arrival_s: Floats) -> Floats:
    """Return what the clock of a world shows when each request arrives: it goes there from the arrival before."""
    now_s = 0.0
    shown = []
    for at_s in arrival_s.tolist():
        if at_s > now_s:
            now_s += at_s - now_s
        shown.append(now_s)
    return np.array(shown)


def stops(env: simpy.Environment, arrival_s: Floats, is_served: Bools) -> Iterator[Timeout | int]:
    """Yield what to wait for, and in between the number of each request that is served now.

    The clock stops at each arrival, also of a request that is not served, as events of one moment come in the order in
    which they were made. Where nothing else happens before a later arrival, it goes straight there: nobody could tell.

    Parameters
    ----------
    env : simpy.Environment
        The clock.
    arrival_s : array of float, shape (n,)
        Arrivals.
    is_served : array of bool, shape (n,)
        Which requests are served.
    """
    arrivals, clock = arrival_s.tolist(), clock_at(arrival_s).tolist()
    k = 0
    for i in np.flatnonzero(is_served).tolist():
        while k < i:  # the arrivals from k on, up to the one before i, are passed by
            last = max(k, min(bisect_left(clock, env.peek(), k, i), i) - 1)
            now_s, at_s = env.now, clock[last]
            if last > k and now_s + (at_s - now_s) == at_s:
                yield Timeout(env, at_s - now_s)
                k = last + 1
                continue
            if arrivals[k] > now_s:
                yield Timeout(env, arrivals[k] - now_s)
            k += 1
        if arrivals[i] > env.now:
            yield Timeout(env, arrivals[i] - env.now)
        yield i
        k = i + 1
