"""Every answer comes from the edge, in one go."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from discosim.policies.base import Policy
from discosim.policies.view import View

if TYPE_CHECKING:
    from discosim.world.session import Session


@dataclass(kw_only=True)
class EdgeOnly(Policy):
    """Run every request on an edge box, without any sketch; what no box can hold fails."""

    needs_edge: ClassVar[bool] = True
    kind: ClassVar[str] = "edge_only"
    paper: ClassVar[str] = "Baseline 'edge-only' of PICE (arXiv 2501.09367), name recollected, not verified."
    departures: ClassVar[str] = "Boxes work in rounds here too: an answer waits for the longest of its batch to leave."

    def prepare(self, view: View) -> None:
        """Make sure that there is an edge tier."""
        view.edge_for(self.kind)

    def serve(self, session: Session) -> Generator[Any, Any, None]:
        """Serve one request at the edge."""
        edge = session.start("edge")
        if (yield session.first_token_of(edge)) is None:
            session.fail()
            return
        session.keep(edge)
        yield session.finished()
