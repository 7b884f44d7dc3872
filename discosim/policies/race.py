"""Both endpoints run every request; the first to speak is kept."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from discosim.core.spec import spec
from discosim.policies.base import Policy
from discosim.world.session import Loser

if TYPE_CHECKING:
    from discosim.world.session import Session


@dataclass(kw_only=True)
class Race(Policy):
    """Start both, keep whichever speaks first: the shortest TTFT that money and energy can buy."""

    kind: ClassVar[str] = "race"
    paper: ClassVar[str] = "Hedged requests; DiSCo (arXiv 2502.11417) at a budget of 1."
    departures: ClassVar[str] = "None known."

    losers: Loser = spec("cancel", doc="Fate of the endpoint that loses: cancel, finish_prefill or run_on.")

    def serve(self, session: Session) -> Generator[Any, Any, None]:
        """Race one request."""
        device, server = session.start("device"), session.start("server")
        winner = yield session.first_token_of(device, server)
        if winner is None:
            session.fail()
            return
        session.keep(winner, losers=self.losers)
        yield session.finished()
