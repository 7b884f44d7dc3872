"""Endpoints of other packages in the world's socket, and the bill of whatever they made."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pytest
from worlds import DEAR_SERVER, model, past, play, profile, requests, server

from discosim.core.errors import InvariantError
from discosim.policies import Policy
from discosim.world.cards import Card
from discosim.world.endpoint import Ask, Site
from discosim.world.ledger import bill
from discosim.world.spent import Spent
from discosim.world.stream import Stream
from discosim.world.world import WorldModel

PROMPT_TOK, OUTPUT_TOK = 100, 40


class Metronome(Stream):
    """A token every tenth of a second, the first at once; a cancel is obeyed at once."""

    def __init__(self, env: Any, endpoint: str, ask: Ask) -> None:
        super().__init__(env, ask.prompt_tok, ask.first_token, ask.n_tok)
        self.endpoint = endpoint
        self._stop_s = np.inf
        self.promise(env.now)

    def _make_generated(self) -> Any:
        return self.requested_s + 0.1 * np.arange(self.n_tok)

    def stop(self, *, finish_prefill: bool = False) -> None:
        self._stop_s = self.env.now
        self._hush()

    def bill(self) -> tuple[float, int]:
        return float(self.prompt_tok), int((self.generated_s <= self._stop_s).sum())


@dataclass
class Service:
    """An endpoint of another package; asks that it heard stay in a list."""

    name: str
    site: Any
    price: tuple[float, float] = (DEAR_SERVER.prompt_usd_per_tok, DEAR_SERVER.output_usd_per_tok)
    heard: list[Ask] = field(default_factory=list)
    role: ClassVar[str] = "server"
    max_candidates: ClassVar[int] = 1

    def start(self, ask: Ask) -> Metronome:
        self.heard.append(ask)
        return Metronome(self.site.env, self.name, ask)

    def costs(self, user_id: int, prompt_tok: float, output_tok: float) -> tuple[float, float]:
        return prompt_tok * self.price[0] + output_tok * self.price[1], 0.0

    def load(self, user_id: int) -> None:
        return None

    def figures(self, span_s: float) -> None:
        return None

    def foreseen_ttft_s(self, table: Any) -> None:
        return None


@dataclass(frozen=True)
class ServiceModel:
    """Parameters of it: none."""

    def open(self, name: str, site: Site) -> Service:
        return Service(name, site)


@dataclass(kw_only=True)
class By(Policy):
    """Serves as a function says."""

    kind: ClassVar[str] = "by"
    how: Callable[[Any], Generator[Any, Any, None]]

    def serve(self, session: Any) -> Generator[Any, Any, None]:
        return self.how(session)


def own_world() -> WorldModel:
    return WorldModel(((profile(), 1.0),), ServiceModel(), model().link, DEAR_SERVER)


def run(how: Callable[[Any], Generator[Any, Any, None]], parts: WorldModel) -> Any:
    """Serve one request of 100 prompt and 40 output tokens, with every check of a real run."""
    table = requests(1, prompt_tok=PROMPT_TOK, output_tok=OUTPUT_TOK)
    return play(By(how=how), parts, table, view=past(model()))


def answer_of(endpoint: str) -> Callable[[Any], Generator[Any, Any, None]]:
    def how(session: Any) -> Generator[Any, Any, None]:
        session.keep((yield session.first_token_of(session.start(endpoint))))
        yield session.finished()

    return how


def test_a_kind_of_endpoint_that_the_world_never_heard_of_serves_and_is_paid() -> None:
    played = run(answer_of("server"), own_world())
    record = played.records[0]
    assert record.first_endpoint == "server"
    assert np.allclose(record.delivered_s - record.arrival_s, 0.1 * np.arange(40))
    assert record.server_cost_usd == pytest.approx(
        100 * DEAR_SERVER.prompt_usd_per_tok + 40 * DEAR_SERVER.output_usd_per_tok
    )
    assert [(a.prompt_tok, a.first_token, a.n_tok, a.attempt) for a in played.world.server.heard] == [(100, 1, 40, 0)]


def test_an_endpoint_hears_how_often_it_was_asked_for_a_request() -> None:
    def how(session: Any) -> Generator[Any, Any, None]:
        first = session.start("server", at_most_tok=5)
        session.start("device")
        yield session.first_token_of(first)
        session.keep(session.start("server", payload="token_ids", prefill_factor=2.0))
        yield session.finished()

    one, two = run(how, own_world()).world.server.heard
    assert (one.attempt, one.n_tok, one.payload, one.prefill_factor) == (0, 5, "text", 1.0)
    assert (two.attempt, two.n_tok, two.payload, two.prefill_factor) == (1, 40, "token_ids", 2.0)


def test_a_verb_of_another_package_pays_for_what_it_takes_and_for_nothing_else() -> None:
    def how(session: Any) -> Generator[Any, Any, None]:
        session.ask("server", 7, 1, 3)  # left lying
        session.take(session.ask("server", 11, 1, 2))
        yield from answer_of("server")(session)

    record = run(how, own_world()).records[0]
    assert (record.server_prompt_tok, record.server_output_tok) == (111, 41)  # of the two, one before its cancel
    assert record.n_tok_wasted == 1


def test_a_stream_that_comes_from_nowhere_is_named_with_a_close_match() -> None:
    def how(session: Any) -> Generator[Any, Any, None]:
        env, card = session.setting.env, session.card
        stream = session.take(Metronome(env, "server.fast", Ask(card, PROMPT_TOK, 1, OUTPUT_TOK)))
        session.keep((yield session.first_token_of(stream)))
        yield session.finished()

    with pytest.raises(InvariantError, match=r"request 0: no endpoint 'server.fast'; did you mean 'server'\?"):
        run(how, model(service=server()))


def test_where_there_is_no_edge_nobody_can_be_asked_there() -> None:
    for verb in (answer_of("edge"), lambda session: iter([session.expand("edge", 3)]), asks_for_load):
        with pytest.raises(InvariantError, match="request 0: no endpoint 'edge'"):
            run(verb, own_world())


def asks_for_load(session: Any) -> Generator[Any, Any, None]:
    yield session.edge_load


def test_a_bill_prices_each_endpoint_once_and_adds_those_of_a_role() -> None:
    card = Card(0, 0, 0.0, PROMPT_TOK, OUTPUT_TOK, 5.0, 1.0)
    endpoints = {"slow": Service("slow", None, (1.0, 2.0)), "fast": Service("fast", None, (10.0, 20.0))}
    streams = [Made("slow", 3.0, 1), Made("fast", 5.0, 2), Made("slow", 4.0, 3, failure="refused")]
    roles = bill(streams, endpoints, card, 1)
    assert set(roles) == {"server"}
    work = roles["server"]
    assert (work.prompt_tok, work.output_tok) == (12.0, 6)
    assert work.usd == (7.0 * 1.0 + 4 * 2.0) + (5.0 * 10.0 + 2 * 20.0)
    assert work.is_dispatched
    assert not bill(streams[1:], endpoints, card, 0)["server"].is_dispatched
    assert not bill(streams[2:], endpoints, card, 1)["server"].is_dispatched


@dataclass
class Made:
    """The part of a stream that the ledger reads."""

    endpoint: str
    prompt_tok: float
    output_tok: int
    failure: str = ""

    def spent(self) -> Spent:
        return Spent(self.prompt_tok, self.output_tok)
