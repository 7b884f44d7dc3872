"""Sketches of a fixed length: PICE without its scheduler."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from discosim.core.spec import spec
from discosim.policies.sketching import Sketching, from_server

if TYPE_CHECKING:
    from discosim.world.session import Session


@dataclass(kw_only=True)
class FixedRho(Sketching):
    """Sketch every question that suits parts, always to the same share of the answer, whatever the queues."""

    kind: ClassVar[str] = "fixed_rho"
    paper: ClassVar[str] = "Baseline for PICE (arXiv 2501.09367); the bound 1/(1 - phi(1 - rho)) is derived for it."
    departures: ClassVar[str] = "Our choice; not known to be in the paper."

    rho: float = spec(0.3, doc="Sketch tokens over expected answer tokens.", gt=0, le=1)
    min_tok: float = spec(0.0, doc="Shorter expected answers come from the server.", unit="tok", ge=0)

    def serve(self, session: Session) -> Generator[Any, Any, None]:
        """Serve one request."""
        is_long = session.predicted_tok(self.length_error) >= self.min_tok
        if is_long and session.seems_suitable(self.class_error):
            yield from self.sketch_then_write(session, self.rho)
        else:
            yield from from_server(session)
