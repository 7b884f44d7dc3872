"""Gaps inside one answer that differ by chance: a tape of times, of which each answer reads a stretch."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from discosim.core.portable import exp
from discosim.core.rng import RandomStreams

Floats = NDArray[np.float64]

Z99 = 2.3263478740408408
"""The 99th percentile of a standard normal; scipy, which knows it too, takes longer to load than a small run."""
JITTER_TAPE = 1 << 16
"""Gaps after which a tape begins again; it is twice as long, so that a stretch may begin anywhere."""


@lru_cache(maxsize=4)
def jittered(streams: RandomStreams, role: str, p99_over_p50: float) -> Floats:
    """Return the times of a tape's tokens, in units of the mean gap; shape (2 JITTER_TAPE + 1,), from 0.

    Gaps are log-normal with mean 1, so that the drawn TPOT stays the mean gap. Runs of a sweep that share a seed share
    it, as drawing takes a twentieth of a small run.
    """
    sigma = math.log(p99_over_p50) / Z99
    gaps = exp(sigma * streams.generator(role).standard_normal(2 * JITTER_TAPE) - sigma**2 / 2)
    tape: Floats = np.concatenate(([0.0], np.cumsum(gaps)))
    tape.flags.writeable = False
    return tape
