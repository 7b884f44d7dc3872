"""First come, first served with chunked prefill: Sarathi-Serve's stall-free batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from discosim.core.spec import spec
from discosim.world.engine.job import Job
from discosim.world.engine.schedulers.base import NEVER, Orders, ReplicaView, Scheduler
from discosim.world.engine.schedulers.fcfs import preempt_newest, resume_oldest


@dataclass
class FcfsChunked(Scheduler):
    """Every iteration decodes all it can and fills the rest of a token budget with pieces of prompts.

    Notes
    -----
    A request takes the blocks of its whole prompt on admission. vLLM V1 takes those of a chunk with the chunk.
    """

    kind: ClassVar[str] = "fcfs_chunked"
    may_share_blocks: ClassVar[bool] = True
    source: ClassVar[str] = (
        "Sarathi-Serve (OSDI 2024); budget and order (decodes first) as in Vidur's implementation. With preempts: "
        "running as in vLLM V1 (v1/core/sched/scheduler.py)."
    )

    token_budget: int = spec(
        512, doc="Tokens of one iteration: one per decoding request, the rest for prefill.", unit="tok", ge=1
    )

    preempts: Literal["decoding", "running"] = spec(
        "decoding",
        doc="Whom a decode takes memory from: the newest of those who decode, or of all, those in their prefill first.",
        since="0.2",
    )

    def schedule(self, replica: ReplicaView) -> Orders:
        """Place the decodes, then prompts in order of arrival."""
        has_preempted = self.preempts == "running" and _preempt_prefilling(replica)
        has_preempted = preempt_newest(replica) or has_preempted
        has_moved = has_preempted or resume_oldest(replica)
        left = self.token_budget - len(replica.decoding)
        prefill: list[tuple[Job, int]] = []
        for job in replica.prefilling:
            if left <= 0:
                break
            chunk = min(left, job.prefill_left_tok)
            prefill.append((job, chunk))
            left -= chunk
        while left > 0 and replica.waiting and not replica.swapped and not has_preempted:
            job = next(iter(replica.waiting))
            # the decodes of this iteration come first, in memory too
            if not replica.fits(job) or replica.decode_shortfall() + replica.memory.blocks_of(job.context_tok) > 0:
                break
            replica.admit(job)
            if job.prefill_left_tok:
                chunk = min(left, job.prefill_left_tok)
                prefill.append((job, chunk))
                left -= chunk
            else:
                left -= 1
        return Orders(prefill, ask_after=1 if has_moved else NEVER, ask_on_arrival=not replica.waiting)


def _preempt_prefilling(replica: ReplicaView) -> bool:
    """Preempt the newest prefilling requests until the next decode fits; return whether any was."""
    has_preempted = False
    while replica.prefilling and replica.decode_shortfall() > 0:
        replica.preempt(next(reversed(replica.prefilling)))
        has_preempted = True
    return has_preempted
