"""Speculative decoding between device and cloud: the device drafts, the cloud verifies, only tokens cross.

Paper: speculative decoding (Leviathan et al., arXiv 2211.17192, recollected) over a last hop, as in DSSD (arXiv
2507.12000) and SLED (arXiv 2506.09397), abstracts only; an alternative that P/D-Device (arXiv 2508.09035) argues
against, second-hand: a round trip per round. Needs: a server of any kind; the scenario's device runs the drafter.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from discosim.core.spec import spec
from discosim.policies.base import Policy
from discosim.world.verbs.battery import can_take
from discosim.world.verbs.speculating import speculate

if TYPE_CHECKING:
    from discosim.world.session import Session
    from discosim.world.stream import Stream


@dataclass(kw_only=True)
class Speculative(Policy):
    """The device drafts a few tokens at a time, the cloud checks them in one iteration."""

    kind: ClassVar[str] = "speculative"
    paper: ClassVar[str] = (
        "Speculative decoding (arXiv 2211.17192, recollected) between device and cloud; a baseline that P/D-Device "
        "(arXiv 2508.09035) argues against, second-hand."
    )
    departures: ClassVar[str] = (
        "Acceptance is a constant probability per draft; the drafter sees the whole prompt and rounds begin when it "
        "has prefilled; a verification costs one decode iteration and holds no slot between rounds (in its favour). "
        "Drafts count as generated tokens, so all of them appear as wasted. A busy device is not waited for."
    )

    acceptance: float = spec(0.7, doc="Probability that a draft is accepted (assumed).", ge=0, le=1)
    n_draft: int = spec(4, doc="Tokens drafted in a round (assumed).", ge=1)

    def serve(self, session: Session) -> Generator[Any, Any, None]:
        """Serve one request."""
        answer: Stream
        if session.is_device_busy or not can_take(session, session.prompt_tok):
            answer = session.start("server")
        else:
            answer = speculate(session, self.n_draft, self.acceptance)
        if (yield session.first_token_of(answer)) is None:
            device = session.start("device")
            if (yield session.first_token_of(device)) is None:
                session.fail()
                return
            session.keep(device)
            yield session.finished()
            return
        session.keep(answer, losers="run_on")
        yield session.finished()
