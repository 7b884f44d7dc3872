"""Skeleton-of-Thought: an outline, then all its points at once, by the same model."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from discosim.core.spec import spec
from discosim.policies.base import Policy
from discosim.policies.view import View

if TYPE_CHECKING:
    from discosim.world.session import Session


@dataclass(kw_only=True)
class SkeletonOfThought(Policy):
    """Let the server write an outline, then send each point to it as a request of its own.

    Questions that do not suit parts are answered in one go. The points decode side by side in the server's batch, so
    an answer comes sooner while the server does more work than before.
    """

    kind: ClassVar[str] = "skeleton_of_thought"
    paper: ClassVar[str] = (
        "Skeleton-of-Thought (code github.com/imagination-research/sot): outline of 3 to 10 points of 3 to 5 words, "
        "each point then written out in parallel; a router decides which questions suit (primary: its README, prompts "
        "and labels)."
    )
    departures: ClassVar[str] = (
        "Tokens per point of the outline and the number of points by answer length are our assumption; each point's "
        "request prefills prompt and outline again, as with parallel API calls."
    )

    min_points: int = spec(3, doc="Least points of an outline.", ge=1)
    max_points: int = spec(10, doc="Most points of an outline.", ge=1)
    point_tok: float = spec(
        7.0, doc="Outline tokens per point (our assumption: 3 to 5 words, number).", unit="tok", gt=0
    )
    class_error: float = spec(0.0, doc="Share of questions whose suitability is misjudged.", ge=0, le=1)
    length_error: float = spec(
        0.2, doc="Standard deviation of the log of guessed over true lengths (our choice).", ge=0
    )
    show_sketch: bool = spec(True, doc="Show the outline before the answer; decides the `visible` columns.")

    _part_tok: float = field(init=False, repr=False, default=40.0)

    def __post_init__(self) -> None:
        """Refuse a range of points without any.

        Raises
        ------
        ValueError
            If min_points exceeds max_points.
        """
        if self.min_points > self.max_points:
            raise ValueError(f"min_points ({self.min_points}) must not exceed max_points ({self.max_points})")

    def prepare(self, view: View) -> None:
        """Look up how long a part is."""
        self._part_tok = view.answers.part_tok

    def serve(self, session: Session) -> Generator[Any, Any, None]:
        """Serve one request at the server, in parts where it suits."""
        answer = None
        if session.seems_suitable(self.class_error):
            wanted = round(session.predicted_tok(self.length_error) / self._part_tok)
            n_points = max(self.min_points, min(self.max_points, wanted))
            outline = session.sketch(n_points * self.point_tok, shown=self.show_sketch)
            if (yield session.first_token_of(outline)) is not None:
                yield outline.ended()
                answer = yield session.first_token_of(session.expand("server", n_points))
        if answer is None:
            answer = yield session.first_token_of(session.start("server"))
        if answer is None:
            session.fail()
            return
        session.keep(answer)
        yield session.finished()
