"""The clairvoyant bound: spend the budget where the true draws say that it saves the most waiting."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from discosim.core.errors import InvariantError
from discosim.core.spec import spec
from discosim.policies.base import Policy
from discosim.policies.budget import Constraint, Side, resolve_constraint
from discosim.policies.migration import OTHER
from discosim.policies.view import View

if TYPE_CHECKING:
    from discosim.world.session import Session


@dataclass(kw_only=True)
class Oracle(Policy):
    """Know both TTFTs of every request beforehand; use the limited endpoint for the best savings per prompt token.

    The best choice inside a budget is a knapsack; taking requests in order of seconds saved per prompt token and
    filling up with later ones that still fit misses its optimum by less than one request's saving. The TTFTs
    assume an idle device, so the bound is sharp while devices are rarely busy.
    """

    kind: ClassVar[str] = "oracle"
    paper: ClassVar[str] = "Our choice: no paper of the field reports the distance to a clairvoyant bound."
    departures: ClassVar[str] = "Greedy knapsack instead of an exact one; device queueing is not foreseen."
    needs: ClassVar[frozenset[str]] = frozenset({"oracle"})

    constraint: Constraint = spec("auto", doc="Which endpoint the budget limits.")
    budget: float = spec(0.5, doc="Share of prompt tokens the limited endpoint may process.", ge=0, le=1)

    _side: Side = field(init=False, repr=False, default="server")
    _uses_limited: list[bool] = field(init=False, repr=False, default_factory=list)

    def prepare(self, view: View) -> None:
        """Choose the requests that get the limited endpoint."""
        if view.draws is None:
            raise InvariantError("the oracle policy was given no draws")
        self._side = resolve_constraint(self.constraint, view)
        ttft = {"server": view.draws.server_ttft_s, "device": view.draws.device_ttft_s}
        chosen = choose(
            limited_s=ttft[self._side],
            other_s=ttft[OTHER[self._side]],
            weight_tok=np.where(view.draws.rejected, 0, view.draws.prompt_tok),
            budget=self.budget,
        )
        self._uses_limited = chosen.tolist()

    def serve(self, session: Session) -> Generator[Any, Any, None]:
        """Use the endpoint that is known to be faster."""
        endpoint = self._side if self._uses_limited[session.request_id] else OTHER[self._side]
        winner = yield session.first_token_of(session.start(endpoint))
        if winner is None:
            session.fail()
            return
        session.keep(winner)
        yield session.finished()


def choose(
    *,
    limited_s: NDArray[np.float64],
    other_s: NDArray[np.float64],
    weight_tok: NDArray[np.int64],
    budget: float,
) -> NDArray[np.bool_]:
    """Return which requests use the limited endpoint, shape (n,).

    Parameters
    ----------
    limited_s, other_s : array of float, shape (n,)
        TTFT at the limited and at the other endpoint; ``inf`` where it would refuse.
    weight_tok : array of int, shape (n,)
        Prompt tokens; 0 for requests that do not count.
    budget : float
        Share of all prompt tokens the limited endpoint may process, in [0, 1].

    Notes
    -----
    A request that the other endpoint would refuse comes first: it cannot be answered otherwise.
    """
    with np.errstate(invalid="ignore"):
        saving = other_s - limited_s
    saving = np.where(np.isnan(saving), 0.0, saving)
    value = np.divide(saving, weight_tok, out=np.zeros_like(saving), where=weight_tok > 0)
    room = budget * float(weight_tok.sum())
    chosen = np.zeros(saving.size, dtype=bool)
    for i in np.argsort(-value, kind="stable").tolist():
        if value[i] <= 0.0:
            break
        if weight_tok[i] <= room + 1e-9:
            chosen[i] = True
            room -= weight_tok[i]
    return chosen
