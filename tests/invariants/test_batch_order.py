"""Who may meet whom on a device, and the order in which requests of both ways end."""

from __future__ import annotations

from dataclasses import replace
from unittest import mock

import numpy as np
import pytest
from batch_runs import PLAIN, assert_same, run
from hypothesis import given
from hypothesis import strategies as st
from worlds import constant, examples, past, requests, server

from discosim.core.request import RequestRecord
from discosim.core.rng import RandomStreams
from discosim.core.timelines import Timelines
from discosim.core.undecided import UndecidedError
from discosim.policies import known_policies
from discosim.policies.server_only import ServerOnly
from discosim.runs.kernels import Part, in_order
from discosim.runs.replicate import _replicate
from discosim.world.batch.meeting import Stays, meetings
from discosim.world.luck import Luck
from discosim.world.world import World


def test_requests_that_meet_on_a_device_go_through_simpy() -> None:
    """Three of one user at once, and one of him much later."""
    table = replace(requests(4), arrival_s=np.array([1.0, 1.5, 2.0, 1e4]), user_id=np.array([0, 0, 1, 0]))
    found = run(known_policies()["device_only"](), PLAIN, table, past(PLAIN), 1, "auto")
    assert found.kernels == {"simpy": 2, "replay": 2}
    assert_same(found, run(known_policies()["device_only"](), PLAIN, table, past(PLAIN), 1, "simpy"))


@examples(100)
@given(st.integers(0, 2**32))
def test_nobody_is_left_who_may_meet_a_group(seed: int) -> None:
    """By a loop over all pairs: outside the groups stays are apart, and apart from whatever a group may take."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 12))
    from_s = rng.integers(0, 30, n).astype(float)
    to_s = from_s + rng.integers(0, 6, n)
    at_most_s = to_s - from_s + rng.integers(0, 4, n)
    stays = Stays(np.arange(n), rng.integers(0, 3, n), from_s, to_s, at_most_s, rng.random(n) < 0.1)
    meets, until_s = meetings(stays)
    for i in range(n):
        assert meets[i] or not stays.goes_to_world[i]
        for j in range(n):
            if i != j and stays.user_id[i] == stays.user_id[j] and not meets[i]:
                apart = until_s[j] < from_s[i] or to_s[i] < from_s[j]
                assert apart, f"{i} is left, and may meet {j}"
    for user in range(3):  # work of a group that is done one after the other ends in time
        mine = sorted(np.flatnonzero(meets & (stays.user_id == user)).tolist(), key=lambda i: from_s[i])
        end_s = 0.0
        for i in mine:
            end_s = max(end_s, from_s[i]) + at_most_s[i]
            assert end_s <= until_s[i]


def ending(*rows: tuple[int, float, float], is_direct: bool = False, horizon_s: float = np.inf) -> Part:
    """Return requests by id, the moment of their end and the event before it."""
    records: list[RequestRecord] = []
    World(PLAIN, requests(1, rejected=[True]), Luck(RandomStreams(1), 1)).run(ServerOnly(), records.append)
    timelines = Timelines.of([replace(records[0], request_id=number) for number, _, _ in rows])
    ended_s, before_s = np.array([row[1] for row in rows]), np.array([row[2] for row in rows])
    return Part(timelines, ended_s, before_s, np.full(len(rows), is_direct), horizon_s)


def order_of(*parts: Part) -> list[int]:
    """Return the ids in the order in which they come."""
    return [int(i) for timelines in in_order(parts) for i in timelines["request_id"]]


NAN = float("nan")


def test_requests_come_in_the_order_in_which_they_end() -> None:
    first = ending((4, 2.0, NAN), (5, 9.0, NAN), (3, 9.0, NAN), horizon_s=-np.inf)
    second = ending((2, 3.0, 1.0), (1, 7.0, 1.0), (0, 12.0, 1.0), horizon_s=5.0)
    third = ending((7, 6.0, 1.0), (6, 12.0, 0.5))
    for size in (1, 2, 3, 200):
        batches = list(in_order([first, second, third], size))
        assert all(len(batch) % size == 0 for batch in batches[:-1])
        assert [int(i) for batch in batches for i in batch["request_id"]] == [4, 2, 7, 1, 5, 3, 6, 0]


def test_one_moment_is_ordered_only_where_simpy_would_order_it_so() -> None:
    assert order_of(ending((1, 7.0, 2.0), horizon_s=5.0), ending((2, 7.0, 1.0))) == [2, 1]
    assert order_of(ending((1, 7.0, 2.0), (2, 7.0, 2.0), is_direct=True)) == [1, 2]
    for undecided in [
        (ending((1, 7.0, 2.0), (2, 7.0, 2.0)),),
        (ending((1, 7.0, 2.0), horizon_s=5.0), ending((2, 7.0, NAN))),
    ]:
        with pytest.raises(UndecidedError):
            order_of(*undecided)


def test_the_world_does_all_where_the_order_is_undecided() -> None:
    """Constant times in a world without luck: with a hand-over rule nobody tells which of two twins ends first."""
    policy = known_policies()["disco"](constraint="server", budget=1.0)
    table = requests(30, prompt_tok=50, output_tok=20)
    table = replace(table, arrival_s=np.repeat(table.arrival_s[::2], 2))
    service = server(ttft=constant(0.2), tpot=constant(0.05))
    parts = replace(PLAIN, server=service)
    with mock.patch("discosim.runs.replicate._replicate", side_effect=_replicate) as tries:
        found = run(policy, parts, table, past(parts), 1, "auto")
    assert tries.call_count == 2
    assert found.kernels == {"simpy": 30}
    assert_same(found, run(policy, parts, table, past(parts), 1, "simpy"))
