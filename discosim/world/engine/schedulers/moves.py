"""Moves that several schedulers share: bring a job in, make room for it, prefill whole prompts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from discosim.world.engine.job import Job, State
from discosim.world.engine.schedulers.base import NEVER, Orders, ReplicaView

MAX_PREFILL_TOK = 4096
"""Prompt tokens of one prefill iteration, as of the first-come-first-served scheduler."""


def enter(replica: ReplicaView, job: Job) -> None:
    """Admit a waiting job, or resume a swapped one."""
    if job.state is State.SWAPPED:
        replica.resume(job)
    else:
        replica.admit(job)


def outside(replica: ReplicaView) -> Iterator[Job]:
    """Return the jobs without KV on the GPU: the swapped ones, who were in before, and then the queue."""
    yield from list(replica.swapped)
    yield from list(replica.waiting)


def victims_for(replica: ReplicaView, job: Job, victims: Sequence[Job]) -> int | None:
    """Return how many victims, from the first on, must go so that a job fits; None where all are not enough."""
    memory = replica.memory
    missing = memory.blocks_of(job.context_tok) - (memory.free_blocks - memory.watermark_blocks)
    if job.state is State.SWAPPED or job.has_kv:
        missing += replica.decode_shortfall() + memory.free_blocks
    n = 0
    while missing > 0 or replica.n_resident - n >= replica.max_batch:
        if n == len(victims):
            return None
        missing -= blocks_held(replica, victims[n])
        n += 1
    return n


def blocks_held(replica: ReplicaView, job: Job) -> int:
    """Return the blocks a resident job would free."""
    if job.state is State.PREFILLING:
        return job.blocks
    return replica.memory.blocks_of(job.prompt_tok + replica.generated_of(job) - 1)


def prefill_first(replica: ReplicaView, max_prefill_tok: int, ask_after: int = NEVER) -> Orders:
    """Return orders that prefill whole prompts while there are any, at least one, and else decode.

    Source: vLLM without chunked prefill, which both papers on Andes build on: an iteration that prefills does not
    decode (authors' code).
    """
    prefill: list[tuple[Job, int]] = []
    left = max_prefill_tok
    for job in replica.prefilling:
        if prefill and job.prefill_left_tok > left:
            break
        prefill.append((job, job.prefill_left_tok))
        left -= job.prefill_left_tok
    if prefill:
        return Orders(prefill, decode=False)
    return Orders(ask_after=ask_after)
