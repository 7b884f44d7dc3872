"""First come, first served with chunked prefill: Sarathi-Serve's stall-free batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from discosim.core.spec import spec
from discosim.world.engine.job import Job
from discosim.world.engine.schedulers.base import NEVER, Orders, ReplicaView, Scheduler
from discosim.world.engine.schedulers.fcfs import preempt_newest, resume_oldest


@dataclass
class FcfsChunked(Scheduler):
    """Every iteration decodes all it can and fills the rest of a token budget with pieces of prompts."""

    kind: ClassVar[str] = "fcfs_chunked"
    source: ClassVar[str] = "Sarathi-Serve (OSDI 2024); budget and order (decodes first) as in Vidur's implementation."

    token_budget: int = spec(
        512, doc="Tokens of one iteration: one per decoding request, the rest for prefill.", unit="tok", ge=1
    )

    def schedule(self, replica: ReplicaView) -> Orders:
        """Place the decodes, then prompts in order of arrival."""
        has_preempted = preempt_newest(replica)
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
