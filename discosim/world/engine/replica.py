"""One replica: iterations, memory and batch, advanced in leaps.

Between two changes of the batch every decode iteration is known: its time grows linearly with the KV tokens read, and
those grow by one per request. So iteration i of a leap ends at ``start + i t + q i (i - 1) / 2`` with ``t`` the first
iteration's time and ``q`` the batch size times the slope. One event ends a leap; a new arrival or a cancel cuts it at
the next iteration boundary, which is where an engine that steps through every iteration would notice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from heapq import heappop
from typing import Protocol

import simpy
from simpy.events import Event

from discosim.core.errors import InvariantError
from discosim.world.engine.ahead import Unseen
from discosim.world.engine.costs.base import Piece
from discosim.world.engine.floor import Floor, ReplicaModel
from discosim.world.engine.job import Floats, Job, State
from discosim.world.engine.plan import Plan
from discosim.world.engine.schedulers.base import Orders, Scheduler
from discosim.world.engine.steps import MAX_LEAP
from discosim.world.turn import Turn


class Observer(Protocol):
    """Somebody who writes down what a replica does, for example a timeline for Perfetto."""

    def iterations(self, replica: Replica, plan: Plan, orders: Orders) -> None:
        """Hear of a finished run of iterations."""
        ...


class Replica(Floor):
    """A replica of the engine: what is on the floor, and when."""

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
        super().__init__(model, scheduler)
        self.env = env
        self.index = index
        self._idle_s = 0.0
        self._act = self._turn  # bound once
        self.plan = Plan()
        self._orders = Orders()
        self._due: Turn | None = None
        self._in_turn = False
        self._cancelled: list[Job] = []
        self._lines: dict[int, tuple[float, float]] = {}
        self._on_prefilled = on_prefilled
        self._observer = observer

    # --- from outside -----------------------------------------------------------------------------------------

    def submit(self, job: Job) -> None:
        """Queue a job; the scheduler sees it at the next boundary."""
        job.queued_s = self.env.now
        self.n_live += 1
        self.pending_tok += job.prefill_left_tok
        if self._unseen is None:
            self._queue(job)
        else:
            self._unseen.arrive(job, self.env.now)
        self.queue_peak = max(self.queue_peak, self.n_waiting)
        if self._orders.ask_on_arrival or self.plan.m == 0:
            self._wake()

    def cancel(self, job: Job) -> None:
        """Drop a job at the next boundary; what it makes until then is paid for."""
        if job.state is not State.GONE and not job.is_cancelled:
            job.is_cancelled = True
            self._cancelled.append(job)
            self._wake()

    def release(self, job: Job) -> None:
        """Free the blocks of a prefilled job whose KV has left."""
        self.memory.drop(job, job.blocks, 0)
        self._n_held -= 1
        self._wake()

    def known_times(self, job: Job, t_s: float) -> tuple[Floats | None, float | None]:
        """Return the token times of a decoding job since it joined, as far as they are certain at ``t_s``.

        Returns
        -------
        times : array of float or None
            Ends of the iterations that have begun by ``t_s``; None where the job does not decode now.
        running_end_s : float or None
            End of the iteration that runs at ``t_s``; None where none does.
        """
        plan = self.plan
        i = plan.index_at(t_s)
        running_end_s = plan.end_s(i) if plan.m else None
        if job.state is not State.DECODING:
            return None, running_end_s
        if plan.m and plan.n_decode:
            return self.steps.extended(job.join_step, plan, i), running_end_s
        return self.steps.since(job.join_step), running_end_s

    def _wake(self) -> None:
        """Have a boundary as soon as there can be one."""
        if self._in_turn:
            return
        plan, env = self.plan, self.env
        if plan.m == 0:
            if self._due is None:
                self._due = Turn(env, self._act, 0.0)  # an event, so that whoever else comes now is seen too
        elif plan.m > 1:
            i = plan.index_at(env.now)
            if i < plan.m:
                plan.m = i
                self._due = Turn(env, self._act, max(0.0, plan.end_s(i) - env.now))

    @property
    def busy_s(self) -> float:
        """Time spent in iterations up to the newest boundary."""
        return self.now_s - self._idle_s

    def _queue(self, job: Job) -> None:
        self.waiting[job] = None
        if self._table is not None:
            self._table.add(job)

    # --- boundaries -------------------------------------------------------------------------------------------

    def _turn(self, event: Event) -> None:
        """Close the iterations that have ended, ask the scheduler, begin the next ones; nothing if the run was cut."""
        if event is not self._due:
            return
        self._due = None
        self._in_turn = True
        self.close(self.env.now)
        if self.n_live and self.order():
            self.price()
            self._go()
        self._in_turn = False

    def close(self, now_s: float) -> None:
        """Take what the iterations have made that have ended now, or note that none has run, and let news be known."""
        plan, unseen = self.plan, self._unseen
        if plan.m:
            before_s = plan.end_s(plan.m - 1) if plan.m > 1 else plan.begin_s
            self._complete(plan, plan.m)
            if unseen is not None:
                self._learn(unseen, before_s)
        else:
            before_s, self.now_s = self.now_s, now_s
            self._idle_s += self.now_s - before_s
            if unseen is not None:
                self._learn_all(unseen)
        while self._cancelled:
            self._drop_cancelled()
        if unseen is not None and not self.n_live:
            self._learn_all(unseen)

    def _learn(self, unseen: Unseen, until_s: float) -> None:
        """Let the scheduler know what happened until the boundary before this one; what came since is noticed."""
        self._decided_s = until_s
        for job in unseen.seen(until_s):
            self._queue(job)
        unseen.cancelled, self._cancelled = self._cancelled, unseen.cancelled
        if self._cancelled:
            self._drop_cancelled()
            unseen.cancelled += self._cancelled  # of those who heard of it
            self._cancelled = []

    def _learn_all(self, unseen: Unseen) -> None:
        """Let the scheduler know everything: no iteration has been decided that runs first."""
        self._decided_s = self.now_s
        while unseen or self._cancelled:
            self._settle(unseen)
            for job in unseen.seen(math.inf):
                self._queue(job)
            self._cancelled, unseen.cancelled = [*unseen.cancelled, *self._cancelled], []
            self._drop_cancelled()

    def _complete(self, plan: Plan, m: int) -> None:
        """Take what ``m`` iterations have made; step, memory and clocks advance in closed form."""
        now_s = plan.end_s(m)
        span_s = now_s - plan.begin_s
        n, orders, steps, unseen = plan.n_decode, self._orders, self.steps, self._unseen
        self.now_s = now_s
        self.iteration += m
        if self._observer is not None:
            self._observer.iterations(self, plan, orders)
        plan.m = 0
        self._kv_clock += steps.n * span_s
        if n:
            if m > 1:
                # sum of i * (duration of iteration i), i from 0: how long the i-th new token has been held
                lag_s = plan.first_s * (m * (m - 1) // 2) + plan.ramp_s * ((m - 1) * m * (2 * m - 1) // 6)
                self._kv_clock += lag_s
            self._grow(steps.n, m)
            steps.append(plan, m, self.decoding)
            self.context_tok += n * m
        elif unseen is not None:
            self._settle(unseen)
        heard: Sequence[Job] = ()
        over: list[Job] = []
        if plan.n_prefill_tok:
            share_s = span_s * self.cost.n_gpus / (n + plan.n_prefill_tok)
            self._gpu_clock_s += share_s if n else 0.0
            heard = self._complete_prefill(orders, share_s, over)
        else:
            self._gpu_clock_s += span_s * self.cost.n_gpus / n
        finishes, step = self._finishes, steps.n
        while finishes and finishes[0][0] <= step:
            due_step, _, job = heappop(finishes)
            if job.finish_step == due_step and job.state is State.DECODING:
                self._free(job, self._leave(job))
                self._retire(job)
                over.append(job)
        for job in heard:
            job.owner.on_first(now_s)
        for job in over:
            job.owner.on_end(now_s)

    def _grow(self, step: int, m: int) -> None:
        """Take the blocks of ``m`` decode iterations; those that had not been seen as free are so after the first."""
        unseen = self._unseen
        if unseen is None or not unseen.left:
            self.memory.grow(step, m)
            return
        self.memory.grow(step, 1)
        self._settle(unseen)
        if m > 1:
            self.memory.grow(step + 1, m - 1)

    def _complete_prefill(self, orders: Orders, share_s: float, over: list[Job]) -> list[Job]:
        """Take the prefilled tokens; return the jobs that have just made their first token."""
        heard: list[Job] = []
        for job, tok in orders.prefill:
            job.gpu_s += share_s * tok
            job.prefill_left_tok -= tok
            self.pending_tok -= tok
            if job.prefill_left_tok == 0:
                self._end_prefill(job, heard, over)
        return heard

    def _end_prefill(self, job: Job, first: list[Job], over: list[Job]) -> None:
        """Take the token that the last prefill iteration has made."""
        now_s, blocks = self.now_s, self._leave_prefill(job)
        job.base_tok += 1
        job.spans.append(now_s)
        if self._prefix is not None:
            self._prefix.keep(job.hashes)
        elif job.hashes:
            self.memory.publish(job)
        if job.base_tok == 1:
            job.first_token_s = now_s
            first.append(job)
        if job.base_tok == job.answer_tok:
            self._free(job, blocks)
            self._retire(job)
            over.append(job)
        elif self.model.role == "prefill":
            self._retire(job)
            if job.is_cancelled:  # its cache stays here
                self.memory.drop(job, blocks, 0)
                over.append(job)
                return
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
                self.memory.drop(job, self._leave(job), 0)
            elif state is State.PREFILLING:
                self.memory.drop(job, self._leave_prefill(job), 0)
                self.pending_tok -= job.prefill_left_tok
            elif state is State.WAITING:
                del self.waiting[job]
                self.pending_tok -= job.prefill_left_tok
            else:
                del self.swapped[job]
                self.host_free_blocks += job.blocks
            self._retire(job)
            job.owner.on_end(self.now_s)

    def order(self) -> bool:
        """Ask the scheduler; return whether anything runs."""
        orders, plan = self._ask(), self.plan
        if orders is None:
            return False
        self._orders = orders
        plan.n_decode = n = len(self.decoding) if orders.decode else 0
        plan.n_prefill_tok = sum(tok for _, tok in orders.prefill)
        if n or orders.prefill:
            return True
        if self._n_held:
            return False  # memory is on its way out; its release wakes the replica
        raise InvariantError(
            f"scheduler {self.scheduler.kind} runs nothing although {self.n_live} jobs are live on replica "
            f"{self.index} at {self.now_s:g} s"
        )

    def price(self) -> None:
        """Plan as many iterations as are certain, and how long they take."""
        plan, orders = self.plan, self._orders
        if orders.prefill:
            plan.first_s, plan.ramp_s, plan.m = self._prefill_iteration(orders, plan.n_decode), 0.0, 1
        else:
            self._decode_iterations(plan, orders.ask_after, plan.n_decode)

    def take_stall(self) -> float:
        """Return the swap traffic that the next iteration waits for, in s, and forget it."""
        stall_s, self._stall_s = self._stall_s, 0.0
        return stall_s

    def _go(self) -> None:
        plan = self.plan
        plan.begin_s = self.now_s
        plan.start_s = self.now_s + self.take_stall()
        delay_s = plan.end_s(plan.m) - self.env.now
        self._due = Turn(self.env, self._act, max(0.0, delay_s))

    def _ask(self) -> Orders | None:
        """Return the scheduler's orders; None where nobody is left to be served."""
        unseen = self._unseen
        if not unseen:
            return self.scheduler.schedule(self)
        if self.waiting or self.prefilling or self.decoding or self.swapped:
            orders = self.scheduler.schedule(self)
            if orders.prefill or (orders.decode and self.decoding):
                hears_of_jobs = orders.ask_on_arrival and unseen.jobs
                if hears_of_jobs or unseen.cancelled or (unseen.left and (self.waiting or self.swapped)):
                    return replace(orders, ask_after=1)
                return orders
        self._learn_all(unseen)  # nothing runs until then
        return self.scheduler.schedule(self) if self.n_live else None

    def _prefill_iteration(self, orders: Orders, n: int) -> float:
        cost_tok = square = 0.0
        later: list[Piece] = []
        for job, chunk in orders.prefill:
            before, factor = job.context_tok - job.prefill_left_tok, job.prefill_factor
            cost_tok += factor * chunk
            square += factor * ((before + chunk) ** 2 - before**2)
            if before:
                later.append((factor * before, factor * (before + chunk)))
        if n == 0:
            return self.cost.prefill_s(cost_tok, square, later)
        if self.decode_shortfall() > 0:
            raise InvariantError(f"scheduler {self.scheduler.kind} ordered a decode that does not fit into memory")
        return self.cost.mixed_s(cost_tok, square, n, self.context_tok, later)

    def _decode_iterations(self, plan: Plan, ask_after: int, n: int) -> None:
        finishes, step = self._finishes, self.steps.n
        while True:
            due_step, _, job = finishes[0]
            if job.finish_step == due_step and job.state is State.DECODING:
                break
            heappop(finishes)  # preempted or cancelled since
        m, memory = min(due_step - step, ask_after, MAX_LEAP), self.memory
        if memory.free_blocks < n * ((m - 1) // memory.block_tok + 1):
            m = memory.room(step, m)
        plan.m = m
        if m < 1:
            raise InvariantError(f"scheduler {self.scheduler.kind} ordered a decode that does not fit into memory")
        line = self._lines.get(n)
        if line is None:
            line = self._lines[n] = self.cost.decode_line(n)
        plan.first_s = line[0] + line[1] * self.context_tok
        plan.ramp_s = line[1] * n
