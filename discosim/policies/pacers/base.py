"""What a speed controller knows, and the rule all share: a token comes no sooner than an interval after the last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from discosim.world.stream import ramp

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Outlook:
    """What the client expects when the first token arrives.

    Parameters
    ----------
    hand_over_s : float
        When the device is expected to generate its first token, simulation time in s.
    cloud_tok : int
        Tokens the cloud is expected to deliver, >= 1.
    cloud_gap_s, device_gap_s : float
        Time per token of the cloud and of the device, > 0.
    limit_s : float
        Longest interval the reader should see, > 0.
    """

    hand_over_s: float
    cloud_tok: int
    cloud_gap_s: float
    device_gap_s: float
    limit_s: float


class Pacer(Protocol):
    """A speed controller."""

    def display_s(self, arrival_s: Floats, n_cloud: int, outlook: Outlook) -> Floats:
        """Return when each token is shown, given all arrivals; nothing may depend on later arrivals."""
        ...


def spaced(arrival_s: Floats, interval_s: float, not_before_s: float = -np.inf) -> Floats:
    """Return ``D_k = max(A_k, D_(k-1) + interval)``, the first one no sooner than ``not_before_s``."""
    steps = ramp(arrival_s.size) * interval_s
    shown: Floats = np.maximum(np.maximum.accumulate(arrival_s - steps), not_before_s) + steps
    return np.maximum(shown, arrival_s)


def then_device(head_s: Floats, tail_s: Floats, interval_s: float, outlook: Outlook) -> Floats:
    """Show the device's tokens at the pace so far, or quicker where the device is quicker; slower if it is slower."""
    if not tail_s.size:
        return head_s
    pace_s = min(interval_s, outlook.device_gap_s) if outlook.device_gap_s > 0.0 else interval_s
    return np.concatenate((head_s, spaced(tail_s, pace_s, float(head_s[-1]) + pace_s)))
