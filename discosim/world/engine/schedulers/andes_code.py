"""Andes as its first author's fork of vLLM computes it, with the quirks that decide its results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from discosim.core.spec import spec
from discosim.world.engine.job import State
from discosim.world.engine.schedulers.base import NEVER, LiveArrays, Orders, Scheduler
from discosim.world.engine.schedulers.fcfs import preempt_newest
from discosim.world.engine.schedulers.future_qoe import slack_s
from discosim.world.engine.schedulers.moves import MAX_PREFILL_TOK, enter, prefill_first
from discosim.world.engine.schedulers.packing import greedy, ranked

if TYPE_CHECKING:
    from discosim.world.engine.replica import Replica

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(kw_only=True)
class AndesCode(Scheduler):
    """Every tenth iteration put out running jobs of little worth, as many as the slack of the others allows.

    Notes
    -----
    Value = gain, for running jobs times 1.1, over blocks; the packing divides by blocks once more, so the order is
    gain over squared blocks. With the objective ``max_min`` the value is 1 - Q_wait, and 0 for good once a request has
    fallen behind. With ``weights = "one"`` nothing is divided by blocks: the authors' baseline LQF, least QoE first.
    """

    kind: ClassVar[str] = "andes_code"
    source: ClassVar[str] = (
        "First author's fork of vLLM 0.6.1, andes_scheduler.py, newest commit 2025-04-17 (constants, formulas and order "
        "read there). Left out: the random choices of its host, and its own running time."
    )
    needs_live: ClassVar[bool] = True

    ahead_s: float = spec(10.0, doc="Horizon Delta-t.", unit="s", gt=0)
    objective: Literal["average", "max_min"] = spec("average", doc="Mean QoE, or worst QoE.")
    weights: Literal["blocks", "one"] = spec("blocks", doc="Weight by memory, or not at all (LQF).")
    every: int = spec(10, doc="Iterations between two calls that may preempt.", ge=1)
    trigger: float = spec(0.9, doc="Share of blocks in use from which on a call may preempt.", gt=0, le=1)
    token_s: float = spec(0.02, doc="Token latency it assumes, whatever the batch.", unit="s", gt=0)
    favour: float = spec(1.1, doc="Factor on the gain of running jobs (hysteresis).", ge=1)
    overhead_s_per_tok: float = spec(3.0 / 90_000, doc="Assumed cost of a preemption.", unit="s/tok", ge=0)
    slack_percentile: float = spec(10.0, doc="Percentile of the slack that preemptions may use up.", ge=0, le=100)
    is_overhead_aware: bool = spec(True, doc="Limit preemptions by slack; the code of September 2024 did not.")
    max_prefill_tok: int = spec(MAX_PREFILL_TOK, doc="Prompt tokens of one prefill iteration.", unit="tok", ge=1)

    def schedule(self, replica: Replica) -> Orders:
        """Preempt at every tenth iteration of a full replica, admit at all of them."""
        if not (replica.waiting or replica.swapped):
            orders = prefill_first(replica, self.max_prefill_tok)
            if orders.decode:
                preempt_newest(replica)
            return orders
        live = replica.live()
        value = self.value_per_block(live, replica.now_s, replica.memory.block_tok)
        memory = replica.memory
        is_full = memory.total_blocks - memory.free_blocks >= self.trigger * memory.total_blocks
        preempted: set[int] = set()
        if is_full and replica.iteration % self.every == 0:
            preempted = self._preempt(replica, live, value)
        self._admit(replica, live, value, preempted)
        return self._orders(replica)

    def value_per_block(self, live: LiveArrays, now_s: float, block_tok: int) -> Floats:
        """Return what the code calls the value of each request, shape (n,)."""
        running = live.state == State.DECODING
        served, waiting = code_qoe(live, now_s, self.ahead_s, self.token_s)
        if self.objective == "max_min":
            value = np.where(slack_s(live, now_s) < 0.0, 0.0, 1.0 - waiting)
        else:
            value = served - waiting
        value = np.where(running, self.favour * value, value)
        return value / self._blocks(live, block_tok)

    def _blocks(self, live: LiveArrays, block_tok: int) -> Floats:
        """Return round((len + 1) / block_tok + 0.5), or ones for LQF."""
        if self.weights == "one":
            return np.ones(len(live.jobs))
        context = live.prompt_tok + live.generated_tok
        return np.round((context + 1) / block_tok + 0.5)

    def _preempt(self, replica: Replica, live: LiveArrays, value: Floats) -> set[int]:
        """Let the packing decide between the weakest running jobs and those outside; return who had to go."""
        running = live.state == State.DECODING
        candidates = (live.state == State.WAITING) | (live.state == State.SWAPPED)
        weak = np.flatnonzero(running & (value <= value[candidates].max()))
        weak = weak[np.argsort(value[weak], kind="stable")][: self._most_victims(live, replica.now_s)]
        if weak.size == 0:
            return set()
        candidates[weak] = True
        blocks = self._blocks(live, replica.memory.block_tok)
        order = ranked(np.where(candidates, value / blocks, -np.inf), running)[: int(candidates.sum())]
        memory = replica.memory
        room = memory.free_blocks - memory.watermark_blocks + int(live.blocks[weak].sum())
        places = replica.max_batch - replica.n_resident + weak.size
        chosen = set(greedy(order, live.run_blocks, room, places).tolist())
        losers = [i for i in weak.tolist() if i not in chosen]
        for i in losers:
            replica.preempt(live.jobs[i])
        return set(losers)

    def _most_victims(self, live: LiveArrays, now_s: float) -> int:
        """Return how many preemptions the slack of the requests allows."""
        if not self.is_overhead_aware:
            return len(live.jobs)
        mean_overhead_s = self.overhead_s_per_tok * float((live.prompt_tok + live.generated_tok).mean())
        slack = float(np.percentile(slack_s(live, now_s), self.slack_percentile))
        return max(0, int(slack // mean_overhead_s)) if mean_overhead_s > 0.0 else len(live.jobs)

    def _admit(self, replica: Replica, live: LiveArrays, value: Floats, preempted: set[int]) -> None:
        """Admit by value until one does not fit, as vLLM does."""
        order = np.argsort(-value, kind="stable")
        state = live.state[order]
        for i in order[(state == State.WAITING) | (state == State.SWAPPED)].tolist():
            job = live.jobs[i]
            if i in preempted or not replica.fits(job):
                break
            enter(replica, job)

    def _orders(self, replica: Replica) -> Orders:
        orders = prefill_first(replica, self.max_prefill_tok)
        if orders.decode:
            preempt_newest(replica)
            if not (replica.waiting or replica.swapped):
                orders.ask_after = NEVER
            elif replica.swapped or any(replica.fits(job) for job in replica.waiting):
                orders.ask_after = 1  # values change with time, so somebody who fits may come to the front
            else:
                orders.ask_after = self.every - replica.iteration % self.every
        return orders


def code_qoe(live: LiveArrays, now_s: float, ahead_s: float, token_s: float) -> tuple[Floats, Floats]:
    """Return Q_serve and Q_wait as the code estimates them, each of shape (n,).

    With n tokens so far and E = (elapsed + Delta-t) / delta, from which the TTFT target is not subtracted:
    Q_serve is 1 while the newest token is ahead of its deadline, else min(1, ((n + Delta-t / max(delta, token_s)) / E)^2);
    Q_wait is 1 if n >= E, else 1 - ((E - n) / E)^2, and before the first token 1 or 0 by whether the TTFT target lies
    beyond the horizon.

    Source: first author's fork of vLLM 0.6.1, andes_utils.
    """
    delta = 1.0 / live.reader_tok_per_s
    n = live.generated_tok.astype(np.float64)
    elapsed = now_s - live.arrival_s
    expected = (elapsed + ahead_s) / delta
    reach = (n + ahead_s / np.maximum(delta, token_s)) / expected
    served = np.where(slack_s(live, now_s) > 0.0, 1.0, np.minimum(1.0, reach**2))
    behind = np.maximum(0.0, (expected - n) / expected)
    started = 1.0 - behind**2
    waiting = np.where(n > 0, started, (elapsed + ahead_s <= live.ttft_target_s).astype(np.float64))
    return served, waiting
