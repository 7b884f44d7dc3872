"""The session's verbs: what they promise, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from worlds import (
    DEAR_DEVICE,
    DEAR_SERVER,
    constant,
    law,
    model,
    play,
    profile,
    requests,
    server,
)

from discosim.core.empirical import QuantileTable
from discosim.core.errors import InvariantError
from discosim.core.request import Segment
from discosim.core.scenario import Throttle
from discosim.policies import Policy
from discosim.policies.disco import Disco
from discosim.world.link import LinkModel

Served = Generator[Any, Any, None]


@dataclass(kw_only=True)
class By(Policy):
    """Serve with a function."""

    how: Callable[[Any], Served]

    def serve(self, session: Any) -> Served:
        return self.how(session)


def run(how: Callable[[Any], Served], **changes: Any) -> Any:
    """Serve one request of 100 prompt and 40 output tokens, arriving at its own time."""
    parts = model(service=server(ttft=constant(0.5), tpot=constant(0.1)), **changes)
    return play(By(how=how), parts, requests(1, prompt_tok=100, output_tok=40)).records[0]


def test_a_policy_that_ends_without_an_answer_is_a_bug() -> None:
    def forgets(session: Any) -> Served:
        yield session.first_token_of(session.start("server"))

    with pytest.raises(InvariantError, match="without an answer"):
        run(forgets)


def test_half_an_answer_is_a_bug() -> None:
    def shows_the_rest_only(session: Any) -> Served:
        rest = session.start("server", after_token=5)
        yield session.first_token_of(rest)
        session.keep(rest)
        yield session.finished()

    with pytest.raises(InvariantError, match="35 of 40 tokens"):
        run(shows_the_rest_only)


def test_there_is_no_third_endpoint_and_no_token_after_the_last() -> None:
    def asks_a_friend(session: Any) -> Served:
        yield session.first_token_of(session.start("friend"))

    def goes_on(session: Any) -> Served:
        yield session.first_token_of(session.start("server", after_token=40))

    def speaks_for_nobody(session: Any) -> Served:
        yield session.wait(1.0)
        session.finished()

    with pytest.raises(InvariantError, match="no endpoint 'friend'"):
        run(asks_a_friend)
    with pytest.raises(InvariantError, match="nothing is left after token 40"):
        run(goes_on)
    with pytest.raises(InvariantError, match="nothing was kept"):
        run(speaks_for_nobody)


def test_a_hand_over_before_the_tokens_exist_breaks_an_invariant() -> None:
    def cheats(session: Any) -> Served:
        source = session.start("server")
        yield session.first_token_of(source)
        session.keep(source)
        target = session.start("device", after_token=20)  # only one token has come
        session.hand_over(target)
        yield session.first_token_of(target)
        yield session.finished()

    with pytest.raises(InvariantError, match=r"INV-[25]"):
        run(cheats)


def test_waiting_for_the_first_token() -> None:
    seen: list[Any] = []

    def waits(session: Any) -> Served:
        start_s = session.now_s
        slow, quick = session.start("device"), session.start("server")
        seen.append((yield session.first_token_of(slow, quick, within_s=0.2)))
        seen.append(session.now_s - start_s)
        seen.append((yield session.first_token_of(slow, quick)) is quick)
        seen.append((yield session.first_token_of(quick)) is quick)
        seen.append(session.now_s - start_s)
        session.keep(quick)
        yield session.finished()

    run(waits)
    assert seen == [None, pytest.approx(0.2), True, True, pytest.approx(0.5)]


def test_all_streams_refused_is_no_winner() -> None:
    seen: list[Any] = []

    def hopes(session: Any) -> Served:
        seen.append((yield session.first_token_of(session.start("device"), session.start("device"))))
        seen.append((yield session.first_token_of()))
        session.fail()

    record = run(hopes, device=profile(max_context_tok=50))
    assert seen == [None, None]
    assert (record.status, record.segments, record.unified_cost_usd) == ("failed", (), 0.0)


def test_two_hand_overs_and_back() -> None:
    def wanders(session: Any) -> Served:
        stream = session.start("server")
        yield session.first_token_of(stream)
        session.keep(stream)
        for endpoint, k in (("device", 10), ("server", 20)):
            here = session.speaker
            yield session.wait(float(here.arrival_s[k - here.first_token]) - session.now_s)
            target = session.start(endpoint, after_token=k)
            session.hand_over(target)
            yield session.first_token_of(target)
        yield session.finished()

    record = run(wanders)
    assert record.segments == (Segment("server", 1, 10), Segment("device", 11, 20), Segment("server", 21, 40))
    assert record.server_prompt_tok == 100 + 120
    assert record.device_prefill_tok == 110
    assert (record.server_output_tok, record.device_decode_tok, record.n_tok_wasted) == (30, 10, 0)


def test_an_answer_comes_back_when_the_new_endpoint_refuses() -> None:
    # device decoding is dear; the service fails on the second attempt of some requests, and the device goes on
    parts = model(meter=DEAR_DEVICE, service=server(ttft=constant(0.8), failure_share=0.3, failure_after_s=0.4))
    played = play(Disco(constraint="server", budget=0.0), parts, requests(200, output_tok=150))
    assert {record.status for record in played.records} == {"finished"}
    back = [
        r for r in played.records if r.segments == (Segment("device", 1, 150),) and r.device_prefill_tok > r.prompt_tok
    ]
    assert 20 < len(back) < 120
    for record in back:
        assert record.server_prompt_tok == record.server_output_tok == 0, "a refusal is not billed"
        k = record.device_prefill_tok - 2 * record.prompt_tok  # tokens before the attempt, prefilled again after it
        assert record.device_decode_tok == 150
        assert record.delivered_s[int(k)] - record.delivered_s[int(k) - 1] >= 0.4


def test_rounding_of_event_times_unmakes_no_shown_token() -> None:
    # A hand-over happens at now + (t - now), which misses the token's time t by a rounding error where t is more than
    # twice now: the first seconds of a run, with timelines that are not sums from the very same moment.
    hot = profile(prefill_s_per_tok=0.001, throttle=Throttle(onset_s=1.0, sustained=0.7))
    to_server = model(meter=DEAR_DEVICE, device=hot, service=server(ttft=constant(1.7)))
    sometimes_instant = LinkModel(rtt=law(QuantileTable((0.0, 0.6, 1.0), (0.0, 0.0, 0.1)), 0.3), tick_s=0.2)
    jittery = server(ttft=constant(0.1), jitter_p99_over_p50=1.5)
    to_device = model(meter=DEAR_SERVER, link=sometimes_instant, service=jittery)
    for parts, side in ((to_server, "server"), (to_device, "device")):
        for seed in range(12):
            played = play(Disco(constraint=side), parts, requests(100, seed=seed, gap_s=0.001), seed=seed)
            assert sum(len(r.segments) > 1 for r in played.records) > 50


def test_the_readers_buffer_decides_when_to_hand_over() -> None:
    levels: list[int | None] = []

    def asks(session: Any) -> Served:
        stream = session.start("server")  # ten tokens a second, read at 4.8: each second 5.2 more are buffered
        yield session.first_token_of(stream)
        session.keep(stream)
        levels.append((yield session.buffer_reaches(lambda _, n: np.full(n, 5.0))))
        levels.append((yield session.buffer_reaches(lambda _, n: np.full(n, np.inf))))
        yield session.finished()

    run(asks)
    # after token k the buffer holds 1 + (k - 1)(1 - 0.48) tokens of reading time: 5 are reached with token 9
    assert levels == [9, None]
