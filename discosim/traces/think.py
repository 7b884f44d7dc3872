"""How long users of a closed loop think before they send each request."""

from __future__ import annotations

import math

import numpy as np

from discosim.core.request import Floats, Loop
from discosim.core.rng import RandomStreams
from discosim.core.scenario import ClosedLoopArrivals, ConstantThink, ExponentialThink, LognormalThink

THINK = "workload.think"


def draw_loop(law: ClosedLoopArrivals, n: int, streams: RandomStreams) -> Loop:
    """Draw the times before the first ``n`` requests of a closed loop; the first k do not depend on ``n``."""
    return Loop(law.users, _times_s(law, n, streams.generator(THINK)), in_waves=law.waves)


def _times_s(law: ClosedLoopArrivals, n: int, rng: np.random.Generator) -> Floats:
    match law.think_s:
        case ConstantThink(mean_s=mean_s):
            return np.full(n, mean_s)
        case ExponentialThink(mean_s=mean_s):
            return rng.exponential(mean_s, n)
        case LognormalThink(median_s=median_s, sigma=sigma):
            return rng.lognormal(math.log(median_s), sigma, n)
