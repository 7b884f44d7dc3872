"""All speed controllers by name."""

from __future__ import annotations

from discosim.policies.pacers.base import Pacer
from discosim.policies.pacers.constant import ConstantPacer
from discosim.policies.pacers.continuity import ContinuityPacer
from discosim.policies.pacers.feedback import FeedbackPacer
from discosim.policies.pacers.none import NoPacer

PACERS: dict[str, type[Pacer]] = {
    "constant": ConstantPacer,
    "continuity": ContinuityPacer,
    "feedback": FeedbackPacer,
    "none": NoPacer,
}
