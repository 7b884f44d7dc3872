"""Jobs that are cancelled wherever they are: in the queue, in their prefill, decoding, in host memory, or just over."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from engines import PHYSICS
from test_planned_engine import PLAIN, Planned, busy, check
from worlds import constant_link, law, profile

from discosim.core.empirical import QuantileTable
from discosim.policies.race import Race
from discosim.policies.stochastic import Stochastic
from discosim.world.dispatched import planned_run
from discosim.world.engine.floor import ReplicaModel
from discosim.world.engine.job import State
from discosim.world.engine.replica import Replica
from discosim.world.engine.schedulers.fcfs import Fcfs
from discosim.world.engine.schedulers.fcfs_chunked import FcfsChunked
from discosim.world.engine.schedulers.round_robin import RoundRobin
from discosim.world.link import LinkModel

SWAP = {"preemption": "swap", "host_blocks": 25, "swap_s_per_block": 0.002}
CASES = {
    "turns": (lambda: RoundRobin(quantum=1, max_prefill_tok=40), SWAP),
    "fcfs": (Fcfs, SWAP),
    "chunked": (lambda: FcfsChunked(token_budget=24), SWAP),
    "recompute": (lambda: FcfsChunked(token_budget=24), {}),
    "ahead": (lambda: FcfsChunked(token_budget=24), {**SWAP, "decides_ahead": True}),
}


def crowded(scheduler, inside, rtt_s: float = 6.0) -> Planned:
    """Return a world in which the engine's first tokens travel for so long that devices speak before they arrive."""
    replica = ReplicaModel(cost=PHYSICS, kv_blocks=26, block_tok=8, max_batch=5, **inside)
    server = replace(PLAIN.case.server, replica=replica, scheduler=scheduler, n_replicas=2)
    it = busy(replace(PLAIN, case=replace(PLAIN.case, server=server, link=constant_link(rtt_s))), 300)
    table = replace(it.case.table, arrival_s=it.case.table.arrival_s / 4.0, user_id=np.arange(300) % 150)
    slow = profile(prefill_s_per_tok=0.01, prefill_intercept_s=4.0, decode_tok_per_s=30.0)
    return Planned(replace(it.case, table=table), Race(), ((slow, 1.0),))


@pytest.mark.parametrize("way", ["kernel", "no_kernel"])
@pytest.mark.parametrize("name", CASES)
def test_a_cancel_finds_its_job_wherever_it_is(name, way, request, monkeypatch):
    request.getfixturevalue(way)
    scheduler, inside = CASES[name]
    found, drop_cancelled = Counter(), Replica._drop_cancelled

    def counted(replica: Replica) -> None:
        found.update(job.state for job in replica._cancelled)
        drop_cancelled(replica)

    monkeypatch.setattr(Replica, "_drop_cancelled", counted)
    assert check(crowded(scheduler, inside), is_compiled=way == "kernel")
    states = {State.WAITING, State.DECODING, State.GONE}
    states |= {State.SWAPPED} if inside else set()
    # others prefill a prompt in one piece, and are not asked in between
    states |= {State.PREFILLING} if "Chunked" in type(scheduler()).__name__ else set()
    assert all(found[state] > 0 for state in states), found


BLINKING = LinkModel(rtt=law(QuantileTable((0.0, 0.5, 0.500001, 1.0), (0.0, 0.0, 0.5, 0.5))), tick_s=0.05, up_share=1.0)
"""A way up of nothing or half a second, so that a cancel may overtake what it is to cancel, or meet it."""


@pytest.mark.parametrize("way", ["kernel", "no_kernel"])
@pytest.mark.parametrize(
    "policy",
    [Race(), Stochastic(variant="racing", constraint="device", budget=1.0)],
    ids=["device first", "server first"],
)
def test_a_cancel_may_meet_its_job_on_the_way(policy, way, request):
    """Which of the two comes first is decided by who was asked first; the queue and the router know of it or not."""
    request.getfixturevalue(way)
    it = busy(replace(PLAIN, case=replace(PLAIN.case, link=BLINKING)), 200)
    server = replace(it.case.server, n_replicas=3, router="round_robin")
    table = replace(it.case.table, arrival_s=np.arange(200) * 0.25, user_id=np.arange(200))
    phones = ((profile(prefill_s_per_tok=0.0, prefill_intercept_s=0.5, decode_tok_per_s=32.0), 1.0),)
    assert check(Planned(replace(it.case, server=server, table=table), policy, phones), is_compiled=way == "kernel")


@pytest.mark.parametrize("losers", ["cancel", "finish_prefill", "run_on"])
@pytest.mark.parametrize("way", ["kernel", "no_kernel"])
def test_phones_turn_to_the_next_when_they_are_told_to_stop(way, losers, request):
    """Few users ask so often that most wait for their phone; the server speaks first to some who wait or prefill."""
    request.getfixturevalue(way)
    it = crowded(*CASES["chunked"], rtt_s=1.0)
    table = replace(it.case.table, user_id=np.arange(300) % 60)
    slow = ((profile(prefill_s_per_tok=0.01, prefill_intercept_s=1.0, decode_tok_per_s=20.0), 1.0),)
    assert check(Planned(replace(it.case, table=table), Race(losers=losers), slow), is_compiled=way == "kernel")


@pytest.mark.usefixtures("kernel")
def test_where_the_compiled_loop_gives_up_the_engine_goes_on_behind_what_it_has_given(monkeypatch):
    """It knows no memory in which a preempted request would be found again; here the first is preempted late."""
    given, whole = [], planned_run._whole

    def counted(*args):
        for over in whole(*args):
            given.append(len(over))
            yield over

    monkeypatch.setattr(planned_run, "_whole", counted)
    it = crowded(lambda: FcfsChunked(token_budget=24), {"caches_inside": True}, rtt_s=0.1)
    table = replace(it.case.table, arrival_s=np.concatenate((np.arange(100) * 5.0, 500.0 + np.arange(200) * 0.02)))
    assert check(replace(it, case=replace(it.case, table=table)), is_compiled=False)
    assert 0 < sum(given) < 300
