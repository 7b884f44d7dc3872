"""The floor of a replica: its jobs, its memory, and the verbs that move a job from one place to another.

Nothing here knows of time passing; `replica` adds the iterations.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from heapq import heappush
from typing import Literal

import numpy as np

from discosim.core.errors import InvariantError
from discosim.world.engine.ahead import Unseen
from discosim.world.engine.caching_memory import CachingMemory
from discosim.world.engine.costs.base import CostModel
from discosim.world.engine.job import Job, State
from discosim.world.engine.live import LiveTable
from discosim.world.engine.memory import KvMemory
from discosim.world.engine.prefix import PrefixCache
from discosim.world.engine.schedulers.base import LiveArrays, Scheduler
from discosim.world.engine.steps import StepLog

Role = Literal["both", "prefill", "decode"]


@dataclass(frozen=True)
class ReplicaModel:
    """What every replica of a pool has.

    Parameters
    ----------
    cost : CostModel
        Iteration times.
    kv_blocks, block_tok : int
        KV memory, >= 1.
    watermark : float
        Share of the blocks that admission leaves free, in [0, 1). Source: vLLM, 1 %.
    max_batch : int
        Most resident requests, >= 1.
    preemption : str
        ``recompute`` or ``swap``.
    host_blocks : int
        Host memory for swapped requests, in blocks.
    swap_s_per_block : float
        Time to move one block between GPU and host. The whole batch stalls meanwhile (Andes, secondary source).
    role : str
        ``both``, or the pool it belongs to where prefill and decode are apart.
    prefix_blocks, prefix_block_tok : int
        Size of the prefix cache, and tokens per hashed block; 0 blocks for none.
    caches_inside : bool
        Whether free blocks keep what they hold until they are taken; see `caching_memory`. Then ``prefix_blocks`` is 0,
        and ``prefix_block_tok`` a multiple of ``block_tok``.
    decides_ahead : bool
        Whether an iteration is decided while the one before runs; see `ahead`.
    """

    cost: CostModel
    kv_blocks: int
    block_tok: int = 16
    watermark: float = 0.01
    max_batch: int = 256
    preemption: Literal["recompute", "swap"] = "recompute"
    host_blocks: int = 0
    swap_s_per_block: float = 0.0
    role: Role = "both"
    prefix_blocks: int = 0
    prefix_block_tok: int = 512
    caches_inside: bool = False
    decides_ahead: bool = False


class Floor:
    """Jobs of one replica and where they stand; see `schedulers.base` for what a scheduler may do with it.

    Attributes
    ----------
    now_s : float
        Time of the newest boundary.
    iteration : int
        Iterations so far.
    steps : StepLog
        The ends of those that decoded.
    pending_tok, n_live : int
        Tokens still to be prefilled; jobs that are not over.
    batch_s, kv_tok_s : float
        Integrals of resident jobs and of KV tokens held over time, of stays that have ended.
    queue_peak, host_peak_blocks : int
        Longest queue; most host memory in use.
    """

    def __init__(self, model: ReplicaModel, scheduler: Scheduler) -> None:
        self.model = model
        self.scheduler = scheduler
        self.cost = model.cost
        self.max_batch = model.max_batch
        size = (model.kv_blocks, model.block_tok, math.ceil(model.watermark * model.kv_blocks))
        self.memory = CachingMemory(*size, model.prefix_block_tok) if model.caches_inside else KvMemory(*size)
        self.host_free_blocks = model.host_blocks
        self.waiting: OrderedDict[Job, None] = OrderedDict()
        self.prefilling: dict[Job, None] = {}
        self.decoding: dict[Job, None] = {}
        self.swapped: dict[Job, None] = {}
        self.now_s = 0.0
        self.iteration = 0
        self.steps = StepLog()
        self.context_tok = 0
        self.pending_tok = 0
        self.n_live = 0
        self.batch_s = self.kv_tok_s = 0.0
        self.queue_peak = 0
        self.host_peak_blocks = 0
        self._n_held = 0  # prefilled jobs whose KV has not left yet
        self._unseen = Unseen() if model.decides_ahead else None
        self._decided_s = 0.0  # whose news the scheduler decides on, where it decides ahead
        self._gpu_clock_s = 0.0  # GPU time that a job in every decode batch would have been charged
        self._kv_clock = 0.0  # integral of the decode step over time
        self._stall_s = 0.0  # swap traffic that the next iteration waits for
        self._finishes: list[tuple[int, int, Job]] = []
        self._table = LiveTable(self) if scheduler.needs_live else None
        self._prefix = PrefixCache(model.prefix_blocks, model.prefix_block_tok) if model.prefix_blocks else None

    # --- what a scheduler may do ------------------------------------------------------------------------------

    @property
    def n_resident(self) -> int:
        """Jobs that hold KV memory and are at work."""
        return len(self.prefilling) + len(self.decoding)

    @property
    def n_waiting(self) -> int:
        """Jobs in the queue, those included whom the scheduler has not seen."""
        return len(self.waiting) + (0 if self._unseen is None else len(self._unseen.jobs))

    def n_unseen_before(self, at_s: float) -> int:
        """Return how many had come before ``at_s`` of those whom the scheduler has not seen."""
        return 0 if self._unseen is None else sum(job.queued_s < at_s for job in self._unseen.jobs)

    def decode_shortfall(self) -> int:
        """Return the blocks missing for one more decode iteration of the whole batch; <= 0 where it fits."""
        return self.memory.next_growth(self.steps.n) - self.memory.free_blocks

    def swap_s(self, n_blocks: int) -> float:
        """Return the time to move blocks between GPU and host, one way."""
        return n_blocks * self.model.swap_s_per_block

    def can_swap(self, n_blocks: int) -> bool:
        """Tell whether a job that decodes and holds so many blocks would go to host memory, were it preempted now."""
        return self.model.preemption == "swap" and n_blocks <= self.host_free_blocks

    def fits(self, job: Job, tok: int | None = None) -> bool:
        """Tell whether a waiting job can be admitted, or a swapped one resumed; see `schedulers.base` for ``tok``.

        Blocks down to the watermark are for growth; a replica without any resident job ignores the watermark, else
        one that has outgrown it would wait for ever. A job that joins the decode batch at once also needs room for
        the batch's next token.
        """
        memory = self.memory
        resident = len(self.prefilling) + len(self.decoding)
        if self._unseen is not None:
            resident += len(self._unseen.left)
        if resident >= self.max_batch:
            return False
        spare = memory.free_blocks - (memory.watermark_blocks if resident + self._n_held else 0)
        if job.state is State.SWAPPED or job.has_kv:
            # its KV lacks the newest token, whose place it needs in the next iteration
            return memory.blocks_of(job.context_tok) + memory.next_growth(self.steps.n) <= spare
        if tok is None:
            return memory.need(job) <= spare
        return memory.need(job, tok) + memory.next_growth(self.steps.n) <= spare

    def admit(self, job: Job, tok: int | None = None) -> None:
        """Take a waiting job in, with the blocks of its whole prompt, or of the first ``tok`` tokens to compute."""
        del self.waiting[job]
        if job.scheduled_s == math.inf:
            job.scheduled_s = self.now_s if self._unseen is None else max(self._decided_s, job.queued_s)
        context_tok = job.context_tok
        if job.has_kv:
            job.has_kv = False
            self.memory.take(self.memory.blocks_of(context_tok - 1))
            self._join(job)
            return
        hit_tok = 0 if self._prefix is None else min(self._prefix.hit_tok(job.hashes), context_tok - 1)
        hit_tok += self.memory.hold(job, None if tok is None else hit_tok + tok)  # one of both finds something
        job.held_tok = context_tok if tok is None else min(context_tok, hit_tok + tok)
        job.blocks = self.memory.blocks_of(job.held_tok)
        if hit_tok:
            self.pending_tok -= hit_tok
            job.prefill_left_tok = context_tok - hit_tok
        job.state = State.PREFILLING
        job.mark_s = self.now_s
        self.prefilling[job] = None
        self._note(job)

    def extend(self, job: Job, tok: int) -> None:
        """Take the blocks that the next ``tok`` tokens of a prompt need beyond those it has."""
        held_tok = job.context_tok - job.prefill_left_tok + tok
        if held_tok > job.held_tok:
            self._note_stay(job)
            job.mark_s = self.now_s
            blocks = self.memory.blocks_of(held_tok)
            self.memory.take(blocks - job.blocks)
            job.held_tok, job.blocks = held_tok, blocks
            self._note(job)

    def preempt(self, job: Job) -> None:
        """Take a resident job out: to host memory where it may be swapped and there is room, else back to the queue."""
        job.n_preemptions += 1
        if job.state is State.DECODING:
            blocks = self._leave(job)
            can_swap, computed_tok = self.can_swap(blocks), job.context_tok - 1
        else:
            blocks, can_swap, computed_tok = self._leave_prefill(job), False, job.context_tok - job.prefill_left_tok
        self.memory.drop(job, blocks, 0 if can_swap else computed_tok)
        job.blocks = 0
        if can_swap:
            job.blocks = blocks
            job.state = State.SWAPPED
            self.host_free_blocks -= blocks
            self.host_peak_blocks = max(self.host_peak_blocks, self.model.host_blocks - self.host_free_blocks)
            self._stall_s += self.swap_s(blocks)
            self.swapped[job] = None
        else:
            self.pending_tok += job.context_tok - job.prefill_left_tok
            job.prefill_left_tok = job.context_tok
            job.state = State.WAITING
            self.waiting[job] = None
            self.waiting.move_to_end(job, last=False)
            self.queue_peak = max(self.n_waiting, self.queue_peak)
        self._note(job)

    def resume(self, job: Job) -> None:
        """Bring a swapped job back; the batch waits for the traffic."""
        del self.swapped[job]
        self.host_free_blocks += job.blocks
        self._stall_s += self.swap_s(job.blocks)
        self.memory.take(job.blocks)
        self._join(job)

    def live(self) -> LiveArrays:
        """Return all live jobs as arrays; only for schedulers that declare ``needs_live``."""
        if self._table is None:
            raise InvariantError(f"scheduler {self.scheduler.kind} reads live() but does not declare needs_live")
        return self._table.arrays()

    def generated_of(self, job: Job) -> int:
        """Return the answer tokens a job has made at the newest boundary."""
        return job.base_tok + (self.steps.n - job.join_step if job.state is State.DECODING else 0)

    # --- moving jobs ------------------------------------------------------------------------------------------

    def _note(self, job: Job) -> None:
        if self._table is not None:
            self._table.note(job)

    def _join(self, job: Job) -> None:
        """Let a job with KV decode from the next iteration on."""
        step, context_tok = self.steps.n, job.prompt_tok + job.base_tok
        job.state = State.DECODING
        job.blocks = 0
        job.join_step = step
        job.lead_tok = context_tok - step
        job.finish_step = step + job.answer_tok - job.base_tok
        job.mark_s = self.now_s
        job.gpu_mark_s = self._gpu_clock_s
        job.kv_mark = self._kv_clock
        heappush(self._finishes, (job.finish_step, job.job_id, job))
        self.decoding[job] = None
        self.context_tok += context_tok
        self.memory.join(job.lead_tok)
        if self._table is not None:
            self._table.note(job)
        if job.is_watched:
            job.owner.on_join()

    def _leave(self, job: Job) -> int:
        """Take a job out of the decode batch; return the blocks it held."""
        del self.decoding[job]
        step, lead_tok = self.steps.n, job.lead_tok
        if step > job.join_step:
            made_s = self.steps.since(job.join_step)
            spans = job.spans
            if len(spans) == 1 and isinstance(spans[0], float):  # nearly always: one prefill, one stay
                whole_s = np.empty(made_s.size + 1)
                whole_s[0] = spans[0]
                whole_s[1:] = made_s
                spans[0] = whole_s
            else:
                spans.append(made_s.copy())
            job.base_tok += step - job.join_step
        self.context_tok -= lead_tok + step
        self.memory.join(lead_tok, -1)
        job.gpu_s += self._gpu_clock_s - job.gpu_mark_s
        stay_s = self.now_s - job.mark_s
        kv_tok_s = (lead_tok - 1) * stay_s + self._kv_clock - job.kv_mark
        job.kv_tok_s += kv_tok_s
        self.kv_tok_s += kv_tok_s
        self.batch_s += stay_s
        return self.memory.blocks_of(lead_tok + step - 1)

    def _leave_prefill(self, job: Job) -> int:
        """Take a job out of prefilling; return the blocks it held."""
        del self.prefilling[job]
        self._note_stay(job)
        return job.blocks

    def _note_stay(self, job: Job) -> None:
        """Charge a job in its prefill for the memory it has held."""
        stay_s = self.now_s - job.mark_s
        job.kv_tok_s += job.held_tok * stay_s
        self.kv_tok_s += job.held_tok * stay_s
        self.batch_s += stay_s

    def _free(self, job: Job, blocks: int) -> None:
        """Free the blocks, and the place, of a job that has finished."""
        if self._unseen is None:
            self.memory.drop(job, blocks, 0)
        else:
            self._unseen.left.append((job, blocks))

    def _settle(self, unseen: Unseen) -> None:
        """Free the blocks and places of those who had finished without the scheduler's knowing."""
        for job, blocks in unseen.left:
            self.memory.drop(job, blocks, 0)
        unseen.left.clear()

    def _retire(self, job: Job) -> None:
        """Forget a job that is over here."""
        job.state = State.GONE
        self.n_live -= 1
        if self._table is not None:
            self._table.remove(job)
