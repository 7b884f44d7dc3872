"""Easy questions to the edge, hard ones to the server."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from discosim.core.spec import spec
from discosim.policies.base import Policy
from discosim.policies.sketching import from_server
from discosim.policies.view import View

if TYPE_CHECKING:
    from discosim.world.session import Session


@dataclass(kw_only=True)
class EdgeRouter(Policy):
    """Send a request to the edge if its expected answer is short, else to the server."""

    needs_edge: ClassVar[bool] = True
    kind: ClassVar[str] = "edge_router"
    paper: ClassVar[str] = "Baseline 'routing' of PICE (arXiv 2501.09367), name recollected, not verified."
    departures: ClassVar[str] = "Easy means a short expected answer: our choice; the paper's router could not be read."

    easy_tok: float = spec(150.0, doc="Longest expected answer that counts as easy (our choice).", unit="tok", ge=0)
    length_error: float = spec(
        0.2, doc="Standard deviation of the log of guessed over true lengths (our choice).", ge=0
    )

    def prepare(self, view: View) -> None:
        """Make sure that there is an edge tier."""
        view.edge_for(self.kind)

    def serve(self, session: Session) -> Generator[Any, Any, None]:
        """Serve one request."""
        if session.predicted_tok(self.length_error) <= self.easy_tok:
            edge = session.start("edge")
            if (yield session.first_token_of(edge)) is not None:
                session.keep(edge)
                yield session.finished()
                return
        yield from from_server(session)
