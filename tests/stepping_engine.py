"""A plain engine that steps through every iteration: the reference that the leaping one is held against.

It asks the scheduler at every boundary, keeps every token in a list and every request's memory as a number, and
knows nothing of closed forms. It offers schedulers the same verbs as the leaping replica.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np
from stepping_memory import PlainMemory, PlainPool

from discosim.world.engine.job import State
from discosim.world.engine.schedulers.base import LiveArrays


@dataclass(frozen=True)
class Ask:
    """One request of a test scenario."""

    arrival_s: float
    prompt_tok: int
    answer_tok: int
    cancel_s: float = math.inf
    reader_tok_per_s: float = 5.0
    ttft_target_s: float = 1.0
    hashes: tuple[int, ...] = ()


@dataclass(eq=False)
class PlainJob:
    job_id: int
    ask: Ask
    state: State = State.WAITING
    tokens_s: list[float] = field(default_factory=list)
    prefill_left_tok: int = 0
    blocks: int = 0
    host_blocks: int = 0
    held_tok: int = 0  # whose blocks it has in its prefill
    n_preemptions: int = 0
    end_s: float = math.inf
    has_kv: bool = False
    reach_s: float = math.nan  # when its replica gets it
    scheduled_s: float = math.inf  # when the scheduler decided to take it
    gpu_s: float = 0.0
    kv_tok_s: float = 0.0
    table: list = field(default_factory=list)  # its blocks, where each is an object
    n_shared: int = 0  # hashed parts at the front of these
    n_kept_after: int = 0  # as of its last preemption

    def __post_init__(self):
        self.prompt_tok = self.ask.prompt_tok
        self.arrival_s = self.reach_s = self.ask.arrival_s
        self.reader_tok_per_s = self.ask.reader_tok_per_s
        self.ttft_target_s = self.ask.ttft_target_s
        self.prefill_left_tok = self.prompt_tok
        self.asked_tok = self.ask.answer_tok

    @property
    def context_tok(self):
        return self.prompt_tok + len(self.tokens_s)


class SteppingReplica:
    """Steps through every iteration of one replica."""

    def __init__(self, model, scheduler, asks, jobs=None):
        self.model, self.scheduler, self.cost = model, scheduler, model.cost
        self.max_batch = model.max_batch
        size = (model.kv_blocks, model.block_tok, math.ceil(model.watermark * model.kv_blocks))
        self.memory = PlainPool(*size, model.prefix_block_tok) if model.caches_inside else PlainMemory(*size)
        self.host_free_blocks = model.host_blocks
        self.host_peak_blocks = 0
        self.jobs = [PlainJob(i, ask) for i, ask in enumerate(asks)] if jobs is None else jobs
        self.n_held = 0  # prefilled jobs whose KV has not left yet
        self.waiting, self.prefilling, self.decoding, self.swapped = OrderedDict(), {}, {}, {}
        self.now_s, self.iteration, self.busy_s = 0.0, 0, 0.0
        self.queue_peak = 0
        self.log = []  # (begin, end, who prefills how much, who decodes)
        self.stall_s = 0.0
        self.before_s = -math.inf  # the boundary before this one
        self.learned_s = 0.0  # what the scheduler knows happened until then
        self.finished = []  # (when, job) of jobs whose end the scheduler has not seen

    # what a scheduler sees and may do

    @property
    def n_resident(self):
        return len(self.prefilling) + len(self.decoding)

    @property
    def context_tok(self):
        return sum(job.context_tok for job in self.decoding)

    def generated_of(self, job):
        return len(job.tokens_s)

    def _growth(self):
        return sum(self.memory.blocks_of(job.context_tok) - job.blocks for job in self.decoding)

    def decode_shortfall(self):
        return self._growth() - self.memory.free_blocks

    def swap_s(self, n_blocks):
        return n_blocks * self.model.swap_s_per_block

    def can_swap(self, n_blocks):
        return self.model.preemption == "swap" and n_blocks <= self.host_free_blocks

    def fits(self, job, tok=None):
        n_resident = self.n_resident + len(self.finished)
        if n_resident >= self.max_batch:
            return False
        need = self.memory.need(job, math.inf) if tok is None else self.memory.need(job, tok) + self._growth()
        if job.state is State.SWAPPED or job.has_kv:
            need = self.memory.blocks_of(job.context_tok) + self._growth()
        spare = self.memory.free_blocks - (self.memory.watermark_blocks if n_resident + self.n_held else 0)
        return need <= spare

    def admit(self, job, tok=None):
        del self.waiting[job]
        job.scheduled_s = min(job.scheduled_s, max(self.learned_s, job.reach_s))
        if job.has_kv:  # of all tokens but the newest
            job.has_kv = False
            self.memory.take(job, self.memory.blocks_of(job.context_tok - 1))
            job.state = State.DECODING
            self.decoding[job] = None
            return
        tok = job.context_tok if tok is None else tok
        hit_tok = self.memory.hold(job, tok)
        job.prefill_left_tok = job.context_tok - hit_tok
        job.held_tok = min(job.context_tok, hit_tok + tok)
        job.state = State.PREFILLING
        self.prefilling[job] = None

    def extend(self, job, tok):
        held_tok = job.context_tok - job.prefill_left_tok + tok
        job.held_tok = max(job.held_tok, held_tok)
        self.memory.take(job, max(0, self.memory.blocks_of(job.held_tok) - job.blocks))

    def preempt(self, job):
        job.n_preemptions += 1
        was_decoding = job in self.decoding
        n_blocks = job.blocks
        goes_to_host = was_decoding and self.can_swap(n_blocks)
        self.prefilling.pop(job, None)
        self.decoding.pop(job, None)
        computed_tok = job.context_tok - (1 if was_decoding else job.prefill_left_tok)
        self.memory.drop(job, 0 if goes_to_host else computed_tok)
        if goes_to_host:
            job.state = State.SWAPPED
            self.swapped[job] = None
            job.host_blocks = n_blocks
            self.host_free_blocks -= n_blocks
            self.host_peak_blocks = max(self.host_peak_blocks, self.model.host_blocks - self.host_free_blocks)
            self.stall_s += self.swap_s(n_blocks)
        else:
            job.state = State.WAITING
            job.prefill_left_tok = job.context_tok
            self.waiting[job] = None
            self.waiting.move_to_end(job, last=False)
            self._note_queue()

    def resume(self, job):
        del self.swapped[job]
        self.host_free_blocks += job.host_blocks
        self.stall_s += self.swap_s(job.host_blocks)
        self.memory.take(job, job.host_blocks)
        job.state = State.DECODING
        self.decoding[job] = None

    def live(self):
        jobs = [job for job in self.jobs[: self.n_submitted] if job.state is not State.GONE]
        rows = [self._row(job) for job in jobs]
        columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
        return LiveArrays(jobs=jobs, **columns)

    def _row(self, job):
        clock, delay = -math.inf, 0.0
        gap = 1.0 / job.reader_tok_per_s
        for i, made_s in enumerate(job.tokens_s):
            clock = max(made_s, clock + gap)
            delay += max(0.0, clock - (job.arrival_s + job.ttft_target_s + i * gap))
        return {
            "state": int(job.state),
            "prompt_tok": job.prompt_tok,
            "generated_tok": len(job.tokens_s),
            "blocks": job.blocks,
            "run_blocks": self.memory.blocks_of(job.context_tok),
            "arrival_s": job.arrival_s,
            "reader_tok_per_s": job.reader_tok_per_s,
            "ttft_target_s": job.ttft_target_s,
            "first_token_s": job.tokens_s[0] if job.tokens_s else math.inf,
            "clock_s": clock,
            "delay_s": delay,
            "n_preemptions": job.n_preemptions,
        }

    # the loop

    def run(self):
        self.n_submitted = 0
        while True:
            self._note_queue()
            self._learn(self.before_s if self.model.decides_ahead else self.now_s)
            if not self._is_busy():
                self._learn(self.now_s)  # nothing was decided ahead
            if not self._is_busy():
                if self.n_submitted == len(self.jobs):
                    return self
                self.now_s = self.before_s = self.jobs[self.n_submitted].reach_s
                continue
            self._step()

    def _is_busy(self):
        return bool(self.waiting or self.prefilling or self.decoding or self.swapped)

    def _note_queue(self):
        """Count those who wait, also those whom the scheduler has not seen."""
        n_unseen = sum(job.reach_s <= self.now_s for job in self.jobs[self.n_submitted :])
        self.queue_peak = max(self.queue_peak, len(self.waiting) + n_unseen)

    def _learn(self, until_s):
        """Let the scheduler know what happened until then."""
        self.learned_s = until_s
        for at_s, job in self.finished[:]:
            if at_s <= until_s:
                self.finished.remove((at_s, job))
                self.memory.drop(job, 0)
        self._take_arrivals(until_s)
        self._take_cancels(until_s)

    def _take_arrivals(self, until_s):
        while self.n_submitted < len(self.jobs) and self.jobs[self.n_submitted].reach_s <= until_s:
            self.waiting[self.jobs[self.n_submitted]] = None
            self.n_submitted += 1

    def _take_cancels(self, until_s):
        for job in self.jobs[: self.n_submitted]:
            if job.state is not State.GONE and job.ask.cancel_s <= until_s:
                self._over(job)

    def _finish(self, job):
        """Take note that a job has made its last token; the scheduler may learn of its place and blocks later."""
        if self.model.decides_ahead:
            self.finished.append((self.now_s, job))
        self._over(job)

    def _over(self, job):
        for place in (self.waiting, self.prefilling, self.decoding):
            place.pop(job, None)
        if job in self.swapped:
            del self.swapped[job]
            self.host_free_blocks += job.host_blocks
        if all(job is not other for _, other in self.finished):
            self.memory.drop(job, 0)
        job.state = State.GONE
        job.end_s = self.now_s

    def _step(self):
        orders = self._orders()
        if orders is None:
            return
        if self.n_held and not orders.prefill and not self.decoding:
            self._wait_for_memory()
            return
        decoders = self._grown(orders)
        self._advance(orders, decoders, self.stall_s + self._spent(orders, decoders))

    def _grown(self, orders):
        """Return who decodes, each with the block that its next token needs."""
        decoders = list(self.decoding) if orders.decode else []
        for job in decoders:
            grown = self.memory.blocks_of(job.context_tok)
            self.memory.take(job, grown - job.blocks)
        return decoders

    def _advance(self, orders, decoders, spent):
        begin, self.now_s = self.now_s, self.now_s + spent
        self.before_s = begin
        self.stall_s = 0.0
        self.busy_s += self.now_s - begin
        self._charge(self.now_s - begin, decoders, orders.prefill)
        self.iteration += 1
        who = [(job.job_id, chunk) for job, chunk in orders.prefill]
        self.log.append((begin, self.now_s, who, sorted(job.job_id for job in decoders)))
        for job in decoders:
            job.tokens_s.append(self.now_s)
        for job, chunk in orders.prefill:
            job.prefill_left_tok -= chunk
            if job.prefill_left_tok == 0:
                del self.prefilling[job]
                job.tokens_s.append(self.now_s)
                self.memory.publish(job)
                self._prefilled(job)
        for job in list(self.decoding):
            if len(job.tokens_s) == job.ask.answer_tok:
                self._finish(job)

    def _spent(self, orders, decoders):
        tok = sum(chunk for _, chunk in orders.prefill)
        square = 0
        later = []
        for job, chunk in orders.prefill:
            before = job.context_tok - job.prefill_left_tok
            square += (before + chunk) ** 2 - before**2
            if before > 0:
                later.append((before, before + chunk))
        context = sum(job.context_tok for job in decoders)
        if tok and decoders:
            return self.cost.mixed_s(tok, square, len(decoders), context, later)
        if tok:
            return self.cost.prefill_s(tok, square, later)
        fixed, slope = self.cost.decode_line(len(decoders))
        return fixed + slope * context

    def _orders(self):
        """Ask the scheduler; once more, with all news, where nothing was decided ahead. None where nobody is left."""
        orders = self.scheduler.schedule(self)
        if self.model.decides_ahead and not orders.prefill and not (orders.decode and self.decoding):
            self._learn(self.now_s)
            return self.scheduler.schedule(self) if self._is_busy() else None
        return orders

    def _prefilled(self, job):
        job.state = State.DECODING
        self.decoding[job] = None

    def _charge(self, span, decoders, prefill):
        """Give every job its share of the GPUs, and count the memory it holds."""
        for job in self.prefilling:
            job.kv_tok_s += job.held_tok * span
        for job in self.decoding:
            job.kv_tok_s += (job.context_tok - 1) * span
        each = span * self.cost.n_gpus / (len(decoders) + sum(chunk for _, chunk in prefill))
        for job in decoders:
            job.gpu_s += each
        for job, chunk in prefill:
            job.gpu_s += each * chunk
