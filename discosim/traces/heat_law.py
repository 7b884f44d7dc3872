"""Heat of a device over its work and rest, and what it gets done meanwhile: closed forms of `core.device_law.Heat`."""

from __future__ import annotations

from itertools import accumulate

import numpy as np
from numpy.typing import ArrayLike, NDArray

from discosim.core.device_law import Heat

Floats = NDArray[np.float64]


def speed(heat: Heat, h: ArrayLike) -> Floats:
    """Return the speed at heat ``h`` in [0, 1] over full speed, any shape."""
    over = np.maximum(np.asarray(h, dtype=float) - heat.onset, 0.0) / (1.0 - heat.onset)
    return np.asarray(1.0 - (1.0 - heat.floor) * over)


def warmed(heat: Heat, h: ArrayLike, busy_s: ArrayLike) -> Floats:
    """Return the heat after ``busy_s`` seconds of work that began at heat ``h``."""
    return np.asarray(1.0 - (1.0 - np.asarray(h, dtype=float)) * np.exp(-np.asarray(busy_s) / heat.heating_s))


def cooled(heat: Heat, h: ArrayLike, idle_s: ArrayLike) -> Floats:
    """Return the heat after ``idle_s`` seconds of rest that began at heat ``h``."""
    return np.asarray(np.asarray(h, dtype=float) * np.exp(-np.asarray(idle_s) / heat.cooling_s))


def work_done(heat: Heat, h: ArrayLike, busy_s: ArrayLike) -> Floats:
    """Return what ``busy_s`` seconds of work beginning at heat ``h`` get done, in s at full speed.

    Parameters
    ----------
    heat : Heat
        The law.
    h, busy_s : array of float
        Heat at the beginning, in [0, 1], and time at work, in s, >= 0; they broadcast.
    """
    start, busy = np.broadcast_arrays(np.asarray(h, dtype=float), np.asarray(busy_s, dtype=float))
    cold = np.maximum(1.0 - start, 1e-300)
    full_s = np.where(start < heat.onset, heat.heating_s * np.log(cold / (1.0 - heat.onset)), 0.0)
    full_s = np.minimum(full_s, busy)
    rest_s = busy - full_s
    left = (1.0 - np.maximum(start, heat.onset)) / (1.0 - heat.onset)
    eased_s = (1.0 - heat.floor) * left * heat.heating_s * -np.expm1(-rest_s / heat.heating_s)
    return np.asarray(full_s + heat.floor * rest_s + eased_s)


def mean_speed(heat: Heat, h: ArrayLike, from_s: ArrayLike, to_s: ArrayLike) -> Floats:
    """Return the mean speed between two moments of work that goes on since time 0, over full speed."""
    first, last = np.asarray(from_s, dtype=float), np.asarray(to_s, dtype=float)
    return np.asarray((work_done(heat, h, last) - work_done(heat, h, first)) / (last - first))


def heat_at_starts(heat: Heat, h: float, busy_s: Floats, idle_s: Floats) -> Floats:
    """Return the heat at the beginning of each piece of work.

    Parameters
    ----------
    heat : Heat
        The law.
    h : float
        Heat at the first.
    busy_s, idle_s : array of float, shape (n,)
        How long each works, and the rest after it, in s.
    """
    kept = np.exp(-busy_s / heat.heating_s)
    cooling = np.exp(-idle_s / heat.cooling_s)
    steps = zip((kept * cooling).tolist(), ((1.0 - kept) * cooling).tolist(), strict=True)
    found = list(accumulate(steps, lambda before, step: step[0] * before + step[1], initial=h))
    return np.asarray(found[:-1])
