"""Questions that need the strong model go to the server, as far as a score with a stated error can tell."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from discosim.core.errors import UserError
from discosim.core.spec import spec
from discosim.policies.base import Policy
from discosim.policies.view import View
from discosim.world.joint import threshold
from discosim.world.verbs.judging import strong_wins_score

if TYPE_CHECKING:
    from discosim.world.session import Session


@dataclass(kw_only=True)
class Router(Policy):
    """Send a request to the server iff its score says that the weak model may fail; keep the rest on the device."""

    kind: ClassVar[str] = "router"
    paper: ClassVar[str] = (
        "RouteLLM (arXiv 2406.18665): the strong model iff P(strong wins | q) >= alpha; known from a secondary source."
    )
    departures: ClassVar[str] = (
        "No trained router: the score of 'only the strong model is right' is drawn, binormal with the AUC that is "
        "stated; alpha is set so that the expected share of requests at the server is the budget. Where one endpoint "
        "refuses, the other is asked: our choice."
    )
    constraint: ClassVar[str] = "server"
    needs_joint: ClassVar[bool] = True

    auc: float = spec(
        0.8,
        doc="Area under the ROC curve of the router's score: 0.5 knows nothing, 1 is an oracle (our choice).",
        ge=0.5,
        le=1,
    )
    budget: float = spec(0.3, doc="Expected share of requests that go to the server.", ge=0, le=1)

    _threshold: float = field(init=False, repr=False, default=math.inf)

    def prepare(self, view: View) -> None:
        """Set the threshold that meets the budget, from the published table and past prompts."""
        if view.joint is None:
            raise UserError(
                f"policy '{self.kind}' needs to know which models are right; add `quality: {{kind: joint, ...}}`",
                where="quality",
            )
        self._threshold = threshold(view.joint.only_strong_share(view.prompt_tok), self.auc, self.budget)

    def serve(self, session: Session) -> Generator[Any, Any, None]:
        """Serve one request where its score says, else where it can be served."""
        is_hard = strong_wins_score(session, self.auc) >= self._threshold
        for name in ("server", "device") if is_hard else ("device", "server"):
            stream = session.start(name)
            if (yield session.first_token_of(stream)) is not None:
                session.keep(stream)
                yield session.finished()
                return
        session.fail()
