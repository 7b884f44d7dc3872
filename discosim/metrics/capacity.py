"""The highest load that keeps a quality: found by bisection, with an interval over replications."""

from __future__ import annotations

import math
from collections.abc import Callable

from discosim.core.errors import UserError


def capacity(quality: Callable[[float], float], target: float, low: float, high: float, *, tolerance: float) -> float:
    """Return the highest load between ``low`` and ``high`` at which ``quality`` still reaches ``target``.

    Bisection; about ``log2((high - low)/tolerance)`` runs. With common random numbers a replication meets the same
    luck at every load, so that its quality falls smoothly; the capacities of the replications, one each, are the sample
    for :func:`discosim.metrics.stats.t_interval`, and ratios of two policies' capacities are taken pair by pair.

    Parameters
    ----------
    quality : callable
        Load -> quality of one replication, falling with the load, for example the mean QoE.
    target : float
        Quality to be kept.
    low, high : float
        Loads with a quality of at least ``target`` and below it, 0 < low < high.
    tolerance : float
        Largest error of the answer, in the unit of the load, > 0.

    Raises
    ------
    UserError
        If the loads do not bracket the target.

    Source: capacity of Andes (arXiv 2404.16283): the largest request rate with an average QoE of at least 0.9 (v1) or
    0.95 (v2) (secondary sources); bisection and interval are our choice.
    """
    at_low, at_high = quality(low), quality(high)
    if math.isnan(at_low) or math.isnan(at_high) or not at_low >= target > at_high:
        raise UserError(
            f"loads {low:g} and {high:g} give {at_low:.4g} and {at_high:.4g}; they must lie on both sides of {target:g}"
        )
    while high - low > tolerance:
        middle = 0.5 * (low + high)
        if quality(middle) >= target:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)
