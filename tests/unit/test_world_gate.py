"""A replayed service behind a gate: capacity, buckets, quotas and refusals in runs, request by request."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import constant, constant_link, examples, gated, law, model, past, play, requests, server

from discosim.core.errors import UserError
from discosim.core.request import RequestTable
from discosim.core.scenario import Capacity, Quota, RateLimit
from discosim.policies import Policy
from discosim.policies.oracle import Oracle
from discosim.policies.race import Race
from discosim.policies.server_only import ServerOnly
from discosim.world.limits import DAY_S, Bucket, Quotas, refused_in_runs

PLAIN = server(ttft=constant(1.0), tpot=constant(0.1))


def sent(
    at_s: Sequence[float], output_tok: Sequence[int] | int = 11, user_id: Sequence[int] | None = None
) -> RequestTable:
    """Return requests that arrive at these moments; an answer of 11 tokens takes 2 s."""
    table = requests(len(at_s), prompt_tok=5, output_tok=output_tok)
    owners = table.user_id if user_id is None else np.array(user_id)
    return replace(table, arrival_s=np.array(at_s, dtype=float), user_id=owners)


def statuses(played: Any) -> list[str]:
    return [record.status for record in played.records]


# --- capacity -------------------------------------------------------------------------------------------------


def test_who_finds_no_place_waits_in_order() -> None:
    parts = model(service=gated(PLAIN, capacity=Capacity(concurrent=2)))
    played = play(ServerOnly(), parts, sent([0.0, 0.5, 0.6, 0.7, 10.0]))
    # places are held from begin to last token: [0, 2], [0.5, 2.5], [2, 4], [2.5, 4.5], [10, 12]
    np.testing.assert_allclose(played.ttft_s, [1.0, 1.0, 2.0 - 0.6 + 1.0, 2.5 - 0.7 + 1.0, 1.0])


def test_tokens_a_second_space_the_begins() -> None:
    parts = model(service=gated(PLAIN, capacity=Capacity(tok_per_s=10.0)))
    played = play(ServerOnly(), parts, sent([0.0, 0.0, 0.5, 9.0], [20, 5, 10, 10]))
    # 20 tokens take 2 s of the rate, 5 half a second: begins at 0, 2, 2.5, 9
    np.testing.assert_allclose(played.ttft_s, [1.0, 3.0, 3.0, 1.0])


@dataclass(kw_only=True)
class GivesUp(Policy):
    """Ask, and cancel after a while."""

    kind = ""
    after_s: float

    def serve(self, session: Any) -> Any:
        stream = session.start("server")
        if session.request_id:
            session.keep(stream)
            yield session.finished()
            return
        yield session.wait(self.after_s)
        session.fail()


@pytest.mark.parametrize(("after_s", "free_s"), [(0.5, 0.9), (1.55, 1.95), (30.0, 2.2)])
def test_a_cancel_frees_the_place_when_it_has_arrived(after_s: float, free_s: float) -> None:
    # 0.2 s each way; the first request begins at 0.2 and would end at 2.2, the second arrives at 0.4
    parts = model(service=gated(PLAIN, capacity=Capacity(concurrent=1)), link=constant_link(0.4))
    played = play(GivesUp(after_s=after_s), parts, sent([0.0, 0.2]))
    begin_s = max(0.4, min(free_s, after_s + 0.2))
    assert played.ttft_s[1] == pytest.approx(begin_s + 1.0 + 0.2 - 0.2)
    n_made = sum(1.2 + 0.1 * k <= after_s + 0.2 + 1e-9 for k in range(11))
    assert played.records[0].server_output_tok == n_made


@pytest.mark.parametrize(
    "limits", [{"capacity": Capacity(concurrent=1)}, {"rate_limit": RateLimit(requests_per_s=0.1, excess="wait")}]
)
def test_a_cancel_that_arrives_while_it_waits_costs_nothing(limits: dict[str, Any]) -> None:
    @dataclass(kw_only=True)
    class Second(GivesUp):
        def serve(self, session: Any) -> Any:
            stream = session.start("server")
            if session.request_id != 1:
                session.keep(stream)
                yield session.finished()
                return
            yield session.wait(self.after_s)
            session.fail()

    played = play(Second(after_s=0.3), model(service=gated(PLAIN, **limits)), sent([0.0, 0.1, 0.2]))
    assert (played.records[1].server_prompt_tok, played.records[1].server_output_tok) == (0, 0)
    assert played.records[1].unified_cost_usd == 0.0
    assert played.ttft_s[2] == pytest.approx((2.0 if "capacity" in limits else 20.0) - 0.2 + 1.0)


def test_a_capacity_that_is_never_reached_changes_nothing() -> None:
    table = requests(60, gap_s=0.3)
    plain, wide = (
        play(Race(), model(service=service, link=constant_link(0.1)), table)
        for service in (server(), gated(server(), capacity=Capacity(concurrent=1000)))
    )
    np.testing.assert_allclose(plain.ttft_s, wide.ttft_s, rtol=0, atol=1e-9)
    for name in ("server_output_tok", "server_prompt_tok", "device_decode_tok"):
        assert plain.columns[name].tolist() == wide.columns[name].tolist()


def test_nobody_foresees_who_waits() -> None:
    parts = model(service=gated(PLAIN, capacity=Capacity(concurrent=1)))
    with pytest.raises(UserError, match=r"a clairvoyant policy needs draws, .* nor a replayed service with `capacity`"):
        play(Oracle(), parts, sent([0.0]), view=past(model()))


# --- buckets --------------------------------------------------------------------------------------------------


def test_an_empty_bucket_refuses_and_refused_requests_take_nothing_from_it() -> None:
    service = gated(replace(PLAIN, failure_after_s=0.25), rate_limit=RateLimit(requests_per_s=0.5, burst=2))
    played = play(ServerOnly(), model(service=service), sent([0.0, 0.1, 0.2, 1.0, 2.1, 2.2, 100.0, 100.0, 100.0]))
    assert statuses(played) == [*["finished"] * 2, *["failed"] * 2, "finished", "failed", *["finished"] * 2, "failed"]
    assert all(record.unified_cost_usd == 0.0 for record in played.records if record.status == "failed")


def test_who_waits_for_the_bucket_comes_through_at_its_rate() -> None:
    service = gated(PLAIN, rate_limit=RateLimit(requests_per_s=0.5, burst=1, excess="wait"))
    played = play(ServerOnly(), model(service=service), sent([0.0, 0.1, 0.2, 20.0]))
    np.testing.assert_allclose(played.ttft_s, [1.0, 2.0 - 0.1 + 1.0, 4.0 - 0.2 + 1.0, 1.0])


def test_a_bucket_of_ones_own_is_not_emptied_by_others() -> None:
    limit = RateLimit(requests_per_s=0.01, per="user")
    played = play(ServerOnly(), model(service=gated(PLAIN, rate_limit=limit)), sent([0, 1, 2, 3], user_id=[0, 1, 0, 2]))
    assert statuses(played) == ["finished", "finished", "failed", "finished"]


moments = st.lists(st.floats(0.0, 50.0), min_size=1, max_size=60).map(sorted)


@examples(60)
@given(moments, st.floats(0.05, 20.0), st.integers(1, 5), st.booleans())
def test_a_bucket_never_lets_more_through_than_its_rate_and_burst(
    at_s: list[float], rate_per_s: float, burst: int, waits: bool
) -> None:
    bucket = Bucket(rate_per_s, burst)
    through = [t + bucket.wait_s(t) for t in at_s] if waits else [t for t in at_s if bucket.takes(t)]
    assert through == sorted(through)
    assert not waits or len(through) == len(at_s)
    for i, first in enumerate(through):
        for j in range(i, len(through)):
            assert j - i + 1 <= rate_per_s * (through[j] - first) + burst + 1e-6
    if not waits:  # and it is no stricter than that: whoever was refused would have been one too many
        for t in set(at_s) - set(through):
            before = [s for s in through if s <= t]
            assert any(len(before) - i + 1 > rate_per_s * (t - s) + burst - 1e-6 for i, s in enumerate(before))


# --- quotas ---------------------------------------------------------------------------------------------------


def test_a_quota_holds_for_a_user_and_a_day() -> None:
    quota = Quota(requests_per_user_per_day=2)
    service = gated(PLAIN, quota=quota, start_s=DAY_S - 100.0)
    played = play(ServerOnly(), model(service=service), sent([0, 10, 20, 30, 101, 102], user_id=[0, 0, 0, 1, 0, 0]))
    assert statuses(played) == ["finished", "finished", "failed", "finished", "finished", "finished"]


def test_tokens_of_prompt_and_answer_count_against_a_quota() -> None:
    service = gated(PLAIN, quota=Quota(tok_per_user_per_day=40))
    played = play(ServerOnly(), model(service=service), sent([0, 10, 20, 30], [20, 20, 10, 1], user_id=[0, 0, 0, 0]))
    assert statuses(played) == ["finished", "failed", "finished", "failed"]  # 25 + 15 of 40; 25 more, 6 more are none


@examples(40)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.floats(0.0, 3 * DAY_S), st.integers(1, 30)), max_size=50),
    st.none() | st.integers(1, 5),
    st.integers(1, 60),
    st.floats(0.0, DAY_S),
)
def test_no_quota_is_ever_exceeded(
    asked: list[tuple[int, float, int]], n: int | None, tok: int, start_s: float
) -> None:
    quotas = Quotas(Quota(requests_per_user_per_day=n, tok_per_user_per_day=tok), start_s)
    given_n: Counter[tuple[int, int]] = Counter()
    given_tok: Counter[tuple[int, int]] = Counter()
    for user, at_s, n_tok in sorted(asked, key=lambda one: one[1]):
        key = user, int((start_s + at_s) // DAY_S)
        would_fit = given_n[key] + 1 <= (n or math.inf) and given_tok[key] + n_tok <= tok
        assert quotas.fits(user, at_s, n_tok) == would_fit
        if would_fit:
            quotas.give(user, at_s, n_tok)
            given_n[key] += 1
            given_tok[key] += n_tok


# --- refusals in runs -----------------------------------------------------------------------------------------


def test_runs_of_refusals_have_their_share_and_length() -> None:
    n, share, mean_run = 200_000, 0.2, 8.0
    refused = refused_in_runs(n, share, mean_run, np.random.default_rng(3))
    begins = np.flatnonzero(refused & ~np.concatenate(([False], refused[:-1])))
    n_runs = begins.size
    # geometric runs: standard deviations sqrt(m (m - 1)) of 8 and of 32; 3.9 standard errors, a false alarm in 10,000
    assert abs(refused.sum() / n_runs - mean_run) < 3.9 * math.sqrt(mean_run * (mean_run - 1) / n_runs)
    cycle, spread = mean_run / share, math.sqrt(8 * 7 * 0.8**2 + 32 * 31 * 0.2**2)
    assert abs(refused.mean() - share) < 3.9 * spread / cycle / math.sqrt(n_runs)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_none_and_all_are_refused_for_certain(share: float) -> None:
    assert refused_in_runs(50, share, 3.0, np.random.default_rng(0)).tolist() == [share == 1.0] * 50


def test_refusals_in_runs_are_the_same_for_every_policy_and_every_attempt() -> None:
    parts = model(service=server(failure_share=0.3, failure_run=5.0))
    table = requests(300)
    alone, retry, race = (play(policy, parts, table) for policy in (ServerOnly(), ServerOnly(n_retries=2), Race()))
    lost = [record.status == "failed" for record in alone.records]
    assert lost == [record.status == "failed" for record in retry.records]
    assert lost == np.isinf(race.world.draws.server_ttft_s).tolist()
    runs = [k for k, (before, now) in enumerate(pairwise([False, *lost])) if now and not before]
    assert sum(lost) / len(runs) > 2.5  # by themselves they would come 1.4 in a row


def test_the_law_of_times_is_that_without_a_gate() -> None:
    service = server(ttft=law(), failure_share=0.0)
    plain = play(ServerOnly(), model(service=service), requests(100))
    waits = gated(service, rate_limit=RateLimit(requests_per_s=1e6, burst=1000))
    np.testing.assert_allclose(plain.ttft_s, play(ServerOnly(), model(service=waits), requests(100)).ttft_s, atol=1e-9)
