"""The most that any order of service can make of a load beyond saturation."""

from __future__ import annotations

import math

from discosim.core.errors import UserError


def qoe_ceiling(load: float) -> float:
    """Return the highest mean QoE of a long run at ``load`` times the saturation rate, in (0, 1].

    Answers are equally long, arrivals come for a time T that is long beside reading an answer, and everything is
    served by ``load * T``. The best order serves who has just come, and after T the newest of those left over:

        ``1/x + (1 - 1/x) (x - 1) (x ln(x / (x - 1)) - 1)``,    x = load,

    of which 1/x are the tokens that come in time, and the rest is what late tokens still count in Andes' ratio.

    Parameters
    ----------
    load : float
        Rate of requests over the highest rate that can be served, > 0.

    Source: derived in docs/invariants.md (no order of service keeps quality beyond saturation), for the QoE of Andes
    (arXiv 2404.16283) v2.
    """
    if load <= 1.0:
        return 1.0
    spare = load - 1.0
    return 1.0 / load + (1.0 - 1.0 / load) * spare * (load * math.log(load / spare) - 1.0)


def load_ceiling(target: float) -> float:
    """Return the highest load, in saturation rates, at which a long run may keep a mean QoE of ``target`` in (0.5, 1).

    Bisection on `qoe_ceiling`, which falls from 1 to 0.5. A target of 0.9 gives 1.142, one of 0.95 gives 1.060; where
    late tokens count nothing it would be ``1/target``.
    """
    if not 0.5 < target < 1.0:
        raise UserError(f"target is {target:g}; a QoE between 0.5 and 1 is needed")
    low, high = 1.0, 2.0
    while qoe_ceiling(high) > target:
        high *= 2.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if qoe_ceiling(middle) >= target else (low, middle)
    return low
