"""The frame of the authors' code of Andes: preempt at every tenth iteration only, and no more than slack allows."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from discosim.core.spec import spec
from discosim.world.engine.job import State
from discosim.world.engine.schedulers.base import LiveArrays, Orders, ReplicaView, Scheduler
from discosim.world.engine.schedulers.entering import anybody_fits, rows_that_may_fit
from discosim.world.engine.schedulers.fcfs import preempt_newest
from discosim.world.engine.schedulers.future_qoe import slack_s
from discosim.world.engine.schedulers.moves import MAX_PREFILL_TOK, enter, prefill_first
from discosim.world.engine.schedulers.packing import greedy, ranked

Floats = NDArray[np.float64]


@dataclass(kw_only=True)
class Periodic(Scheduler):
    """Every tenth iteration put out running jobs of little worth, as many as the slack of all allows.

    A subclass says what a request is worth, and how much it weighs in the packing.

    Source: first author's fork of vLLM 0.6.1, andes_scheduler.py, newest commit 2025-04-17.
    """

    every: int = spec(10, doc="Iterations between two calls that may preempt.", ge=1)
    trigger: float = spec(0.9, doc="Share of blocks in use from which on a call may preempt.", gt=0, le=1)
    overhead_s_per_tok: float = spec(3.0 / 90_000, doc="Assumed cost of a preemption.", unit="s/tok", ge=0)
    slack_percentile: float = spec(10.0, doc="Percentile of the slack that preemptions may use up.", ge=0, le=100)
    is_overhead_aware: bool = spec(True, doc="Limit preemptions by slack; the code of September 2024 did not.")
    max_prefill_tok: int = spec(MAX_PREFILL_TOK, doc="Prompt tokens of one prefill iteration.", unit="tok", ge=1)

    @abstractmethod
    def worth(self, live: LiveArrays, now_s: float, block_tok: int) -> Floats:
        """Return the worth of each request, by which victims are found and jobs admitted, shape (n,)."""

    def weights(self, live: LiveArrays, block_tok: int) -> Floats:  # noqa: ARG002 - subclasses use the blocks
        """Return by what the packing divides the worth of each request, shape (n,)."""
        return np.ones(len(live.jobs))

    def schedule(self, replica: ReplicaView) -> Orders:
        """Preempt at every tenth iteration of a full replica, admit at all of them."""
        if not (replica.waiting or replica.swapped):
            return self._orders(replica, None)
        memory, live = replica.memory, replica.live()
        is_full = memory.total_blocks - memory.free_blocks >= self.trigger * memory.total_blocks
        may_preempt = is_full and replica.iteration % self.every == 0
        if may_preempt or rows_that_may_fit(replica, live).size:
            value = self.worth(live, replica.now_s, memory.block_tok)
            if may_preempt:
                self._preempt(replica, live, value)
            self._admit(replica, live, value)
        return self._orders(replica, live)

    def _preempt(self, replica: ReplicaView, live: LiveArrays, value: Floats) -> None:
        """Let the packing decide between the weakest running jobs and those outside; the others stay."""
        running = live.state == State.DECODING
        candidates = (live.state == State.WAITING) | (live.state == State.SWAPPED)
        weak = np.flatnonzero(running & (value <= value[candidates].max()))
        weak = weak[np.argsort(value[weak], kind="stable")][: self._most_victims(live, replica.now_s)]
        if weak.size == 0:
            return
        candidates[weak] = True
        priority = value / self.weights(live, replica.memory.block_tok)
        order = ranked(np.where(candidates, priority, -np.inf), running)[: int(candidates.sum())]
        memory = replica.memory
        room = memory.free_blocks - memory.watermark_blocks + int(live.blocks[weak].sum())
        places = replica.max_batch - replica.n_resident + weak.size
        chosen = set(greedy(order, live.run_blocks, room, places).tolist())
        for i in weak.tolist():
            if i not in chosen:
                replica.preempt(live.jobs[i])

    def _most_victims(self, live: LiveArrays, now_s: float) -> int:
        """Return how many preemptions the slack of the requests allows."""
        if not self.is_overhead_aware:
            return len(live.jobs)
        mean_overhead_s = self.overhead_s_per_tok * float((live.prompt_tok + live.generated_tok).mean())
        slack = float(np.percentile(slack_s(live, now_s), self.slack_percentile))
        return max(0, int(slack // mean_overhead_s)) if mean_overhead_s > 0.0 else len(live.jobs)

    @staticmethod
    def _admit(replica: ReplicaView, live: LiveArrays, value: Floats) -> None:
        """Admit by worth until one does not fit, as vLLM does; who was put out just now is not among them."""
        order = np.argsort(-value, kind="stable")
        state = live.state[order]
        for i in order[(state == State.WAITING) | (state == State.SWAPPED)].tolist():
            job = live.jobs[i]
            if not replica.fits(job):
                break
            enter(replica, job)

    def _orders(self, replica: ReplicaView, live: LiveArrays | None) -> Orders:
        orders = prefill_first(replica, self.max_prefill_tok)
        if orders.decode:
            has_preempted = preempt_newest(replica)
            if has_preempted or replica.swapped or (live is not None and anybody_fits(replica, live)):
                orders.ask_after = 1  # worth changes with time, so somebody who fits may come to the front
            elif replica.waiting:
                orders.ask_after = self.every - replica.iteration % self.every
        return orders
