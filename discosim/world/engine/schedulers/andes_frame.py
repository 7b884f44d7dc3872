"""The frame of both versions of Andes: when the solver is called, and what happens between two calls."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

from discosim.core.spec import spec
from discosim.world.engine.job import Job
from discosim.world.engine.schedulers.andes_ranking import Admission, Overflow, Ranking
from discosim.world.engine.schedulers.andes_solver import Choice, Look, Solver, choose
from discosim.world.engine.schedulers.base import Orders, ReplicaView, Scheduler
from discosim.world.engine.schedulers.entering import anybody_fits
from discosim.world.engine.schedulers.moves import MAX_PREFILL_TOK, enter, prefill_first
from discosim.world.engine.schedulers.objectives import Objective


@dataclass(kw_only=True)
class AndesFrame(Scheduler):
    """Serve everybody while there is room, else those whom the solver chooses, as far as a subclass lets them change.

    Notes
    -----
    A job that was not chosen keeps running where its memory is not needed: the paper's packing would leave the
    memory empty (our choice). A victim is the resident job of the lowest priority. The paper calls the solver at each
    iteration boundary; the authors' forks every 5th and every 10th iteration, and in between admit by value per block
    whoever fits, without eviction. The latter is the default: called at each boundary, the packing lets every newcomer
    pass those put out before, and near the knee of the load it does worse than first come, first served. The chosen
    batch size binds newcomers only while somebody is outside or tokens are late: where everybody is inside and served
    fast enough, whoever fits may enter (our choice).

    Where memory runs out between two calls somebody has to leave. The papers do not say who; both build on vLLM, which
    puts out the newest, and that is the default. These preemptions are outside of the cap and of the refiner, which
    weigh only what the solver wants; with ``overflow: priority`` the cap counts them.
    """

    may_decide_ahead: ClassVar[bool] = False
    needs_live: ClassVar[bool] = True

    ahead_s: float = spec(
        50.0, doc="Horizon Delta-t; v1's paper finds no effect above 50, the authors' code has 10.", unit="s", gt=0
    )
    objective: Objective = spec("average", doc="Mean QoE, worst QoE, or number of requests that are never late.")
    solver: Solver = spec("greedy", doc="Greedy packing, or the exact dynamic program.")
    trigger: float = spec(0.9, doc="Share of the KV memory above which the solver runs.", gt=0, le=1)
    n_sizes: int = spec(8, doc="Most batch sizes tried per call.", ge=1)
    solve_every: int = spec(10, doc="Iterations between two calls of the solver.", ge=1)
    max_prefill_tok: int = spec(MAX_PREFILL_TOK, doc="Prompt tokens of one prefill iteration.", unit="tok", ge=1)
    admission: Admission = spec(
        "priority",
        doc="Who enters first between two calls: by gain per token of context as in the solver (authors' forks), or "
        "swapped jobs and then by arrival.",
        since="0.2",
    )
    overflow: Overflow = spec(
        "newest",
        doc="Who leaves where memory runs out between two calls: the newest as in vLLM, or by least gain per token of "
        "context, which the cap then counts.",
        since="0.2",
    )

    _size: int = field(init=False, repr=False, default=1 << 30)

    def schedule(self, replica: ReplicaView) -> Orders:
        """Serve everybody while there is room, else solve at every tenth iteration."""
        look = Look(replica)
        if not look.jobs:
            return Orders()
        self._meet(look.jobs)
        choice: Choice | None = None
        if look.is_settled or not look.is_crowded(self.trigger):
            self._size = replica.max_batch
        elif replica.iteration % self.solve_every == 0:
            choice = choose(look, self.ahead_s, self.objective, self.solver, self.n_sizes)
            self._size = choice.size
        ranking = Ranking(look, self.ahead_s, self.objective, self._size)
        if choice is None:
            ranking.admit_what_fits(self.admission)
        else:
            self._rearrange(look, choice)
        return self._orders(ranking, is_full=choice is None)

    @abstractmethod
    def _rearrange(self, look: Look, choice: Choice) -> None:
        """Bring in whom the solver has chosen, as far as it is worth putting out others."""

    def _meet(self, jobs: list[Job]) -> None:
        """Hear who is live."""

    def _note_overflow(self, n: int) -> None:
        """Hear of preemptions by lack of memory."""

    def _orders(self, ranking: Ranking, *, is_full: bool) -> Orders:
        """Return the orders once all moves are made; ``is_full`` if whoever fits has entered.

        The solver is asked again at its next turn while somebody is outside, or at once where somebody outside fits all
        the same; with everybody inside it has nothing to decide until memory or speed run out. Who does not fit
        now does not fit until the batch changes: it only grows meanwhile.
        """
        replica = ranking.look.replica
        if replica.n_resident == 0:
            enter(replica, ranking.first_outside(self.admission))
        orders = prefill_first(replica, self.max_prefill_tok)
        if not orders.decode:
            return orders
        n = ranking.make_room(self.overflow)
        if n:
            self._note_overflow(n)
            orders.ask_after = 1  # who was blocked by those may fit now
        elif replica.waiting or replica.swapped:
            has_room = not is_full and replica.n_resident < self._size and anybody_fits(replica, ranking.look.live)
            orders.ask_after = 1 if has_room else self.solve_every - replica.iteration % self.solve_every
        else:
            orders.ask_after = ranking.look.calm_iterations()
        return orders


def unchosen_residents(look: Look, choice: Choice) -> list[int]:
    """Return the rows of the resident jobs that the solver would not serve, worst first."""
    is_victim = look.is_resident.copy()
    is_victim[choice.chosen] = False
    worst_first = choice.order[::-1]
    rows: list[int] = worst_first[is_victim[worst_first]].tolist()
    return rows
