"""Random dispatch within a budget: the baselines Stoch-S and Stoch-D."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from discosim.core.spec import spec
from discosim.policies.base import Policy
from discosim.policies.budget import Constraint, Side, resolve_constraint
from discosim.policies.migration import OTHER
from discosim.policies.view import View
from discosim.world.batch.dispatch import Arriving, Coins, Dispatch
from discosim.world.session import Loser

if TYPE_CHECKING:
    from discosim.world.session import Session


@dataclass(kw_only=True)
class Stochastic(Policy):
    """Give the limited endpoint a random share of the requests, whatever their length.

    ``exclusive``: the request goes to the limited endpoint with probability b, else to the other one.
    ``racing``: the other endpoint always runs, the limited one joins with probability b.
    """

    kind: ClassVar[str] = "stochastic"
    paper: ClassVar[str] = "Baselines Stoch-S and Stoch-D of DiSCo (arXiv 2502.11417), names recollected."
    departures: ClassVar[str] = (
        "The paper's exact definition is not known. Exclusive routing is the default because it alone reproduces the "
        "direction of the published tail table in a sketch with invented inputs: a hint, not proof."
    )

    variant: Literal["exclusive", "racing"] = spec("exclusive", doc="One endpoint by lot, or a race joined by lot.")
    constraint: Constraint = spec("server", doc="Which endpoint the budget limits.")
    budget: float = spec(0.5, doc="Probability that the limited endpoint is used.", ge=0, le=1)
    losers: Loser = spec("cancel", doc="Fate of the endpoint that loses a race (racing).")

    _side: Side = field(init=False, repr=False, default="server")

    def prepare(self, view: View) -> None:
        """Find out which endpoint is limited."""
        self._side = resolve_constraint(self.constraint, view)

    def plan(self, view: View, requests: Arriving, coins: Coins) -> Dispatch:  # noqa: ARG002 - as every policy
        """Throw all coins."""
        is_limited_used = coins() < self.budget
        limited_s = np.where(is_limited_used, 0.0, np.inf)
        other_s = np.zeros(len(requests)) if self.variant == "racing" else np.where(is_limited_used, np.inf, 0.0)
        server_s, device_s = (limited_s, other_s) if self._side == "server" else (other_s, limited_s)
        is_first = self._side == "device"  # the other endpoint is asked before the limited one
        return Dispatch(server_s, device_s, falls_back=False, losers=self.losers, server_is_first=is_first)

    def serve(self, session: Session) -> Generator[Any, Any, None]:
        """Throw the coin and serve."""
        is_limited_used = session.coin() < self.budget
        limited, other = self._side, OTHER[self._side]
        if self.variant == "racing":
            endpoints = [other, limited] if is_limited_used else [other]
        else:
            endpoints = [limited if is_limited_used else other]
        streams = [session.start(endpoint) for endpoint in endpoints]
        winner = yield session.first_token_of(*streams)
        if winner is None:
            session.fail()
            return
        session.keep(winner, losers=self.losers)
        yield session.finished()
