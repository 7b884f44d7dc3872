"""Every answer comes from the service."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from discosim.core.spec import spec
from discosim.policies.base import Policy
from discosim.policies.services import SERVER, check_service
from discosim.world.batch.dispatch import Arriving, Coins, Dispatch, only

if TYPE_CHECKING:
    from discosim.policies.view import View
    from discosim.world.session import Session


@dataclass(kw_only=True)
class ServerOnly(Policy):
    """Send every request to the service, and try again where it refuses."""

    kind: ClassVar[str] = "server_only"
    paper: ClassVar[str] = "Baseline 'vLLM' of DiSCo (arXiv 2502.11417), name recollected."
    departures: ClassVar[str] = "Retries, here or at another service, are our addition; none by default."

    n_retries: int = spec(0, doc="Further attempts after a refusal.", ge=0)
    retry_after_s: float = spec(1.0, doc="Wait before a further attempt (our choice).", unit="s", ge=0)
    service: str = spec(SERVER, doc="Which service: `server`, or a name in `services`.", min_length=1, since="0.2")
    retry_service: str | None = spec(
        None, doc="Which service gets further attempts; null for the same.", min_length=1, since="0.2"
    )

    def __post_init__(self) -> None:
        check_service(self.service)
        if self.retry_service is not None:
            check_service(self.retry_service)
            if not self.n_retries:
                raise ValueError("retry_service has no effect where n_retries is 0")

    def asks_for(self) -> Sequence[str]:
        """Return the services."""
        return [self.service] if self.retry_service is None else [self.service, self.retry_service]

    def plan(self, view: View, requests: Arriving, coins: Coins) -> Dispatch | None:  # noqa: ARG002 - as every policy
        """Ask the service for everything; what it refuses is looked after by `serve`."""
        if self.service != SERVER:
            return None
        return replace(only(np.ones(len(requests), dtype=np.bool_)), tries_again=self.n_retries > 0)

    def serve(self, session: Session) -> Generator[Any, Any, None]:
        """Serve one request at the service."""
        for attempt in range(self.n_retries + 1):
            if attempt > 0:
                yield session.wait(self.retry_after_s)
            server = session.start(self.service if attempt == 0 else self.retry_service or self.service)
            winner = yield session.first_token_of(server)
            if winner is not None:
                session.keep(server)
                yield session.finished()
                return
        session.fail()
