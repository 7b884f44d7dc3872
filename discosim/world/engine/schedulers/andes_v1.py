"""Andes as its first paper describes it: greedy packing by gain per token, with a cap on preemptions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from discosim.core.spec import spec
from discosim.world.engine.job import Job
from discosim.world.engine.schedulers.andes_solver import Choice, Look, Solver, choose
from discosim.world.engine.schedulers.base import Orders, ReplicaView, Scheduler
from discosim.world.engine.schedulers.fcfs import preempt_newest
from discosim.world.engine.schedulers.moves import MAX_PREFILL_TOK, enter, outside, prefill_first, victims_for
from discosim.world.engine.schedulers.objectives import Objective


@dataclass(kw_only=True)
class AndesV1(Scheduler):
    """Serve those whose QoE gains most per token of memory.

    Notes
    -----
    A job that was not chosen keeps running where its memory is not needed: the paper's packing would leave the
    memory empty (our choice). A victim is the resident job of the lowest priority. The paper calls the solver at each
    iteration boundary; the authors' forks every 5th and every 10th iteration, and in between admit whoever fits. The
    latter is the default: called at each boundary, the packing lets every newcomer pass those put out before, and near
    the knee of the load it does worse than first come, first served. The chosen batch size binds newcomers only while
    somebody is outside or tokens are late: where everybody is inside and served fast enough, whoever fits may enter
    (our choice).
    """

    kind: ClassVar[str] = "andes_v1"
    may_decide_ahead: ClassVar[bool] = False
    source: ClassVar[str] = (
        "Andes (arXiv 2404.16283) v1: selective trigger, batch sizes pruned, greedy packing by gain over context, "
        "cap P on the mean number of preemptions per request (secondary sources). Its time per call is not simulated."
    )
    needs_live: ClassVar[bool] = True

    ahead_s: float = spec(50.0, doc="Horizon Delta-t; the paper finds no effect above 50.", unit="s", gt=0)
    objective: Objective = spec("average", doc="Mean QoE, worst QoE, or number of requests that are never late.")
    solver: Solver = spec("greedy", doc="Greedy packing, or the exact dynamic program.")
    trigger: float = spec(0.9, doc="Share of the KV memory above which the solver runs.", gt=0, le=1)
    max_preemptions: float | None = spec(
        1.0, doc="Cap P on the mean number of preemptions per request; null for none.", ge=0
    )
    n_sizes: int = spec(8, doc="Most batch sizes tried per call.", ge=1)
    solve_every: int = spec(10, doc="Iterations between two calls of the solver.", ge=1)
    max_prefill_tok: int = spec(MAX_PREFILL_TOK, doc="Prompt tokens of one prefill iteration.", unit="tok", ge=1)

    _size: int = field(init=False, repr=False, default=1 << 30)
    _n_preempted: int = field(init=False, repr=False, default=0)
    _n_seen: int = field(init=False, repr=False, default=0)
    _newest: int = field(init=False, repr=False, default=-1)

    def schedule(self, replica: ReplicaView) -> Orders:
        """Serve everybody while there is room, else solve."""
        look = Look(replica)
        if not look.jobs:
            return Orders()
        self._count_arrivals(look.jobs)
        if look.is_settled or not look.is_crowded(self.trigger):
            self._size = replica.max_batch
            admit_what_fits(replica, self._size)
        elif replica.iteration % self.solve_every == 0:
            choice = choose(look, self.ahead_s, self.objective, self.solver, self.n_sizes)
            self._size = choice.size
            self._rearrange(look, choice)
        else:
            admit_what_fits(replica, self._size)
        return orders_after(look, self._size, self.max_prefill_tok, self.solve_every)

    def _count_arrivals(self, jobs: list[Job]) -> None:
        """Keep count of the requests seen, which the cap P is relative to."""
        for job in reversed(jobs):
            if job.job_id <= self._newest:
                break
            self._n_seen += 1
        self._newest = max(self._newest, jobs[-1].job_id)

    def _may_preempt(self) -> int:
        if self.max_preemptions is None:
            return 1 << 30
        return max(0, int(self.max_preemptions * self._n_seen) - self._n_preempted)

    def _rearrange(self, look: Look, choice: Choice) -> None:
        """Bring the chosen in, best first, and put out others for them, worst first, as far as the cap allows."""
        replica, jobs = look.replica, look.jobs
        victims = unchosen_residents(look, choice)
        for i in choice.chosen.tolist():
            if look.is_resident[i]:
                continue
            n = victims_for(replica, jobs[i], victims)
            if n is None or n > self._may_preempt():
                break
            self._preempt(replica, victims, n)
            enter(replica, jobs[i])
        surplus = min(replica.n_resident - choice.size, len(victims), self._may_preempt())
        self._preempt(replica, victims, max(0, surplus))

    def _preempt(self, replica: ReplicaView, victims: list[Job], n: int) -> None:
        for job in victims[:n]:
            replica.preempt(job)
        del victims[:n]
        self._n_preempted += n


def unchosen_residents(look: Look, choice: Choice) -> list[Job]:
    """Return the resident jobs that the solver would not serve, worst first."""
    is_chosen = set(choice.chosen.tolist())
    return [look.jobs[i] for i in choice.order[::-1].tolist() if look.is_resident[i] and i not in is_chosen]


def admit_what_fits(replica: ReplicaView, size: int) -> None:
    """Admit whatever fits, in queue order, up to a batch of ``size``."""
    for job in outside(replica):
        if replica.n_resident >= size:
            return
        if replica.fits(job):
            enter(replica, job)


def orders_after(look: Look, size: int, max_prefill_tok: int, solve_every: int) -> Orders:
    """Return the orders once all moves are made.

    The solver is asked again at its next turn while somebody is outside, or at once where somebody outside fits all
    the same; with everybody inside it has nothing to decide until memory or speed run out.
    """
    replica = look.replica
    if replica.n_resident == 0:
        enter(replica, next(outside(replica)))
    orders = prefill_first(replica, max_prefill_tok)
    if orders.decode:
        if preempt_newest(replica) or replica.swapped:
            orders.ask_after = 1  # whether a swapped job fits changes with the batch's next growth
        elif replica.waiting:
            has_room = replica.n_resident < size and any(replica.fits(job) for job in replica.waiting)
            orders.ask_after = 1 if has_room else solve_every - replica.iteration % solve_every
        else:
            orders.ask_after = look.calm_iterations()
    return orders
