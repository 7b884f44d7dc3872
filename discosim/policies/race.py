"""Both endpoints run every request; the first to speak is kept."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from discosim.core.spec import spec
from discosim.policies.base import Policy
from discosim.policies.services import SERVER, check_service
from discosim.world.batch.dispatch import Arriving, Coins, Dispatch
from discosim.world.session import Loser

if TYPE_CHECKING:
    from discosim.policies.view import View
    from discosim.world.session import Session


@dataclass(kw_only=True)
class Race(Policy):
    """Start both, keep whichever speaks first: the shortest TTFT that money and energy can buy."""

    kind: ClassVar[str] = "race"
    paper: ClassVar[str] = "Hedged requests; DiSCo (arXiv 2502.11417) at a budget of 1."
    departures: ClassVar[str] = "None known."

    losers: Loser = spec("cancel", doc="Fate of the endpoint that loses: cancel, finish_prefill or run_on.")
    service: str = spec(
        SERVER, doc="Which service races the device: `server`, or a name in `services`.", min_length=1, since="0.2"
    )

    def __post_init__(self) -> None:
        check_service(self.service)

    def asks_for(self) -> Sequence[str]:
        """Return the service."""
        return [self.service]

    def plan(self, view: View, requests: Arriving, coins: Coins) -> Dispatch | None:  # noqa: ARG002 - as every policy
        """Ask both for everything."""
        if self.service != SERVER:
            return None
        at_once = np.zeros(len(requests))
        return Dispatch(at_once, at_once, falls_back=False, losers=self.losers)

    def serve(self, session: Session) -> Generator[Any, Any, None]:
        """Race one request."""
        device, server = session.start("device"), session.start(self.service)
        winner = yield session.first_token_of(device, server)
        if winner is None:
            session.fail()
            return
        session.keep(winner, losers=self.losers)
        yield session.finished()
