"""What a phone takes while it waits and receives: by hand, and the union of what all its requests need."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import Played, constant, examples, model, play, profile, requests, server

from discosim import load_scenario, simulate
from discosim.core.errors import InvariantError, UserError
from discosim.core.request import RequestTable
from discosim.core.scenario import Waiting
from discosim.policies import Policy, known_policies
from discosim.runs.waiting import check_waiting
from discosim.world import closing
from discosim.world.waiting import Claims, on_air

WAITING = Waiting(screen_w=1.0, wait_w=2.0, receive_w=4.0, tail_s=3.0)
SLOW = server(ttft=constant(1.0), tpot=constant(0.5))
"""Five tokens come 1, 1.5, 2, 2.5 and 3 s after the question."""


def at(*arrival_s: float, users: int = 1) -> RequestTable:
    """Requests of 50 and 5 tokens; users take turns."""
    n = len(arrival_s)
    table = requests(n, n_users=1, prompt_tok=50, output_tok=5)
    return replace(table, arrival_s=np.array(arrival_s), user_id=np.arange(n) % users)


def serve(kind: str, table: RequestTable, **changes: Any) -> Played:
    parts = model(device=profile(waiting=changes.pop("waiting", WAITING)), service=changes.pop("service", SLOW))
    policy: Policy = known_policies()[kind](**changes)
    return play(policy, parts, table)


def waiting_j(played: Played) -> list[float]:
    check_waiting(played.columns, played.world.fleet.waiting_total_j(), "test")
    return played.columns["device_waiting_j"].tolist()


# --- by hand --------------------------------------------------------------------------------------------------


def test_one_request_waits_receives_and_leaves_a_tail() -> None:
    """Screen 3 s x 1 W, waiting 1 s x 2 W, receiving 2 s x 4 W, tail 3 s x 2 W."""
    assert waiting_j(serve("server_only", at(0.0))) == pytest.approx([3.0 + 2.0 + 8.0 + 6.0])


def test_requests_side_by_side_share_one_phone() -> None:
    """The second asks at 2 s: until 3 s all is paid for, then it receives for 2 s where the first pays a tail of 3 s.

    Screen 2 s x 1 W, receiving 2 s x (4 - 2) W, tail from 6 to 8 s x 2 W. The third meets a quiet phone.
    """
    played = serve("server_only", at(0.0, 2.0, 100.0))
    assert waiting_j(played) == pytest.approx([19.0, 2.0 + 4.0 + 4.0, 19.0])
    apart = serve("server_only", at(0.0, 2.0, 100.0, users=3))
    assert waiting_j(apart) == pytest.approx([19.0, 19.0, 19.0])


def test_what_a_phone_computes_itself_needs_the_screen_alone() -> None:
    """0.5 s of prefill and four more tokens at 15 per s; 50 prompt tokens of 0.2 J and 5 decoded of 0.4 J beside it."""
    played = serve("device_only", at(0.0))
    assert waiting_j(played) == pytest.approx([0.5 + 4 / 15])
    assert played.columns["device_energy_j"] == pytest.approx([12.0 + 0.5 + 4 / 15])
    assert played.columns["unified_cost_usd"] == pytest.approx([1e-7 * (12.0 + 0.5 + 4 / 15)])


def test_a_stop_ends_the_waiting_and_leaves_a_tail() -> None:
    """The device speaks after 0.5 s, and the service, which would have after 1 s, is told to stop."""
    assert waiting_j(serve("race", at(0.0))) == pytest.approx([0.5 * 2.0 + 3.0 * 2.0 + 0.5 + 4 / 15])


def test_a_failure_is_waited_for() -> None:
    played = serve("server_only", at(0.0), service=replace(SLOW, failure_share=1.0, failure_after_s=0.2))
    assert played.columns["status"].tolist() == ["failed"]
    assert waiting_j(played) == pytest.approx([0.2 * 1.0 + 0.2 * 2.0 + 3.0 * 2.0])


def test_receiving_takes_what_waiting_takes_where_nothing_else_is_said() -> None:
    assert waiting_j(serve("server_only", at(0.0), waiting=Waiting(wait_w=0.5))) == pytest.approx([1.5])


def test_without_it_nothing_is_counted() -> None:
    played = serve("server_only", at(0.0, 2.0), waiting=None)
    assert waiting_j(played) == [0.0, 0.0]
    assert played.world.fleet.waiting_total_j() == {}


# --- the union ------------------------------------------------------------------------------------------------

Claim = tuple[float, float, float]


def union_j(claims: list[Claim]) -> float:
    """Energy of the highest power of each moment, moment by moment between all ends."""
    ends = sorted({end for begin, last, _ in claims for end in (begin, last)})
    return sum(
        (right - left) * max((w for begin, last, w in claims if begin <= left and right <= last), default=0.0)
        for left, right in pairwise(ends)
    )


@examples(40)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20), st.sampled_from([0.0, 1.0, 2.5])), max_size=12))
def test_claims_add_up_to_their_union_in_any_order(given_claims: list[tuple[int, int, float]]) -> None:
    claims = [(float(min(a, b)), float(max(a, b)), w) for a, b, w in given_claims]
    held = Claims()
    found = [held.claim(*claim) for claim in claims]
    for k in range(len(claims) + 1):
        assert sum(found[:k]) == pytest.approx(union_j(claims[:k])), "what comes later changes nothing before"
    assert held.total_j() == pytest.approx(union_j(claims))


@pytest.mark.parametrize(
    "kind", ["server_only", "race", "disco", "skeleton_of_thought", "pd_device", "speculative", "pice"]
)
@examples(5)
@given(gap_s=st.sampled_from([0.1, 2.0, 30.0]), n_users=st.sampled_from([1, 3, 40]), seed=st.integers(0, 2**20))
def test_users_pay_for_the_union_whatever_the_policy(kind: str, gap_s: float, n_users: int, seed: int) -> None:
    options = {"constraint": "device", "budget": 0.5, "migration": True} if kind == "disco" else {}
    screen: dict[int, list[Claim]] = {}
    radio: dict[int, list[Claim]] = {}

    def noted(card: Any, delivered_s: Any, streams: Any, fleet: Any) -> float:
        spans = [on_air(stream) for stream in streams if stream.endpoint != "device"]
        end_s = delivered_s[-1] if delivered_s.size else max((on_air(s)[2] for s in streams), default=card.arrival_s)
        screen.setdefault(card.user_id, []).append((card.arrival_s, end_s, 0.7))
        for begin_s, first_s, last_s in spans:
            assert card.arrival_s <= begin_s <= first_s <= last_s < np.inf
            radio.setdefault(card.user_id, []).extend([(begin_s, last_s + 5.0, 1.0), (first_s, last_s, 1.5)])
        return original(card, delivered_s, streams, fleet)

    original = closing.waiting_of
    waiting = Waiting(screen_w=0.7, wait_w=1.0, receive_w=1.5, tail_s=5.0)
    parts = model(device=profile(waiting=waiting), service=server(failure_share=0.1, failure_after_s=0.3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(closing, "waiting_of", noted)
        played = play(known_policies()[kind](**options), parts, requests(25, seed=seed, gap_s=gap_s, n_users=n_users))
    paid = np.bincount(played.columns["user_id"], played.columns["device_waiting_j"])
    for user, claims in screen.items():
        expected = union_j(claims) + union_j(radio.get(user, []))
        assert paid[user] == pytest.approx(expected, rel=1e-9, abs=1e-9)
    check_waiting(played.columns, played.world.fleet.waiting_total_j(), kind)


@pytest.mark.parametrize("kind", ["server_only", "race"])
def test_a_shown_answer_is_received_from_its_first_to_its_last_token(kind: str) -> None:
    spans: list[tuple[float, float, float]] = []
    original = closing.waiting_of

    def noted(card: Any, delivered_s: Any, streams: Any, fleet: Any) -> float:
        spans.extend(on_air(stream) for stream in streams if stream.endpoint == "server")
        return original(card, delivered_s, streams, fleet)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(closing, "waiting_of", noted)
        played = serve(kind, at(1.0, 50.0, 90.0), service=server())
    for record, (begin_s, first_s, last_s) in zip(played.records, spans, strict=True):
        assert begin_s == record.arrival_s
        if record.first_endpoint == "server":
            assert (first_s, last_s) == (record.delivered_s[0], record.delivered_s[-1])
        else:  # stopped when the device spoke
            assert last_s == pytest.approx(record.delivered_s[0])


def test_the_check_bites() -> None:
    played = serve("server_only", at(0.0, 2.0))
    total = played.world.fleet.waiting_total_j()
    with pytest.raises(InvariantError, match="INV-21: requests of user 0"):
        check_waiting(played.columns, {0: total[0] + 0.01}, "test")
    wrong = played.columns | {"device_waiting_j": np.array([30.0, -1.0])}
    with pytest.raises(InvariantError, match="INV-21: request 0"):
        check_waiting(wrong, total, "test")


# --- in a scenario --------------------------------------------------------------------------------------------


def scenario(waiting: dict[str, Any] | None, **more: Any) -> dict[str, Any]:
    own = {"decode_tok_per_s": 10, "prefill_tok_per_s": 100, "prefill_j_per_tok": 0.1, "decode_j_per_tok": 0.5}
    return {
        "name": "waiting",
        "replications": 1,
        "workload": {
            "kind": "generate",
            "n_requests": 6,
            "n_users": 2,
            "arrivals": {"kind": "poisson", "rate_per_s": 0.1},
            "lengths": {"kind": "constant", "prompt_tok": 100, "output_tok": 20},
        },
        "devices": [{**own, "waiting": waiting, **more}],
        "server": {
            "kind": "replay",
            "digest": "openrouter-gpt-5.4",
            "prices": {"prompt_usd_per_mtok": 1, "output_usd_per_mtok": 1},
        },
        "cost": {"exchange_rate_usd_per_j": 1e-6},
        "policies": [{"kind": "server_only"}, {"kind": "device_only"}],
    }


def test_a_run_says_what_it_counts_and_writes_it_apart() -> None:
    waiting = {"screen_w": 0.5, "wait_w": 0.4, "receive_w": 1.0, "tail_s": 10}
    result = simulate(load_scenario(scenario(waiting, battery={"capacity_wh": 10})))
    assert any("0.4 W for 10 s after: assumption" in note for note in result.notes)
    assert not any("costs nothing here" in note for note in result.notes)
    columns = result.columns
    mine = columns["policy"] == "server_only"
    assert (columns["device_energy_j"] == columns["device_waiting_j"])[mine].all()
    np.testing.assert_allclose(columns["battery_percent"], columns["device_energy_j"] / 360.0)
    mean = result.summary.value("server_only", "device_waiting_mean_j").mean
    assert (
        mean
        == pytest.approx(columns["device_waiting_j"][mine].mean())
        == pytest.approx(result.summary.value("server_only", "device_energy_mean_j").mean)
    )


def test_a_run_without_it_says_that_waiting_costs_nothing() -> None:
    result = simulate(load_scenario(scenario(None)))
    assert any("a phone that waits or receives costs nothing here" in note for note in result.notes)
    assert "device_waiting_j" not in result.columns


@pytest.mark.parametrize(
    ("waiting", "message"), [({"wait_w": -1}, "wait_w"), ({}, "wait_w"), ({"wait_w": 500}, "wait_w")]
)
def test_a_power_that_is_none_is_refused(waiting: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_scenario(scenario(waiting))
