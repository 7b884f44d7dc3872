"""Round robin: everybody runs for a quantum, then those who wait get their turn."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from discosim.core.spec import spec
from discosim.world.engine.job import Job
from discosim.world.engine.schedulers.base import NEVER, Orders, ReplicaView, Scheduler
from discosim.world.engine.schedulers.moves import MAX_PREFILL_TOK, enter, outside, prefill_first, victims_for


@dataclass(kw_only=True)
class RoundRobin(Scheduler):
    """Serve in turns of ``quantum`` iterations; a job goes on beyond its turn while nobody needs its memory.

    Notes
    -----
    Those outside wait in one line, in order of arrival or of the end of their last turn. Its head comes in as soon as
    it fits, at the expense of the jobs whose turn is over, longest first.
    """

    kind: ClassVar[str] = "round_robin"
    may_decide_ahead: ClassVar[bool] = False
    source: ClassVar[str] = (
        "Baseline of Andes (arXiv 2404.16283) v1, vLLM with round robin (secondary source). Quantum in iterations and "
        "its length are our choice: the paper's was not readable."
    )

    quantum: int = spec(200, doc="Length of a turn; about one minute's reading at 4.5 tok/s is 270.", unit="1", ge=1)
    max_prefill_tok: int = spec(MAX_PREFILL_TOK, doc="Prompt tokens of one prefill iteration.", unit="tok", ge=1)

    _place: dict[int, int] = field(init=False, repr=False, default_factory=dict)
    """Place in line of each job outside."""
    _since: dict[Job, int] = field(init=False, repr=False, default_factory=dict)
    """Iteration at which each resident job's turn began, in order of it."""
    _n_places: int = field(init=False, repr=False, default=0)

    def schedule(self, replica: ReplicaView) -> Orders:
        """Let those in whose turn has come."""
        if replica.n_resident != len(self._since):
            self._since = {
                job: begun for job, begun in self._since.items() if job in replica.decoding or job in replica.prefilling
            }
        n_places = self._n_places
        if replica.waiting or replica.swapped:
            self._rotate(replica)
        orders = prefill_first(replica, self.max_prefill_tok)
        if orders.decode:
            while replica.decode_shortfall() > 0:
                self._preempt(replica, next(reversed(replica.decoding)))
            if self._n_places > n_places or replica.swapped:
                # somebody has just joined the line, or is swapped out and fits or not as the batch grows
                orders.ask_after = 1
            elif replica.waiting:
                orders.ask_after = self._until_next_turn(replica.iteration)
            else:
                self._place.clear()
        return orders

    def _rotate(self, replica: ReplicaView) -> None:
        self._line_up(replica)
        line = sorted(outside(replica), key=lambda job: self._place[job.job_id])
        over = [job for job, begun in self._since.items() if replica.iteration - begun >= self.quantum]
        for job in line:
            n = victims_for(replica, job, over)
            if n is None and replica.n_resident:
                return
            for victim in over[:n]:
                self._preempt(replica, victim)
            del over[:n]
            enter(replica, job)
            self._place.pop(job.job_id, None)
            self._since[job] = replica.iteration

    def _line_up(self, replica: ReplicaView) -> None:
        """Give those who have arrived since the last call their places; they stand at the end of the queue."""
        arrived: list[Job] = []
        for job in reversed(replica.waiting):
            if job.job_id in self._place:
                break
            arrived.append(job)
        for job in reversed(arrived):
            self._take_place(job)

    def _take_place(self, job: Job) -> None:
        self._place[job.job_id] = self._n_places
        self._n_places += 1

    def _preempt(self, replica: ReplicaView, job: Job) -> None:
        replica.preempt(job)
        del self._since[job]
        self._take_place(job)

    def _until_next_turn(self, iteration: int) -> int:
        """Return the iterations until the next turn ends; turns that have ended already did not help."""
        left = [begun + self.quantum - iteration for begun in self._since.values()]
        return min((n for n in left if n > 0), default=NEVER)
