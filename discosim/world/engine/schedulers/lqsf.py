"""Least QoE slack first: who is most at risk runs, whatever memory it takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from discosim.core.spec import spec
from discosim.world.engine.schedulers.andes_solver import Choice, Look
from discosim.world.engine.schedulers.andes_v1 import admit_what_fits, orders_after, unchosen_residents
from discosim.world.engine.schedulers.base import Orders, Scheduler
from discosim.world.engine.schedulers.future_qoe import slack_s
from discosim.world.engine.schedulers.moves import MAX_PREFILL_TOK, enter, victims_for
from discosim.world.engine.schedulers.packing import greedy, ranked

if TYPE_CHECKING:
    from discosim.world.engine.replica import Replica


@dataclass(kw_only=True)
class Lqsf(Scheduler):
    """Where not all fit, serve by rising slack: tokens so far over rate, plus TTFT target, minus time since arrival.

    Notes
    -----
    A request that is late already has a negative slack and comes first, the latest of all before the others. The
    authors' code has a relative, LQF: the gain of Andes without the division by context; this is ``andes_code`` with
    ``weights: one``.
    """

    kind: ClassVar[str] = "lqsf"
    source: ClassVar[str] = (
        "Baseline LQSF of Andes (arXiv 2404.16283) v2: most at risk first, blind to memory use (secondary source); slack "
        "as in the authors' code. Trigger and call rate are those of the authors' code: our choice."
    )
    needs_live: ClassVar[bool] = True

    trigger: float = spec(0.9, doc="Share of the KV memory above which jobs are preempted.", gt=0, le=1)
    every: int = spec(10, doc="Iterations between two calls that may preempt.", ge=1)
    max_prefill_tok: int = spec(MAX_PREFILL_TOK, doc="Prompt tokens of one prefill iteration.", unit="tok", ge=1)

    def schedule(self, replica: Replica) -> Orders:
        """Serve everybody while there is room, else by slack."""
        look = Look(replica)
        if not look.jobs:
            return Orders()
        if look.is_crowded(self.trigger) and replica.iteration % self.every == 0:
            self._rearrange(look)
        else:
            admit_what_fits(replica)
        return orders_after(look, self.max_prefill_tok, self.every)

    @staticmethod
    def _rearrange(look: Look) -> None:
        replica, jobs = look.replica, look.jobs
        slack = slack_s(look.live, look.now_s)
        order = ranked(-slack, look.is_resident)
        chosen = greedy(order, look.weight, look.capacity, replica.max_batch)
        victims = unchosen_residents(look, Choice(order, chosen, -slack, replica.max_batch, 0.0))
        for i in chosen.tolist():
            if look.is_resident[i]:
                continue
            n = victims_for(replica, jobs[i], victims)
            if n is None:
                break
            for job in victims[:n]:
                replica.preempt(job)
            del victims[:n]
            enter(replica, jobs[i])
