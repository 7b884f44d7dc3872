"""How good an answer is assumed to be, by who wrote it and from what; nothing here was measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

from discosim.core.request import Segment

Pick = Literal["random", "perplexity", "similarity", "both"]


@dataclass(frozen=True)
class Written:
    """What a piece of text at the edge was made from.

    Parameters
    ----------
    rho : float
        Sketch tokens over answer tokens; 0 where there was no sketch.
    width : int
        Candidates per part, >= 1.
    pick : str
        How the shown candidate was found.
    is_suitable : bool
        Whether the question can be answered in parts.
    """

    rho: float = 0.0
    width: int = 1
    pick: Pick = "random"
    is_suitable: bool = True


@dataclass(frozen=True)
class QualityModel:
    """Assumed quality of an answer, in [0, 1].

    Parameters
    ----------
    cloud, device, edge : float
        Quality of an answer by the server's model, the device's model, and an edge model without any sketch.
    sketch_power : float
        How fast a sketch helps, > 0: what is missing to the server's quality shrinks by (1 - rho)^power.
    spread : float
        Standard deviation of the quality of one model's candidates, >= 0.
    pick_accuracy : mapping of str to float
        By pick rule, how much of the gain of the best of k candidates it realises, in [0, 1].
    unsuitable_loss : float
        What writing in parts costs where the question does not lend itself to it, in [0, 1].

    Notes
    -----
    q = q_cloud - (q_cloud - q_k) h(rho), h(rho) = (1 - rho)^power, so h(0) = 1 and h(1) = 0; q_k = q_edge +
    accuracy*spread*E[max of k standard normals], at most q_cloud.

    Source: form and all parameters are our assumption. That a sketch carries the meaning, and that several outputs are
    compared by perplexity and similarity, is PICE (arXiv 2501.09367; abstract, secondary source).
    """

    cloud: float = 0.9
    device: float = 0.7
    edge: float = 0.7
    sketch_power: float = 2.0
    spread: float = 0.08
    pick_accuracy: Mapping[str, float] = field(
        default_factory=lambda: {"random": 0.0, "perplexity": 0.4, "similarity": 0.5, "both": 0.7}
    )
    unsuitable_loss: float = 0.2

    def at_edge(self, written: Written) -> float:
        """Return the quality of text written at the edge."""
        gain = self.pick_accuracy[written.pick] * self.spread * expected_max(written.width)
        candidate = min(self.cloud, self.edge + gain) if self.edge < self.cloud else self.edge
        missing = math.pow(1.0 - min(1.0, written.rho), self.sketch_power)
        loss = 0.0 if written.is_suitable or not written.rho else self.unsuitable_loss
        return max(0.0, self.cloud - (self.cloud - candidate) * missing - loss)

    def of(
        self, segments: Sequence[Segment], written: Written, *, is_in_parts: bool, device_factor: float = 1.0
    ) -> float:
        """Return the quality of an answer: that of its writers, weighted by the tokens each wrote.

        What the device wrote is worth ``device_factor`` of what it is worth otherwise.
        """
        loss = 0.0 if written.is_suitable or not is_in_parts else self.unsuitable_loss
        device = device_factor * self.device
        by = {"server": max(0.0, self.cloud - loss), "device": device, "edge": self.at_edge(written)}
        total = sum(s.last_token - s.first_token + 1 for s in segments)
        return sum(by[s.counts_as] * (s.last_token - s.first_token + 1) for s in segments) / total


@cache
def expected_max(k: int) -> float:
    """Return the expected largest of ``k`` >= 1 independent standard normals, by the trapezoid rule to about 1e-6."""
    if k == 1:
        return 0.0
    step, total = 1e-3, 0.0
    for i in range(-8000, 8001):
        x = i * step
        below = 0.5 * (1.0 + math.erf(x / math.sqrt(2.0)))
        total += x * k * below ** (k - 1) * math.exp(-x * x / 2.0)
    return total * step / math.sqrt(2.0 * math.pi)
