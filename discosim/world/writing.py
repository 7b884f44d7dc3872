"""What verbs have noted about how an answer is written and shown, and what follows from it at its end."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from discosim.core.errors import InvariantError
from discosim.core.request import Segment
from discosim.world.quality import QualityModel, Written
from discosim.world.rounding import REL, raised
from discosim.world.stream import NOTHING, Floats, Stream

Pace = Callable[[Floats, int], Floats]
"""From the arrivals of all tokens and the number of those before the hand-over to the moments they are shown."""

IN_ONE_GO = Written()
LATE_S = 1e-9


class Writing:
    """How one answer is written.

    Attributes
    ----------
    sketch : Stream or None
        The sketch, whose tokens are no part of the answer.
    is_sketch_shown : bool
        Whether the reader sees it before the answer.
    n_parts : int
        Parts of the answer that was last asked for in parts.
    written : Written
        What those were made from.
    display : callable or None
        The client's own pacer.
    device_factor : float
        What the device writes is assumed to be worth this much of what it would be worth otherwise.
    """

    # defaults stand in the class: most answers never need any of them
    sketch: Stream | None = None
    is_sketch_shown: bool = False
    n_parts: int = 0
    written: Written = IN_ONE_GO
    display: Pace | None = None
    device_factor: float = 1.0

    @property
    def sketch_tok(self) -> int:
        """Length of the sketch; 0 without one."""
        return 0 if self.sketch is None else self.sketch.n_tok

    def seen_sketch_s(self, arrival_s: float) -> Floats:
        """Return when the tokens of a sketch that the reader sees came, not before the request's own arrival."""
        if self.sketch is None or not self.is_sketch_shown or not self.sketch.has_spoken:
            return NOTHING
        return raised(self.sketch.arrival_s, arrival_s)

    def paced_s(self, request_id: int, delivered_s: Floats, n_before: int) -> Floats:
        """Return when the client's own pacer shows each token; empty where the policy has none.

        ``n_before`` tokens come before the first hand-over.
        """
        if self.display is None:
            return NOTHING
        shown_s = self.display(delivered_s, n_before)
        slack_s = LATE_S + REL * float(delivered_s[-1])
        if shown_s.shape != delivered_s.shape or not (shown_s >= delivered_s - slack_s).all():
            raise InvariantError(f"request {request_id}: a pacer shows tokens that have not arrived")
        if (np.diff(shown_s) < -slack_s).any():
            raise InvariantError(f"request {request_id}: a pacer shows tokens out of order")
        return np.maximum.accumulate(np.maximum(shown_s, delivered_s))  # exactly: what is left is rounding

    def quality(self, model: QualityModel, segments: tuple[Segment, ...], *, is_in_parts: bool) -> float:
        """Return the assumed quality of what was shown, 0 of nothing."""
        if not segments:
            return 0.0
        written = self.written if is_in_parts else IN_ONE_GO
        return model.of(segments, written, is_in_parts=is_in_parts, device_factor=self.device_factor)
