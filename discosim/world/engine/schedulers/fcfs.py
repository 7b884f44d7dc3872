"""First come, first served, prefill first: the default of vLLM V0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from discosim.core.spec import spec
from discosim.world.engine.job import Job
from discosim.world.engine.schedulers.base import Orders, ReplicaView, Scheduler

DECODE = Orders()
BLOCKED = Orders(ask_on_arrival=False)


@dataclass
class Fcfs(Scheduler):
    """Admit from the head of the queue whenever it fits; an iteration either prefills or decodes.

    Notes
    -----
    While anything is swapped out, nothing is admitted. Where memory runs out, the newest resident request is
    preempted.
    """

    kind: ClassVar[str] = "fcfs"
    may_share_blocks: ClassVar[bool] = True
    source: ClassVar[str] = (
        "vLLM V0's default scheduler (prefill first, newest preempted first); priorities are left out. V1 is "
        "fcfs_chunked, by server.flavour: vllm-v1."
    )

    max_prefill_tok: int = spec(
        4096, doc="Prompt tokens of one prefill iteration; a longer prompt has one to itself.", unit="tok", ge=1
    )

    def schedule(self, replica: ReplicaView) -> Orders:
        """Prefill what fits; else decode."""
        waiting = replica.waiting
        if waiting and not replica.swapped:
            prefill = self._admit(replica)
            if prefill:
                return Orders(prefill, decode=False)
        has_moved = replica.decode_shortfall() > 0 and preempt_newest(replica)
        if replica.swapped and not has_moved:
            has_moved = resume_oldest(replica)
        if has_moved:
            return Orders(ask_after=1)  # what was blocked by the jobs moved may fit now
        # a queue that is blocked stays blocked until the batch changes: memory only shrinks meanwhile
        return BLOCKED if waiting or replica.swapped else DECODE

    def _admit(self, replica: ReplicaView) -> list[tuple[Job, int]]:
        prefill: list[tuple[Job, int]] = []
        budget = self.max_prefill_tok
        while replica.waiting:
            job = next(iter(replica.waiting))
            if not replica.fits(job) or (prefill and job.prefill_left_tok > budget):
                break
            replica.admit(job)
            if job.prefill_left_tok:
                budget -= job.prefill_left_tok
                prefill.append((job, job.prefill_left_tok))
        return prefill


def preempt_newest(replica: ReplicaView) -> bool:
    """Preempt the newest decoding requests until the next decode fits; return whether any was."""
    has_preempted = False
    while replica.decode_shortfall() > 0:
        replica.preempt(next(reversed(replica.decoding)))
        has_preempted = True
    return has_preempted


def resume_oldest(replica: ReplicaView) -> bool:
    """Bring swapped requests back in the order in which they left, while they fit; return whether any came."""
    has_resumed = False
    while replica.swapped and replica.fits(job := next(iter(replica.swapped))):
        replica.resume(job)
        has_resumed = True
    return has_resumed
