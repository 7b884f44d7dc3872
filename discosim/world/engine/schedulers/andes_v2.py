"""Andes as its second version describes it: the same knapsack, and a refiner that weighs what a swap of jobs costs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from discosim.core.spec import spec
from discosim.world.engine.job import Job
from discosim.world.engine.schedulers.andes_frame import AndesFrame, unchosen_residents
from discosim.world.engine.schedulers.andes_solver import Choice, Look
from discosim.world.engine.schedulers.base import ReplicaView
from discosim.world.engine.schedulers.future_qoe import FutureQoe
from discosim.world.engine.schedulers.moves import blocks_held, enter, victims_for

Bools = NDArray[np.bool_]


@dataclass(kw_only=True)
class AndesV2(AndesFrame):
    """Serve those whose QoE gains most per token of memory, if the gain exceeds what all lose while jobs change places.

    Notes
    -----
    The refiner pairs each admission, best first, with the resident jobs of least priority that make room for it, and
    stops at the first pair that does not pay. Gain of a pair: that of the admitted minus those of its victims, over
    Delta-t. Loss: what the QoE of the other resident jobs would lose if they stood still for as long as it takes to
    bring the victims back (recomputing their contexts, or moving them out and in), at the end of that time. That the
    victims' own loss counts, and that "cheapest" means least priority, is our reading. See `AndesFrame` for how often
    the solver is called and what happens in between.
    """

    kind: ClassVar[str] = "andes_v2"
    source: ClassVar[str] = (
        "Andes (arXiv 2404.16283) v2: knapsack as in v1, overhead-aware refiner instead of the cap (secondary source). "
        "Which of swap and recomputation is faster is not chosen per request: the replica is set up for one of them."
    )

    refiner: bool = spec(True, doc="Weigh the cost of preemptions; false preempts whatever the solver says.")

    def _rearrange(self, look: Look, choice: Choice) -> None:
        """Bring the chosen in, best first, until a pair of admission and victims does not pay."""
        replica, jobs, value = look.replica, look.jobs, choice.value
        rows = unchosen_residents(look, choice)
        victims = [jobs[i] for i in rows]
        stays = look.is_resident.copy()
        for i in choice.chosen.tolist():
            if look.is_resident[i]:
                continue
            n = victims_for(replica, jobs[i], victims)
            if n is None:
                return
            stays[rows[:n]] = False
            if n and self.refiner:
                gain = float(value[i]) - added_up(float(value[row]) for row in rows[:n])
                if gain <= self._loss(look, choice, stays, victims[:n]):
                    return
            for job in victims[:n]:
                replica.preempt(job)
            del victims[:n], rows[:n]
            enter(replica, jobs[i])

    def _loss(self, look: Look, choice: Choice, stays: Bools, victims: list[Job]) -> float:
        """Return the QoE that all who stay lose while the victims are put out and, one day, brought back."""
        stall_s = added_up(overhead_s(look.replica, job) for job in victims)
        rows = np.flatnonzero(stays)
        if stall_s <= 0.0 or rows.size == 0:
            return 0.0
        future = FutureQoe(look.live, look.now_s, stall_s, rows)
        return float((future.served(choice.token_s) - future.waiting()).sum())


def added_up(terms: Iterable[float]) -> float:
    """Return a sum in the order of its terms; what `sum` rounds depends on Python's version."""
    total = 0.0
    for term in terms:
        total += term
    return total


def overhead_s(replica: ReplicaView, job: Job) -> float:
    """Return how long the batch stands still because a resident job is preempted and brought back, in s."""
    blocks = blocks_held(replica, job)
    if replica.can_swap(blocks):
        return 2.0 * replica.swap_s(blocks)
    tok = job.prompt_tok + replica.generated_of(job)
    return replica.cost.prefill_s(tok, float(tok) ** 2)
