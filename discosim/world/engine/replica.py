"""One replica: iterations, memory and batch, advanced in leaps.

Between two changes of the batch every decode iteration is known: its time grows linearly with the KV tokens read, and
those grow by one per request. So iteration i of a leap ends at ``start + i t + q i (i - 1) / 2`` with ``t`` the first
iteration's time and ``q`` the batch size times the slope. One event ends a leap; a new arrival or a cancel cuts it at
the next iteration boundary, which is where an engine that steps through every iteration would notice.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Literal, Protocol

import simpy
from simpy.events import Event

from discosim.core.errors import InvariantError
from discosim.world.engine.costs.base import CostModel
from discosim.world.engine.job import Floats, Job, State
from discosim.world.engine.live import LiveTable
from discosim.world.engine.memory import KvMemory
from discosim.world.engine.prefix import PrefixCache
from discosim.world.engine.schedulers.base import LiveArrays, Orders, Scheduler
from discosim.world.engine.steps import MAX_LEAP, StepLog

LATE = simpy.events.EventPriority(2)
"""Boundaries come after everything else that happens at the same moment, so that they see it."""

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


class Observer(Protocol):
    """Somebody who writes down what a replica does, for example a timeline for Perfetto."""

    def iterations(self, replica: Replica, plan: Plan, orders: Orders) -> None:
        """Hear of a finished run of iterations."""
        ...


class Turn(Event):
    """The end of a run of iterations, or the wake of an idle replica."""

    def __init__(self, env: simpy.Environment, act: Callable[[Event], None], delay_s: float) -> None:
        super().__init__(env)
        self._ok = True
        self._value = None
        self.callbacks.append(act)
        env.schedule(self, LATE, delay_s)


@dataclass(slots=True)
class Plan:
    """A run of ``m`` iterations with the same batch; ``m`` shrinks when the run is cut."""

    begin_s: float = 0.0  # the boundary at which it was ordered
    start_s: float = 0.0  # after swap traffic
    first_s: float = 0.0  # time of the first iteration
    ramp_s: float = 0.0  # what each iteration adds to the one before
    m: int = 0
    n_decode: int = 0
    n_prefill_tok: int = 0

    def end_s(self, i: int) -> float:
        """Return when iteration ``i`` >= 1 ends."""
        return self.start_s + i * self.first_s + self.ramp_s * (i * (i - 1) // 2)

    def index_at(self, t_s: float) -> int:
        """Return the first iteration, from 1, that ends at or after ``t_s``; ``m`` if none does."""
        if self.m <= 1 or t_s <= self.start_s + self.first_s:
            return min(1, self.m)
        passed, half = t_s - self.start_s, self.first_s - self.ramp_s / 2
        i = math.ceil(2.0 * passed / (half + math.sqrt(half * half + 2.0 * self.ramp_s * passed)))
        i = max(1, min(i, self.m))
        while i < self.m and self.end_s(i) < t_s:
            i += 1
        while i > 1 and self.end_s(i - 1) >= t_s:
            i -= 1
        return i


class Replica:
    """A replica of the engine; see `schedulers.base` for what a scheduler may do with it.

    Attributes
    ----------
    now_s : float
        Time of the newest boundary.
    iteration, step : int
        Iterations begun, and iterations that decoded.
    busy_s, batch_s, kv_tok_s : float
        Time spent in iterations, and the integrals of resident requests and of KV tokens held over it.
    queue_peak : int
        Longest queue.
    """

    def __init__(
        self,
        env: simpy.Environment,
        model: ReplicaModel,
        scheduler: Scheduler,
        *,
        index: int = 0,
        on_prefilled: Callable[[Replica, Job], None] | None = None,
        observer: Observer | None = None,
    ) -> None:
        self.env = env
        self.model = model
        self.index = index
        self.scheduler = scheduler
        self.cost = model.cost
        self.max_batch = model.max_batch
        self.memory = KvMemory(model.kv_blocks, model.block_tok, math.ceil(model.watermark * model.kv_blocks))
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
        self.busy_s = self.batch_s = self.kv_tok_s = 0.0
        self.queue_peak = 0
        self.host_peak_blocks = 0
        self._prefilling_tok = 0
        self._n_held = 0  # prefilled jobs whose KV has not left yet
        self._gpu_clock_s = 0.0  # GPU time that a job in every decode batch would have been charged
        self._kv_clock = 0.0  # integral of the decode step over time
        self._plan = Plan()
        self._orders = Orders()
        self._due: Turn | None = None
        self._in_turn = False
        self._stall_s = 0.0
        self._finishes: list[tuple[int, int, Job]] = []
        self._cancelled: list[Job] = []
        self._lines: dict[int, tuple[float, float]] = {}
        self._on_prefilled = on_prefilled
        self._observer = observer
        self._table = LiveTable(self) if scheduler.needs_live else None
        self._prefix = PrefixCache(model.prefix_blocks, model.prefix_block_tok) if model.prefix_blocks else None

    # --- from outside -----------------------------------------------------------------------------------------

    def submit(self, job: Job) -> None:
        """Queue a job; the scheduler sees it at the next boundary."""
        self.waiting[job] = None
        self.n_live += 1
        self.pending_tok += job.prefill_left_tok
        self.queue_peak = max(len(self.waiting), self.queue_peak)
        if self._table is not None:
            self._table.add(job)
        if self._orders.ask_on_arrival or self._plan.m == 0:
            self._wake()

    def cancel(self, job: Job) -> None:
        """Drop a job at the next boundary; what it makes until then is paid for."""
        if job.state is not State.GONE and not job.is_cancelled:
            job.is_cancelled = True
            self._cancelled.append(job)
            self._wake()

    def release(self, n_blocks: int) -> None:
        """Free the blocks of a prefilled job whose KV has left."""
        self.memory.give(n_blocks)
        self._n_held -= 1
        self._wake()

    def generated_of(self, job: Job) -> int:
        """Return the answer tokens a job has made at the newest boundary."""
        return job.base_tok + (self.steps.n - job.join_step if job.state is State.DECODING else 0)

    def known_times(self, job: Job, t_s: float) -> tuple[Floats | None, float | None]:
        """Return the token times of a decoding job since it joined, as far as they are certain at ``t_s``.

        Returns
        -------
        times : array of float or None
            Ends of the iterations that have begun by ``t_s``; None where the job does not decode now.
        running_end_s : float or None
            End of the iteration that runs at ``t_s``; None where none does.
        """
        plan = self._plan
        i = plan.index_at(t_s)
        running_end_s = plan.end_s(i) if plan.m else None
        if job.state is not State.DECODING:
            return None, running_end_s
        known = self.steps.since(job.join_step)
        if plan.m and plan.n_decode:
            known = StepLog.extended(known, plan.start_s, plan.first_s, plan.ramp_s, i)
        return known, running_end_s

    def _wake(self) -> None:
        """Have a boundary as soon as there can be one."""
        if self._in_turn:
            return
        plan = self._plan
        if plan.m == 0:
            if self._due is None:
                self._due = Turn(self.env, self._turn, 0.0)
        elif plan.m > 1:
            now_s = self.env.now
            i = plan.index_at(now_s)
            if i < plan.m:
                plan.m = i
                self._due = Turn(self.env, self._turn, max(0.0, plan.end_s(i) - now_s))

    # --- what a scheduler may do ------------------------------------------------------------------------------

    @property
    def n_resident(self) -> int:
        """Jobs that hold KV memory and are at work."""
        return len(self.prefilling) + len(self.decoding)

    def decode_shortfall(self) -> int:
        """Return the blocks missing for one more decode iteration of the whole batch; <= 0 where it fits."""
        return self.memory.growth(self.steps.n, 1) - self.memory.free_blocks

    def swap_s(self, n_blocks: int) -> float:
        """Return the time to move blocks between GPU and host, one way."""
        return n_blocks * self.model.swap_s_per_block

    def fits(self, job: Job) -> bool:
        """Tell whether a waiting job can be admitted, or a swapped one resumed.

        Blocks down to the watermark are for growth; a replica without any resident job ignores the watermark, else
        one that has outgrown it would wait for ever. A job that joins the decode batch at once also needs room for
        the batch's next token.
        """
        memory = self.memory
        resident = len(self.prefilling) + len(self.decoding)
        if resident >= self.max_batch:
            return False
        spare = memory.free_blocks - (memory.watermark_blocks if resident + self._n_held else 0)
        if job.state is State.SWAPPED or job.has_kv:
            # its KV lacks the newest token, whose place it needs in the next iteration
            return memory.blocks_of(job.context_tok) + memory.growth(self.steps.n, 1) <= spare
        return memory.blocks_of(job.context_tok) <= spare

    def admit(self, job: Job) -> None:
        """Take a waiting job in: it holds the blocks of its whole prompt from now on."""
        del self.waiting[job]
        context_tok = job.context_tok
        if job.has_kv:
            job.has_kv = False
            self.memory.take(self.memory.blocks_of(context_tok - 1))
            self._join(job)
            return
        job.blocks = self.memory.blocks_of(context_tok)
        self.memory.take(job.blocks)
        if self._prefix is not None:
            hit_tok = min(self._prefix.hit_tok(job.hashes), context_tok - 1)
            self.pending_tok -= hit_tok
            job.prefill_left_tok = context_tok - hit_tok
        job.state = State.PREFILLING
        job.mark_s = self.now_s
        self.prefilling[job] = None
        self._prefilling_tok += context_tok
        self._note(job)

    def preempt(self, job: Job) -> None:
        """Take a resident job out: to host memory where it may be swapped and there is room, else back to the queue."""
        job.n_preemptions += 1
        if job.state is State.DECODING:
            blocks = self._leave(job)
            can_swap = self.model.preemption == "swap" and blocks <= self.host_free_blocks
        else:
            blocks, can_swap = self._leave_prefill(job), False
        self.memory.give(blocks)
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
            self.queue_peak = max(len(self.waiting), self.queue_peak)
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

    def _leave(self, job: Job) -> int:
        """Take a job out of the decode batch; return the blocks it held."""
        del self.decoding[job]
        step, lead_tok = self.steps.n, job.lead_tok
        if step > job.join_step:
            job.spans.append(self.steps.since(job.join_step).copy())
            job.base_tok += step - job.join_step
        self.context_tok -= lead_tok + step
        self.memory.join(lead_tok, -1)
        job.gpu_s += self._gpu_clock_s - job.gpu_mark_s
        job.kv_tok_s += (lead_tok - 1) * (self.now_s - job.mark_s) + self._kv_clock - job.kv_mark
        return self.memory.blocks_of(lead_tok + step - 1)

    def _leave_prefill(self, job: Job) -> int:
        """Take a job out of prefilling; return the blocks it held."""
        del self.prefilling[job]
        self._prefilling_tok -= job.context_tok
        job.kv_tok_s += job.context_tok * (self.now_s - job.mark_s)
        return job.blocks

    def _retire(self, job: Job) -> None:
        """Forget a job that is over here."""
        job.state = State.GONE
        self.n_live -= 1
        if self._table is not None:
            self._table.remove(job)

    # --- boundaries -------------------------------------------------------------------------------------------

    def _turn(self, event: Event) -> None:
        """Close the iterations that have ended, ask the scheduler, begin the next ones."""
        if event is not self._due:
            return  # the run it belonged to was cut
        self._due = None
        self._in_turn = True
        self._complete()
        while self._cancelled:
            self._drop_cancelled()
        self._begin()
        self._in_turn = False

    def _complete(self) -> None:
        plan = self._plan
        m = plan.m
        if m == 0:
            self.now_s = self.env.now
            return
        self.now_s = now_s = plan.end_s(m)
        self.iteration += m
        if self._observer is not None:
            self._observer.iterations(self, plan, self._orders)
        plan.m = 0
        self._count(plan, m)
        first: list[Job] = []
        over: list[Job] = []
        for job, tok in self._orders.prefill:
            job.prefill_left_tok -= tok
            self.pending_tok -= tok
            if job.prefill_left_tok == 0:
                self._end_prefill(job, first, over)
        finishes, step = self._finishes, self.steps.n
        while finishes and finishes[0][0] <= step:
            due_step, _, job = heappop(finishes)
            if job.state is State.DECODING and job.finish_step == due_step:
                self.memory.give(self._leave(job))
                self._retire(job)
                over.append(job)
        for job in first:
            job.owner.on_first(now_s)
        for job in over:
            job.owner.on_end(now_s)

    def _count(self, plan: Plan, m: int) -> None:
        """Advance the step, the memory and the clocks by ``m`` iterations; all sums are in closed form."""
        span_s = self.now_s - plan.begin_s
        n, steps = plan.n_decode, self.steps
        gpu_s = span_s * self.cost.n_gpus
        self.busy_s += span_s
        self.batch_s += self.n_resident * span_s
        self._kv_clock += steps.n * span_s
        self.kv_tok_s += (self.context_tok - len(self.decoding) + self._prefilling_tok) * span_s
        if n:
            if m > 1:
                # sum of i * (duration of iteration i), i from 0: how long the i-th new token has been held
                lag_s = plan.first_s * (m * (m - 1) // 2) + plan.ramp_s * ((m - 1) * m * (2 * m - 1) // 6)
                self._kv_clock += lag_s
                self.kv_tok_s += n * lag_s
            self.memory.take(self.memory.growth(steps.n, m))
            if steps.is_full_for(m):
                steps.make_room(m, min(job.join_step for job in self.decoding))
            steps.append(plan.start_s, plan.first_s, plan.ramp_s, m)
            self.context_tok += n * m
        if plan.n_prefill_tok:
            share_s = gpu_s / (n + plan.n_prefill_tok)
            for job, tok in self._orders.prefill:
                job.gpu_s += share_s * tok
            self._gpu_clock_s += share_s if n else 0.0
        else:
            self._gpu_clock_s += gpu_s / n

    def _end_prefill(self, job: Job, first: list[Job], over: list[Job]) -> None:
        """Take the token that the last prefill iteration has made."""
        now_s, blocks = self.now_s, self._leave_prefill(job)
        job.base_tok += 1
        job.spans.append(now_s)
        if self._prefix is not None:
            self._prefix.keep(job.hashes)
        if job.base_tok == 1:
            job.first_token_s = now_s
            first.append(job)
        if job.base_tok == job.answer_tok:
            self.memory.give(blocks)
            self._retire(job)
            over.append(job)
        elif self.model.role == "prefill":
            self._retire(job)
            self._n_held += 1
            assert self._on_prefilled is not None
            self._on_prefilled(self, job)
        else:
            self._join(job)

    def _drop_cancelled(self) -> None:
        cancelled, self._cancelled = self._cancelled, []
        for job in cancelled:
            state = job.state
            if state is State.GONE:
                continue  # it was complete at this very boundary
            if state is State.DECODING:
                self.memory.give(self._leave(job))
            elif state is State.PREFILLING:
                self.memory.give(self._leave_prefill(job))
                self.pending_tok -= job.prefill_left_tok
            elif state is State.WAITING:
                del self.waiting[job]
                self.pending_tok -= job.prefill_left_tok
            else:
                del self.swapped[job]
                self.host_free_blocks += job.blocks
            self._retire(job)
            job.owner.on_end(self.now_s)

    def _begin(self) -> None:
        """Ask the scheduler and plan as many iterations as are certain."""
        if self.n_live == 0:
            return
        self._orders = orders = self.scheduler.schedule(self)
        n = len(self.decoding) if orders.decode else 0
        plan = self._plan
        if orders.prefill:
            first_s, plan.n_prefill_tok = self._prefill_iteration(orders, n)
            ramp_s, m = 0.0, 1
        elif n:
            first_s, ramp_s, m = self._decode_iterations(orders, n)
            plan.n_prefill_tok = 0
        elif self._n_held:
            return  # memory is on its way out; its release wakes the replica
        else:
            raise InvariantError(
                f"scheduler {self.scheduler.kind} runs nothing although {self.n_live} jobs are live on replica "
                f"{self.index} at {self.now_s:g} s"
            )
        plan.begin_s = self.now_s
        plan.start_s = self.now_s + self._stall_s
        plan.first_s, plan.ramp_s, plan.m, plan.n_decode = first_s, ramp_s, m, n
        self._stall_s = 0.0
        self._due = Turn(self.env, self._turn, max(0.0, plan.end_s(m) - self.env.now))

    def _prefill_iteration(self, orders: Orders, n: int) -> tuple[float, int]:
        tok = square = 0
        for job, chunk in orders.prefill:
            before = job.context_tok - job.prefill_left_tok
            tok += chunk
            square += (before + chunk) ** 2 - before**2
        if n == 0:
            return self.cost.prefill_s(tok, square), tok
        if self.decode_shortfall() > 0:
            raise InvariantError(f"scheduler {self.scheduler.kind} ordered a decode that does not fit into memory")
        return self.cost.mixed_s(tok, square, n, self.context_tok), tok

    def _decode_iterations(self, orders: Orders, n: int) -> tuple[float, float, int]:
        finishes, step = self._finishes, self.steps.n
        while finishes[0][2].state is not State.DECODING or finishes[0][0] != finishes[0][2].finish_step:
            heappop(finishes)  # preempted or cancelled since
        m = self.memory.room(step, min(finishes[0][0] - step, orders.ask_after, MAX_LEAP))
        if m < 1:
            raise InvariantError(f"scheduler {self.scheduler.kind} ordered a decode that does not fit into memory")
        line = self._lines.get(n)
        if line is None:
            line = self._lines[n] = self.cost.decode_line(n)
        fixed_s, slope_s = line
        return fixed_s + slope_s * self.context_tok, slope_s * n, m
