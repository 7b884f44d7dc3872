"""Every answer comes from the service."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from discosim.core.spec import spec
from discosim.policies.base import Policy

if TYPE_CHECKING:
    from discosim.world.session import Session


@dataclass(kw_only=True)
class ServerOnly(Policy):
    """Send every request to the service, and try again where it refuses."""

    kind: ClassVar[str] = "server_only"
    paper: ClassVar[str] = "Baseline 'vLLM' of DiSCo (arXiv 2502.11417), name recollected."
    departures: ClassVar[str] = "Retries are our addition; none by default."

    n_retries: int = spec(0, doc="Further attempts after a refusal.", ge=0)
    retry_after_s: float = spec(1.0, doc="Wait before a further attempt (our choice).", unit="s", ge=0)

    def serve(self, session: Session) -> Generator[Any, Any, None]:
        """Serve one request at the service."""
        for attempt in range(self.n_retries + 1):
            if attempt > 0:
                yield session.wait(self.retry_after_s)
            server = session.start("server")
            winner = yield session.first_token_of(server)
            if winner is not None:
                session.keep(server)
                yield session.finished()
                return
        session.fail()
