"""Who asks for the moments of a stream, and when each comes if nobody disturbs the stream."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from simpy.events import Event
from stream_kinds import KINDS, PROMPT_TOK, RATE, Begin, HastyStream, Kind
from worlds import model, past, play, requests

from discosim.policies import Policy
from discosim.world.moment import when
from discosim.world.stream import Stream


def first_token(session: Any, stream: Stream) -> Event:
    return session.first_token_of(stream)


def ended(_: Any, stream: Stream) -> Event:
    return stream.ended()


def closed(_: Any, stream: Stream) -> Event:
    return stream.closed()


def finished(session: Any, stream: Stream) -> Event:
    session.keep(stream, losers="run_on")
    return session.finished()


def buffer(need_tok: float) -> Callable[[Any, Stream], Event]:
    def ask(session: Any, stream: Stream) -> Event:
        session.keep(stream, losers="run_on")
        return session.buffer_reaches(lambda _, n: np.full(n, need_tok))

    return ask


MOMENTS = {
    "first token": first_token,
    "ended": ended,
    "closed": closed,
    "finished": finished,
    "buffer": buffer(2.5),
    "buffer never": buffer(math.inf),
}


def by_yield(session: Any, event: Event) -> Generator[Any, Any, Any]:
    return (yield event)


def by_callback(session: Any, event: Event) -> Generator[Any, Any, Any]:
    told = session.setting.env.event()
    when(event, lambda happened: told.succeed(happened.value))
    return (yield told)


def by_either(session: Any, event: Event) -> Generator[Any, Any, Any]:
    values = yield event | session.wait(1e7)
    assert event.processed
    return values[event]


def by_both(session: Any, event: Event) -> Generator[Any, Any, Any]:
    return (yield event & session.wait(0.0))[event]


def by_looking(session: Any, event: Event) -> Generator[Any, Any, Any]:
    for _ in range(1000):
        if event.processed:
            return (yield event)
        yield session.wait(0.1) | event
    raise AssertionError("never")


WAYS = [by_yield, by_callback, by_either, by_both, by_looking]


@dataclass
class Told:
    moment: str
    at_s: float = math.nan
    values: list[Any] = field(default_factory=list)


@dataclass(kw_only=True)
class Asks(Policy):
    """Ask for moments of one stream after a while, twice each, perhaps after a stop, and wait in different ways."""

    kind = ""
    begin: Begin
    after_s: float
    moments: Any
    stop_s: float = math.inf
    turn: int = 0

    def __deepcopy__(self, memo: Any) -> Asks:
        return self

    def serve(self, session: Any) -> Generator[Any, Any, None]:
        stream = self.stream = self.begin(session)
        if self.stop_s < math.inf:
            yield session.wait(self.stop_s)
            stream.stop()
            yield session.wait(self.after_s)
        else:
            yield session.wait(self.after_s)
        self.asked_s = session.now_s
        self.told = [Told(moment) for moment in [*self.moments, *self.moments]]
        events = [MOMENTS[told.moment](session, stream) for told in self.told]
        for told, event in zip(self.told, events, strict=True):
            if isinstance(stream, HastyStream) and event.processed:
                told.at_s = session.now_s
            else:  # whatever is returned takes a callback
                event.callbacks.append(lambda _, told=told: setattr(told, "at_s", session.now_s))
        for i, (told, event) in enumerate(zip(self.told, events, strict=True)):
            for way in (WAYS[(self.turn + i) % len(WAYS)], by_yield):
                told.values.append((yield from way(session, event)))
        session.fail()


@cache
def view() -> Any:
    return past(model())


def asked(kind: Kind, after_s: float, moments: Any = MOMENTS, **more: Any) -> Asks:
    """Run one request that asks; the world is empty when it is over, and everybody was told."""
    policy = Asks(begin=kind.begin, after_s=after_s, moments=moments, **more)
    table = requests(1, prompt_tok=PROMPT_TOK, output_tok=kind.n_tok, reader_tok_per_s=RATE)
    known = replace(view(), fleet=kind.parts.fleet)
    world = play(policy, kind.parts, table, view=known).world
    assert math.isfinite(world.env.now), "an event that never comes was scheduled"
    assert not any(math.isnan(told.at_s) for told in policy.told)
    return policy


@dataclass(frozen=True)
class Truth:
    """What a stream does when nobody disturbs it: seconds since it was asked for."""

    start_s: float
    first_s: float
    end_s: float
    closed_s: float
    arrival_s: Any


@cache
def truth(name: str) -> Truth:
    kind = KINDS[name]
    policy = asked(kind, 0.0, ["ended", "closed"])
    stream, start_s = policy.stream, policy.asked_s
    end_s, closed_s = (told.at_s - start_s for told in policy.told[:2])
    arrival_s = np.asarray(stream.arrival_s) - start_s
    if not kind.speaks:
        return Truth(start_s, end_s, end_s, closed_s, arrival_s)
    assert arrival_s.size == kind.n_tok
    assert (np.diff(arrival_s) >= 0).all()
    assert end_s == pytest.approx(arrival_s[-1], abs=1e-9)
    assert closed_s <= end_s + 1e-9
    return Truth(start_s, float(arrival_s[0]), float(arrival_s[-1]), closed_s, arrival_s)


def buffer_moment(arrival_s: Any, need_tok: float) -> tuple[float, int | None]:
    """Return when the reader's buffer first holds what is needed, and after which token, by a plain loop."""
    clock = -math.inf
    for k, at_s in enumerate(arrival_s.tolist(), start=1):
        clock = max(at_s, clock + 1 / RATE)
        if RATE * (clock - at_s) + 1 + 1e-9 >= need_tok and k < arrival_s.size:
            return at_s, k
    return float(arrival_s[-1]), None


def expected(kind: Kind, moment: str, known: Truth) -> tuple[float, Any]:
    """Return when a moment comes and, for those with a value, which."""
    if not kind.speaks:
        return (known.closed_s if moment == "closed" else known.first_s), None
    if moment == "first token":
        return known.first_s, "the stream"
    if moment == "closed":
        return known.closed_s, None
    if moment.startswith("buffer"):
        return buffer_moment(known.arrival_s, 2.5 if moment == "buffer" else math.inf)
    return known.end_s, None
