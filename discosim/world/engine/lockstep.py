"""Replicas that step together: data parallelism whose ranks share the experts of a mixture.

Every iteration ends for all ranks when it ends for the slowest; a rank without requests steps along for nothing. The
slowest of several straight lines is one of them until two cross, so a leap goes on as long as the rank that leads
stays ahead, and no rank has to be asked.

Source: vLLM, data parallelism with expert parallelism: a rank that has nothing to do runs a dummy batch, because the
experts' all-to-all waits for everybody (recollected). Each rank has a queue, a memory and a scheduler of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import simpy
from simpy.events import Event

from discosim.world.engine.costs.base import CostModel
from discosim.world.engine.plan import Plan
from discosim.world.engine.replica import Replica
from discosim.world.turn import Turn


@runtime_checkable
class SharesExperts(Protocol):
    """A cost model whose experts see the tokens of other ranks."""

    def beside(self, other_tok: int) -> CostModel:
        """Return the model of an iteration in which the other ranks have so many tokens."""
        ...


class Rank(Replica):
    """A replica whose iterations begin and end with those of its group."""

    group: Lockstep

    def _wake(self) -> None:
        self.group.wake()

    def see(self, other_tok: int) -> None:
        """Reckon with the tokens of the other ranks."""
        cost = self.model.cost
        if isinstance(cost, SharesExperts):
            self.cost = cost.beside(other_tok)
            self._lines = {}


class Lockstep:
    """The clock of ranks that step together.

    Parameters
    ----------
    env : simpy.Environment
        The world's clock.
    ranks : sequence of Rank
        All of them.
    """

    def __init__(self, env: simpy.Environment, ranks: Sequence[Rank]) -> None:
        self.env = env
        self._ranks = ranks
        self._plan = Plan()
        self._due: Turn | None = None
        self._act = self._turn
        self._in_turn = False
        for rank in ranks:
            rank.group = self

    def wake(self) -> None:
        """Have a boundary as soon as there can be one."""
        plan, env = self._plan, self.env
        if self._in_turn:
            return
        if plan.m == 0:
            if self._due is None:
                self._due = Turn(env, self._act, 0.0)
        elif (i := plan.index_at(env.now)) < plan.m:
            plan.m = i
            for rank in self._ranks:
                rank.plan.m = min(rank.plan.m, i)
            self._due = Turn(env, self._act, max(0.0, plan.end_s(i) - env.now))

    def _turn(self, event: Event) -> None:
        """Close the iterations that have ended, ask all schedulers, begin the next ones."""
        if event is not self._due:
            return
        self._due = None
        self._in_turn = True
        now_s = self._plan.end_s(self._plan.m) if self._plan.m else self.env.now
        self._plan.m = 0
        for rank in self._ranks:
            rank.close(now_s)
        running = [rank for rank in self._ranks if rank.n_live and rank.order()]
        if running:
            self._begin(running, now_s)
        self._in_turn = False

    def _begin(self, running: list[Rank], now_s: float) -> None:
        """Plan as many iterations as are certain for all, at the pace of the slowest."""
        all_tok = sum(rank.plan.n_decode + rank.plan.n_prefill_tok for rank in running)
        for rank in running:
            rank.see(all_tok - rank.plan.n_decode - rank.plan.n_prefill_tok)
            rank.price()
        plan = self._plan
        plan.first_s, plan.ramp_s = max((rank.plan.first_s, rank.plan.ramp_s) for rank in running)
        plan.m = min(rank.plan.m for rank in running)
        for rank in running:
            if rank.plan.ramp_s > plan.ramp_s:
                ahead_s = plan.first_s - rank.plan.first_s
                plan.m = min(plan.m, 1 + int(ahead_s / (rank.plan.ramp_s - plan.ramp_s)))
        plan.begin_s = now_s
        plan.start_s = now_s + max(rank.take_stall() for rank in running)
        for rank in running:
            own = rank.plan
            own.begin_s, own.start_s = plan.begin_s, plan.start_s
            own.first_s, own.ramp_s, own.m = plan.first_s, plan.ramp_s, plan.m
        self._due = Turn(self.env, self._act, max(0.0, plan.end_s(plan.m) - self.env.now))
