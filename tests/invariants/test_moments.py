"""Waiting for a moment of a stream: whoever asks, of whichever stream, before, at or after it, is answered in time."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from stream_kinds import KINDS, PROMPT_TOK, RATE
from stream_moments import MOMENTS, asked, expected, truth, view
from worlds import long, play, requests

from discosim.policies import Policy


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
