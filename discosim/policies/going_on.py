"""Who goes on with an answer when the endpoint that was meant to cannot; shared by policies."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from discosim.world.session import Session
    from discosim.world.stream import Stream


def alone_at(session: Session, endpoint: str, other: str) -> Generator[Any, Any, None]:
    """Let an endpoint give the whole answer, or another one where it refuses."""
    for name in (endpoint, other):
        stream = session.start(name)
        if (yield session.first_token_of(stream)) is not None:
            session.keep(stream)
            yield session.finished()
            return
    session.fail()


def finish_at(session: Session, stream: Stream) -> Generator[Any, Any, None]:
    """Let the endpoint that speaks give the rest, although only the tokens of ``stream`` were asked of it.

    It prefills anew, and the request fails where it refuses.
    """
    yield session.finished()
    if session.is_whole(stream):
        return
    rest = session.start(stream.endpoint, after_token=session.received_tok(stream))
    session.hand_over(rest)
    if (yield session.first_token_of(rest)) is None:
        session.fail()
    yield session.over()
