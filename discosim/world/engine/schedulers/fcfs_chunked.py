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
    With ``blocks: at_once`` a request takes the blocks of its whole prompt on admission. Else each chunk takes its own;
    one that finds none puts the newest request in its prefill out, in the end its own.
    """

    kind: ClassVar[str] = "fcfs_chunked"
    may_share_blocks: ClassVar[bool] = True
    source: ClassVar[str] = (
        "Sarathi-Serve (OSDI 2024); budget and order (decodes first) as in Vidur's implementation. With preempts: "
        "running and blocks: by_chunk as in vLLM V1 (v1/core/sched/scheduler.py, v1/core/kv_cache_manager.py)."
    )

    token_budget: int = spec(
        512, doc="Tokens of one iteration: one per decoding request, the rest for prefill.", unit="tok", ge=1
    )

    preempts: Literal["decoding", "running"] = spec(
        "decoding",
        doc="Whom a decode takes memory from: the newest of those who decode, or of all, those in their prefill first.",
        since="0.2",
    )

    blocks: Literal["at_once", "by_chunk", "by_chunk_unchecked"] = spec(
        "at_once",
        doc="When a prompt takes its KV blocks: all on admission, or each chunk its own, where the whole prompt must "
        "fit (vLLM V1's default) or the first chunk alone.",
        since="0.2",
    )

    def schedule(self, replica: ReplicaView) -> Orders:
        """Place the decodes, then prompts in order of arrival."""
        has_preempted = self.preempts == "running" and _preempt_prefilling(replica)
        has_preempted = preempt_newest(replica) or has_preempted
        has_moved = has_preempted or resume_oldest(replica)
        left = self.token_budget - len(replica.decoding)
        prefill: list[tuple[Job, int]] = []
        n_prefilling = len(replica.prefilling)
        for job in list(replica.prefilling):
            if left <= 0 or not (self.blocks == "at_once" or _extend(replica, job, left)):
                break
            chunk = min(left, job.prefill_left_tok)
            prefill.append((job, chunk))
            left -= chunk
        if len(replica.prefilling) < n_prefilling:
            has_preempted = has_moved = True
        while left > 0 and replica.waiting and not replica.swapped and not has_preempted:
            job = next(iter(replica.waiting))
            if not self._enters(replica, job, left):
                break
            if job.prefill_left_tok:
                chunk = min(left, job.prefill_left_tok)
                prefill.append((job, chunk))
                left -= chunk
            else:
                left -= 1
        return Orders(prefill, ask_after=1 if has_moved else NEVER, ask_on_arrival=not replica.waiting)

    def _enters(self, replica: ReplicaView, job: Job, left_tok: int) -> bool:
        """Admit a job that fits beside the decodes of this iteration, which come first in memory, too."""
        if self.blocks == "at_once":
            fits = replica.fits(job) and replica.decode_shortfall() + replica.memory.blocks_of(job.context_tok) <= 0
        else:
            fits = replica.fits(job, job.context_tok if self.blocks == "by_chunk" else left_tok)
        if fits:
            replica.admit(job, None if self.blocks == "at_once" else left_tok)
        return fits


def _extend(replica: ReplicaView, job: Job, left_tok: int) -> bool:
    """Take the blocks of a job's next chunk, from the newest requests in their prefill; False where it is put out."""
    if job not in replica.prefilling:
        return False
    tok = min(left_tok, job.prefill_left_tok)
    need = replica.memory.blocks_of(job.context_tok - job.prefill_left_tok + tok) - job.blocks
    while need > 0 and need + replica.decode_shortfall() > 0:
        victim = next(reversed(list(replica.prefilling)))
        replica.preempt(victim)
        if victim is job:
            return False
    replica.extend(job, tok)
    return True


def _preempt_prefilling(replica: ReplicaView) -> bool:
    """Preempt the newest prefilling requests until the next decode fits; return whether any was."""
    has_preempted = False
    while replica.prefilling and replica.decode_shortfall() > 0:
        replica.preempt(next(reversed(replica.prefilling)))
        has_preempted = True
    return has_preempted
