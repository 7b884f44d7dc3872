"""Waiting for a moment of a stream: whoever asks, of whichever stream, before, at or after it, is answered in time."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from engines import LINES
from simpy.events import Event, Timeout
from worlds import (
    DEAR_SERVER,
    NO_LINK,
    constant,
    constant_link,
    edge_box,
    law,
    long,
    model,
    past,
    play,
    profile,
    requests,
)
from worlds import server as service

from discosim.core.device_law import Heat, Residual, Stalls
from discosim.core.empirical import QuantileTable
from discosim.core.errors import InvariantError
from discosim.core.scenario import Throttle
from discosim.policies import Policy
from discosim.world.answers import AnswerModel
from discosim.world.engine.engine import EngineModel, PrefillPool
from discosim.world.engine.floor import ReplicaModel
from discosim.world.engine.schedulers.fcfs import Fcfs
from discosim.world.engine.schedulers.fcfs_chunked import FcfsChunked
from discosim.world.link import LinkModel
from discosim.world.moment import when
from discosim.world.parts import PartsStream
from discosim.world.stream import Stream
from discosim.world.verbs.absorbing import absorb, go_on
from discosim.world.verbs.speculating import DraftingStream, VerifiedStream, speculate
from discosim.world.world import WorldModel

PROMPT_TOK, N_TOK = 30, 12
RATE = 4.8
SLOW_LINK = constant_link(0.3, tokens_per_packet=3)
WANDERING = LinkModel(rtt=law(QuantileTable((0.0, 0.5, 1.0), (0.01, 0.08, 0.9)), 0.3), tick_s=0.2)
Begin = Callable[[Any], Stream]


# --- every kind of stream -------------------------------------------------------------------------------------


class OwnStream(Stream):
    """What a stream of another package is at the least: a timeline that is known at once."""

    endpoint = "server"

    def __init__(self, env: Any, n_tok: int = N_TOK) -> None:
        super().__init__(env, PROMPT_TOK, 1, n_tok)
        self.promise(float(self.arrival_s[0]))

    def _make_generated(self) -> Any:
        return self.requested_s + 0.4 + 0.1 * np.arange(self.n_tok)

    def stop(self, *, finish_prefill: bool = False) -> None:
        self.is_stopped = True

    def bill(self) -> tuple[float, int]:
        return float(self.prompt_tok), self.n_tok


class LateStream(OwnStream):
    """A stream of another package that knows its timeline a second after it was asked for."""

    __slots__ = ("_is_ready",)

    def __init__(self, env: Any) -> None:
        self._is_ready = False
        Stream.__init__(self, env, PROMPT_TOK, 1, N_TOK)
        Timeout(env, 1.0).callbacks.append(self._begin)

    def _begin(self, _: Event) -> None:
        self._is_ready = True
        self.promise(float(self.arrival_s[0]))
        self._move()

    def is_known(self) -> bool:
        return self._is_ready

    def _make_generated(self) -> Any:
        return super()._make_generated() + 1.0


class HastyStream(OwnStream):
    """A stream of another package whose events may have happened before anybody can add a callback."""

    def ended(self) -> Event:
        return happened(self.env) if self.over_s() <= self.env.now else super().ended()

    def closed(self) -> Event:
        return happened(self.env)


def happened(env: Any) -> Event:
    event = Event(env)
    event._ok, event._value, event.callbacks = True, None, None
    return event


def own(make: Callable[[Any], Stream]) -> Begin:
    """Let the session take note of a stream that it did not make."""

    def begin(session: Any) -> Stream:
        stream = make(session.setting.env)
        session.take(stream)
        return stream

    return begin


def second(first: Begin, then: Begin) -> Begin:
    """Start something else before."""

    def begin(session: Any) -> Stream:
        first(session)
        return then(session)

    return begin


def to(endpoint: str) -> Begin:
    return lambda session: session.start(endpoint)


def in_parts(endpoint: str, width: int = 1) -> Begin:
    return lambda session: session.expand(endpoint, 3, width=width)


def speculation(session: Any) -> Stream:
    return speculate(session, 4, 0.6)


def absorbing(session: Any) -> Stream:
    stream = absorb(session, PROMPT_TOK)
    go_on(session, stream, 0, session.now_s)
    return stream


def hasty_parts(session: Any) -> Stream:
    env = session.setting.env
    stream = PartsStream(
        [[HastyStream(env, 5)], [HastyStream(env, 4), HastyStream(env, 4)], [OwnStream(env, 3)]], [0, 1, 0]
    )
    session.take(stream)
    return stream


def hasty_speculation(session: Any) -> Stream:
    device = session.setting.fleet.device_of(session.user_id)
    drafter = DraftingStream(device, PROMPT_TOK)
    device.take(drafter)
    made_tok = np.array([1, 4, 4, 3])
    stream = VerifiedStream(HastyStream(device.env, 4), drafter, made_tok, 4, session.setting.link, session.user_id)
    session.streams += [drafter, stream]
    return stream


REPLICA = ReplicaModel(LINES, kv_blocks=40, block_tok=16, max_batch=4)
API = service(ttft=constant(0.5), tpot=constant(0.1), jitter_p99_over_p50=1.5)
BUSY_BOX = edge_box(slots=1)


def engine(**changes: Any) -> EngineModel:
    return replace(EngineModel(REPLICA, 1, Fcfs, fastest_iteration_s=0.007), **changes)


def pools() -> EngineModel:
    pool = PrefillPool(replace(REPLICA, role="prefill"), 1, Fcfs, transfer_s_per_tok=0.02)
    return engine(replica=replace(REPLICA, role="decode"), prefill_pool=pool)


def world(server: Any = API, link: LinkModel = NO_LINK, edge: Any = None, **device: Any) -> WorldModel:
    answers = AnswerModel(1.0, 4.0, 0.3)
    fleet = ((profile(**device), 1.0),)
    return WorldModel(fleet, server, link, DEAR_SERVER, edge=edge or edge_box(), answers=answers)


@dataclass(frozen=True)
class Kind:
    parts: WorldModel
    begin: Begin
    speaks: bool = True
    n_tok: int = N_TOK


NOISY = Residual(
    prefill=constant(1.3),
    decode=constant(0.7),
    stalls=Stalls(share=1.0, duration=QuantileTable.constant(0.4)),
    first=2.0,
)
KINDS = {
    "device": Kind(world(), to("device")),
    "device in the queue": Kind(world(), second(to("device"), to("device"))),
    "hot device": Kind(world(throttle=Throttle(onset_s=0.5, sustained=0.5)), to("device")),
    "heated device": Kind(world(heat=Heat(heating_s=0.5, cooling_s=1.0, floor=0.3)), to("device")),
    "noisy device": Kind(world(residual=NOISY), to("device")),
    "noisy device that absorbs": Kind(world(residual=NOISY), second(to("device"), absorbing)),
    "device without prefill": Kind(world(prefill_s_per_tok=0.0), to("device")),
    "device too small": Kind(world(max_context_tok=10), to("device"), speaks=False),
    "device that absorbs": Kind(world(), absorbing),
    "device that absorbs, in the queue": Kind(world(), second(to("device"), absorbing)),
    "service": Kind(world(), to("server")),
    "service without TTFT": Kind(world(service(ttft=constant(0.0), tpot=constant(0.0))), to("server")),
    "service, packets": Kind(world(link=SLOW_LINK), to("server")),
    "service, wandering": Kind(world(link=WANDERING), to("server")),
    "service that refuses": Kind(world(service(failure_share=1.0), constant_link(0.1)), to("server"), speaks=False),
    "engine": Kind(world(engine()), to("server")),
    "engine, one token": Kind(world(engine()), to("server"), n_tok=1),
    "engine, one token, packets": Kind(world(engine(), SLOW_LINK), to("server"), n_tok=1),
    "engine, packets": Kind(world(engine(), SLOW_LINK), to("server")),
    "engine, wandering, chunks": Kind(world(engine(scheduler=FcfsChunked), WANDERING), to("server")),
    "engine, pools": Kind(world(pools(), SLOW_LINK), to("server")),
    "engine that refuses": Kind(world(engine(max_context_tok=20), WANDERING), to("server"), speaks=False),
    "edge": Kind(world(), to("edge")),
    "edge in the queue": Kind(world(edge=BUSY_BOX), second(to("edge"), to("edge"))),
    "edge behind a link": Kind(world(edge=edge_box(link=SLOW_LINK)), to("edge")),
    "edge that refuses": Kind(world(edge=edge_box(memory_tok=20)), to("edge"), speaks=False),
    "parts at the edge": Kind(world(edge=edge_box(slots=2)), in_parts("edge")),
    "parts at the edge, candidates": Kind(world(edge=edge_box(slots=2)), in_parts("edge", width=2)),
    "parts at the service": Kind(world(link=WANDERING), in_parts("server")),
    "parts at the engine": Kind(world(engine(), WANDERING), in_parts("server")),
    "parts at the engine, packets": Kind(world(pools(), SLOW_LINK), in_parts("server")),
    "parts, refused": Kind(world(edge=edge_box(memory_tok=32)), in_parts("edge"), speaks=False),
    "parts, refused far away": Kind(
        world(edge=edge_box(memory_tok=32, link=SLOW_LINK)), in_parts("edge"), speaks=False
    ),
    "parts, refused by the service": Kind(
        world(service(failure_share=1.0), constant_link(0.1)), in_parts("server"), speaks=False
    ),
    "parts of another package": Kind(world(), hasty_parts),
    "speculation": Kind(world(), speculation),
    "speculation, one token": Kind(world(engine()), speculation, n_tok=1),
    "speculation at an engine": Kind(world(engine(), WANDERING), speculation),
    "speculation at an engine, packets": Kind(world(engine(), SLOW_LINK), speculation),
    "speculation, device busy": Kind(world(engine(), WANDERING), second(to("device"), speculation)),
    "speculation, refused": Kind(world(engine(max_context_tok=20)), speculation, speaks=False),
    "speculation, refused far away": Kind(
        world(engine(max_context_tok=20), constant_link(0.2)), speculation, speaks=False
    ),
    "speculation, refused by the service": Kind(
        world(service(failure_share=1.0), constant_link(0.1)), speculation, speaks=False
    ),
    "speculation, device too small": Kind(world(engine(), max_context_tok=10), speculation, speaks=False),
    "speculation of another package": Kind(world(), hasty_speculation),
    "another package's": Kind(world(), own(OwnStream)),
    "another package's, late": Kind(world(), own(LateStream)),
    "another package's, hasty": Kind(world(), own(HastyStream)),
}


# --- every moment, asked at every time ------------------------------------------------------------------------


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


@pytest.mark.parametrize("name", [long(name) if i % 2 else name for i, name in enumerate(KINDS)])
def test_whoever_asks_is_told_in_time_whenever_he_asks(name):
    kind, known = KINDS[name], truth(name)
    moments = {moment: expected(kind, moment, known) for moment in MOMENTS}
    exact_s = {at_s for at_s, _ in moments.values()}
    times_s = exact_s | {0.0, known.first_s / 2, max(exact_s) + 1e-6, known.end_s + 1.0, known.end_s + 1e4}
    for turn, after_s in enumerate(sorted(times_s)):
        policy = asked(kind, after_s, turn=turn)
        for told in policy.told:
            at_s, value = moments[told.moment]
            assert told.at_s == pytest.approx(max(policy.asked_s, known.start_s + at_s), rel=1e-9), told.moment
            if told.moment == "first token":
                value = policy.stream if kind.speaks else None
            if told.moment == "first token" or (told.moment.startswith("buffer") and kind.speaks):
                assert told.values == [value, value]


@pytest.mark.parametrize("name", [name if i % 2 else long(name) for i, name in enumerate(KINDS)])
def test_whoever_asks_after_a_stop_is_not_left_waiting(name):
    kind, known = KINDS[name], truth(name)
    for stop_s in {0.0, known.first_s / 2, (known.first_s + known.end_s) / 2, known.end_s + 1.0}:
        for turn, later_s in enumerate((0.0, 0.05, 1e4)):
            policy = asked(kind, later_s, stop_s=stop_s, turn=turn)
            for told in policy.told:
                # tokens on their way may still come, but hardly later than they would have, had nobody stopped them
                latest_s = max(policy.asked_s, known.start_s + known.end_s, known.start_s + known.closed_s)
                assert policy.asked_s - 1e-9 <= told.at_s <= latest_s + 0.5
                if told.moment == "first token" and stop_s != known.first_s:
                    has_spoken = kind.speaks and stop_s > known.first_s
                    assert told.values == [policy.stream if has_spoken else None] * 2


@pytest.mark.parametrize("name", KINDS)
def test_whoever_waits_when_a_stream_is_stopped_is_told(name):
    kind, known = KINDS[name], truth(name)
    seen: list[tuple[float, Any]] = []

    @dataclass(kw_only=True)
    class StopsWhileWaiting(Policy):
        kind = ""

        def serve(self, session: Any) -> Generator[Any, Any, None]:
            stream = KINDS[name].begin(session)
            moments = [session.first_token_of(stream), stream.ended(), stream.closed()]
            stop = session.wait(known.first_s / 2)
            stop.callbacks.append(lambda _: stream.stop())
            seen.append(((yield moments[0]), session.now_s))
            yield moments[1] & moments[2]
            session.fail()

    table = requests(1, prompt_tok=PROMPT_TOK, output_tok=kind.n_tok, reader_tok_per_s=RATE)
    play(StopsWhileWaiting(), kind.parts, table, view=replace(view(), fleet=kind.parts.fleet))
    if known.first_s > 0.0:
        assert seen[0][0] is None
        if "another package's" not in name:  # its own stop tells nobody; it is found out when it would have spoken
            assert seen[0][1] == pytest.approx(known.start_s + known.first_s / 2, rel=1e-9)


@pytest.mark.parametrize("name", KINDS)
def test_looking_early_spoils_nothing(name):
    """What is known is a prefix of what comes, however early and often somebody looks."""
    kind, known = KINDS[name], truth(name)
    looks: list[Any] = []

    @dataclass(kw_only=True)
    class Looks(Policy):
        kind = ""

        def serve(self, session: Any) -> Generator[Any, Any, None]:
            stream = KINDS[name].begin(session)
            over = stream.ended()
            for _ in range(50):
                looks.append((np.array(stream.generated_s), np.array(stream.arrival_s), session.received_tok(stream)))
                if over.processed:
                    break
                yield session.wait(known.end_s / 20) | over
            assert over.processed
            if not KINDS[name].speaks:
                session.fail()
                return
            session.keep(stream)

    table = requests(1, prompt_tok=PROMPT_TOK, output_tok=kind.n_tok, reader_tok_per_s=RATE)
    (record,) = play(Looks(), kind.parts, table, view=replace(view(), fleet=kind.parts.fleet)).records
    assert looks[-1][2] == record.delivered_s.size
    for generated_s, arrival_s, received_tok in looks:
        assert received_tok <= arrival_s.size <= generated_s.size
        np.testing.assert_allclose(generated_s, record.generated_s[: generated_s.size], rtol=1e-12)
        np.testing.assert_allclose(arrival_s, record.delivered_s[: arrival_s.size], rtol=1e-12)


# --- policies of strangers ------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class By(Policy):
    kind = ""
    how: Callable[[Any], Generator[Any, Any, None]]

    def serve(self, session: Any) -> Generator[Any, Any, None]:
        return self.how(session)


def serve(how: Callable[[Any], Generator[Any, Any, None]], parts: WorldModel, n_tok: int = N_TOK) -> Any:
    table = requests(1, prompt_tok=PROMPT_TOK, output_tok=n_tok, reader_tok_per_s=RATE)
    return play(By(how=how), parts, table, view=replace(view(), fleet=parts.fleet)).records[0]


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.speaks])
def test_an_answer_that_is_kept_before_it_speaks_is_waited_for(name):
    kind, known = KINDS[name], truth(name)

    def trusts(session):
        session.keep(kind.begin(session), losers="run_on")
        yield session.finished()
        yield session.finished()

    record = serve(trusts, kind.parts, kind.n_tok)
    np.testing.assert_allclose(record.delivered_s, known.start_s + known.arrival_s, rtol=1e-12)


@pytest.mark.parametrize("name", [name for name in KINDS if "speculation" in name and KINDS[name].speaks])
def test_keeping_a_speculated_answer_keeps_its_drafter(name):
    kind, known = KINDS[name], truth(name)

    def keeps(session):
        answer = kind.begin(session)
        session.keep((yield session.first_token_of(answer)))
        yield session.finished()

    record = serve(keeps, kind.parts, kind.n_tok)
    if name != "speculation, device busy":  # the device's other work is cancelled there, and it begins sooner
        np.testing.assert_allclose(record.delivered_s[-1], known.start_s + known.end_s, rtol=1e-9)
    n_rounds = record.device_decode_tok / 4  # all drafts of a round are paid
    assert n_rounds == int(n_rounds)
    assert (n_rounds > 0) == (kind.n_tok > 1)
    assert record.device_prefill_tok >= PROMPT_TOK or kind.n_tok == 1


def test_drafts_are_paid_until_the_stop():
    # the service answers after 0.5 s, the phone (no prefill) drafts 15 tokens a second, in rounds of 4 to the end
    api = service(ttft=constant(0.5), tpot=constant(0.0))

    def gives_up(session):
        answer = speculate(session, 4, 0.0)
        yield session.wait(0.5 + 4 / 15 + 2.5 / 15)
        answer.stop()
        session.fail()

    record = serve(gives_up, world(api, prefill_s_per_tok=0.0))
    assert record.device_decode_tok == 4 + 2


def test_no_part_can_be_written_by_a_device_or_by_nobody():
    def asks(session):
        yield session.first_token_of(session.expand("device", 3))

    with pytest.raises(InvariantError, match="'device' writes no answers in parts"):
        serve(asks, world())


def test_time_does_not_run_backwards_and_for_ever_is_for_ever():
    seen = []

    def waits(session):
        yield session.wait(0.0)
        yield session.wait(-1e-17)
        never = session.wait(math.inf)
        stream = session.start("server")
        yield session.first_token_of(stream, within_s=math.inf) | never
        seen.append((never.triggered, session.now_s))
        session.keep(stream)
        yield session.finished()

    record = serve(waits, world())
    assert seen == [(False, record.delivered_s[0])]
    for seconds in (-1.0, math.nan):
        for ask in (lambda s, x: s.wait(x), lambda s, x: s.first_token_of(s.start("server"), within_s=x)):

            def errs(session, ask=ask, seconds=seconds):
                yield ask(session, seconds)

            with pytest.raises(InvariantError, match=r"request 0: a policy waits for (-1.0|nan) s"):
                serve(errs, world())


def test_a_race_against_a_stopped_stream_is_none_that_is_lost_for_ever():
    def races(session):
        lost = session.start("device")
        lost.stop()
        assert (yield session.first_token_of(lost)) is None
        assert (yield session.first_token_of(lost, within_s=3.0)) is None
        winner = yield session.first_token_of(lost, session.start("server"))
        session.keep(winner)
        yield session.finished()

    assert serve(races, world()).first_endpoint == "server"
