"""Andes as its first paper describes it: greedy packing by gain per token, with a cap on preemptions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from discosim.core.spec import spec
from discosim.world.engine.job import Job
from discosim.world.engine.schedulers.andes_frame import AndesFrame, unchosen_residents
from discosim.world.engine.schedulers.andes_solver import Choice, Look
from discosim.world.engine.schedulers.base import ReplicaView
from discosim.world.engine.schedulers.moves import enter, victims_for


@dataclass(kw_only=True)
class AndesV1(AndesFrame):
    """Serve those whose QoE gains most per token of memory; the mean number of preemptions per request has a cap.

    Notes
    -----
    See `AndesFrame` for how often the solver is called and what happens in between.
    """

    kind: ClassVar[str] = "andes_v1"
    source: ClassVar[str] = (
        "Andes (arXiv 2404.16283) v1: selective trigger, batch sizes pruned, greedy packing by gain over context, "
        "cap P on the mean number of preemptions per request (secondary sources). Its time per call is not simulated."
    )

    max_preemptions: float | None = spec(
        1.0, doc="Cap P on the mean number of preemptions per request; null for none.", ge=0
    )

    _n_preempted: int = field(init=False, repr=False, default=0)
    _n_seen: int = field(init=False, repr=False, default=0)
    _newest: int = field(init=False, repr=False, default=-1)

    def _meet(self, jobs: list[Job]) -> None:
        """Keep count of the requests seen, which the cap P is relative to."""
        for job in reversed(jobs):
            if job.job_id <= self._newest:
                break
            self._n_seen += 1
        self._newest = max(self._newest, jobs[-1].job_id)

    def _note_overflow(self, n: int) -> None:
        if self.overflow == "priority":
            self._n_preempted += n

    def _may_preempt(self) -> int:
        if self.max_preemptions is None:
            return 1 << 30
        return max(0, int(self.max_preemptions * self._n_seen) - self._n_preempted)

    def _rearrange(self, look: Look, choice: Choice) -> None:
        """Bring the chosen in, best first, and put out others for them, worst first, as far as the cap allows."""
        replica, jobs = look.replica, look.jobs
        victims = [jobs[i] for i in unchosen_residents(look, choice)]
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
