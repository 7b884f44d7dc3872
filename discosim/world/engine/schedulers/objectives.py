"""What serving a request is worth to Andes, under its three objectives."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from discosim.world.engine.schedulers.future_qoe import PERFECT

Floats = NDArray[np.float64]
Objective = Literal["average", "max_min", "perfect"]

DIGITS = 9
"""Gains are rounded to so many digits: the last bits of a time must not decide who runs."""


def gain(objective: Objective, served: Floats, waiting: Floats, now: Floats) -> Floats:
    """Return the value of serving each request until the horizon instead of letting it wait, >= 0, shape (n,).

    Parameters
    ----------
    objective : {"average", "max_min", "perfect"}
        Mean QoE, the QoE of the worst request, or the number of requests that are never late.
    served, waiting : array of float, shape (n,)
        QoE at the horizon if served and if not.
    now : array of float, shape (n,)
        QoE at present.

    Source: Andes (arXiv 2404.16283): ``Q_serve - Q_wait``; ``max(Q_min - Q_wait, 0)``;
    ``(1(Q_serve = 1) - 1(Q_wait = 1)) 1(Q_now = 1)`` (secondary sources). That ``Q_min`` is the smallest present QoE is
    our reading; with it max-min has no opinion while some request has a QoE of 0.
    """
    if objective == "average":
        value: Floats = np.maximum(served - waiting, 0.0)
    elif objective == "max_min":
        value = np.maximum(now.min(initial=1.0) - waiting, 0.0)
    else:
        value = ((served >= PERFECT) & (waiting < PERFECT) & (now >= PERFECT)).astype(np.float64)
    return value.round(DIGITS)
