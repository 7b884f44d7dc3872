"""Every kind of stream that a session can meet, each in a world of its own: ours and those of other packages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from engines import LINES
from simpy.events import Event, Timeout
from worlds import DEAR_SERVER, NO_LINK, constant, constant_link, edge_box, gated, law, profile
from worlds import server as service

from discosim.core.device_law import Heat, Residual, Stalls
from discosim.core.empirical import QuantileTable
from discosim.core.scenario import Capacity, Quota, RateLimit, Throttle
from discosim.world.answers import AnswerModel
from discosim.world.engine.engine import EngineModel, PrefillPool
from discosim.world.engine.floor import ReplicaModel
from discosim.world.engine.schedulers.fcfs import Fcfs
from discosim.world.engine.schedulers.fcfs_chunked import FcfsChunked
from discosim.world.link import LinkModel
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
    "service in the queue": Kind(
        world(gated(API, capacity=Capacity(concurrent=1))), second(to("server"), to("server"))
    ),
    "service in the queue, far away": Kind(
        world(gated(API, capacity=Capacity(tok_per_s=9.0)), SLOW_LINK), second(to("server"), to("server"))
    ),
    "service behind a bucket": Kind(
        world(gated(API, rate_limit=RateLimit(requests_per_s=1.0, excess="wait")), WANDERING),
        second(to("server"), to("server")),
    ),
    "service behind a quota": Kind(
        world(gated(API, quota=Quota(tok_per_user_per_day=5)), constant_link(0.1)), to("server"), speaks=False
    ),
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
