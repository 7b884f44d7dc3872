"""The boundaries of the map: each a number from a closed form, positive on one side, and the effect it foretells."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from .closed_form import DECODE_J, OUTPUT_USD, READING_TOK_PER_S, Laws

GAIN = 10.0
"""A tail counts as shortened from this many per cent on. Source: our choice."""
SEEN = 1.0
"""A change of QoE counts from this many hundredths on. Source: our choice."""


@dataclass(frozen=True)
class Boundary:
    """One boundary.

    Parameters
    ----------
    policy : str
        Whom it speaks of.
    says : str
        What holds beyond it.
    at : callable
        Laws of a cell -> distance from the boundary, as a logarithm; positive beyond it.
    threshold : float
        Effect that parts the two sides, in the unit of the effect.
    is_above : bool
        Whether the effect lies above the threshold beyond the boundary.
    """

    policy: str
    says: str
    at: Callable[[Laws], float]
    threshold: float
    is_above: bool


def _disco_s_harms(laws: Laws) -> float:
    return math.log(laws.harmless_prefill_tok_per_s / laws.world.prefill_tok_per_s)


def _disco_d_gains(laws: Laws) -> float:
    return math.log((1.0 - GAIN / 100.0) * laws.service_p99_s / laws.disco_d_p99_s())


def _d_beats_s(laws: Laws) -> float:
    return math.log(laws.disco_s_p99_s() / laws.disco_d_p99_s())


def _two_beat_one(laws: Laws) -> float:
    return math.log((1.0 - GAIN / 100.0) * min(laws.service_p99_s, laws.phone_p99_s) / laws.race_p99_s)


def _handover_saves(laws: Laws) -> float:
    price = laws.handover_usd_per_j
    return math.log(price / laws.world.usd_per_j) if price > 0.0 else -math.inf


def _handover_stalls(laws: Laws) -> float:
    """Return how much slower than its reader a cheap phone is; of a dear one, what handing back loses."""
    if DECODE_J * laws.world.usd_per_j < OUTPUT_USD:
        return math.log(READING_TOK_PER_S / laws.world.decode_tok_per_s)
    lost = 100.0 * laws.handed_back_qoe
    return math.log(lost / SEEN) if lost > 0.0 else -math.inf


BOUNDARIES: dict[str, Boundary] = {
    "disco S, no harm": Boundary("disco S", "DiSCo-S lengthens the service's p99 TTFT", _disco_s_harms, 0.0, True),
    "disco D, gain": Boundary("disco D", "DiSCo-D cuts the service's p99 TTFT by 10 %", _disco_d_gains, -GAIN, False),
    "disco S or D": Boundary("disco S", "DiSCo-S has the longer p99 TTFT of the two", _d_beats_s, 0.0, True),
    "two beat one": Boundary("race", "a race cuts the better endpoint's p99 TTFT by 10 %", _two_beat_one, -GAIN, False),
    "P/D-Device's bill": Boundary(
        "pd_device", "P/D-Device costs less than the service alone", _handover_saves, 0.0, False
    ),
    "hand-over's QoE": Boundary("disco D", "handing over costs a hundredth of QoE", _handover_stalls, -SEEN, False),
}
