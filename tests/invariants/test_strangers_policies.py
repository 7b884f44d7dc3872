"""Policies of strangers: they keep what has not spoken, stop drafts, wait for ever and ask for what nobody has."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from stream_kinds import KINDS, N_TOK, PROMPT_TOK, RATE, world
from stream_moments import truth, view
from worlds import constant, play, requests
from worlds import server as service

from discosim.core.errors import InvariantError
from discosim.policies import Policy
from discosim.world.verbs.speculating import speculate
from discosim.world.world import WorldModel


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
