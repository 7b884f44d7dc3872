"""Hand-overs of planned requests over the engine, without sessions, against SimPy: every bit, in order."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from engines import PHYSICS
from hypothesis import strategies as st
from test_cancelled_jobs import BLINKING, CASES, crowded
from test_planned_engine import OPTIONS, PHONES, PLAIN, TAKEN, Options, Planned, busy, check, check_many, prepared
from test_unattended_engine import COMPILED_SCHEDULERS, RIVALS, ROUGH, SWAPS, V1_MEMORY, Case, cases
from worlds import DEAR_DEVICE, DEAR_SERVER, constant_link, exhaustive, law, long, profile

from discosim.core.device_law import Residual
from discosim.core.empirical import QuantileTable
from discosim.core.rng import RandomStreams
from discosim.policies import known_policies
from discosim.policies.migration import Migration
from discosim.runs.planned_kernel import engine_planned
from discosim.world.dispatched.books import Books
from discosim.world.dispatched.pending import DEVICE, FAILED, SERVER
from discosim.world.engine.floor import ReplicaModel
from discosim.world.engine.schedulers.andes_code import AndesCode
from discosim.world.luck import Luck
from discosim.world.world import World

MIGRATION = {
    "migration": st.just(True),
    "server_estimate": st.sampled_from(["mean", "p50", "p99"]),
    "payload": st.sampled_from(["text", "token_ids"]),
}
CHANGING: Options = {kind: {**OPTIONS[kind], **MIGRATION} for kind in ("disco", "optimal_wait")}
WAYS = ["kernel", "no_kernel"]
INSIDE = {"swap": {"swaps": SWAPS}, "ahead": {"decides_ahead": True}, "v1": V1_MEMORY}


def patient(case: Case) -> Case:
    """Return the same world with readers who read so slowly that most answers can change hands."""
    return replace(case, table=replace(case.table, reader_tok_per_s=0.25 * case.table.reader_tok_per_s))


def worlds(schedulers: Any = COMPILED_SCHEDULERS, **inside: Any) -> st.SearchStrategy[Case]:
    drawn = cases(schedulers, **inside)
    return st.one_of(drawn, drawn.map(patient))


@pytest.mark.parametrize("n", [40, long(120), exhaustive(3000)])
@pytest.mark.parametrize("kind", CHANGING)
@pytest.mark.usefixtures("kernel")
def test_compiled_hand_overs_have_the_bits_of_simpy(kind, n):
    check_many(kind, n, worlds(), options=CHANGING, is_compiled=True)


@pytest.mark.parametrize("n", [20, long(60), exhaustive(1000)])
@pytest.mark.parametrize("kind", CHANGING)
@pytest.mark.usefixtures("no_kernel")
def test_hand_overs_have_the_bits_of_simpy(kind, n):
    check_many(kind, n, worlds((*COMPILED_SCHEDULERS, AndesCode)), options=CHANGING, is_compiled=False)


@pytest.mark.parametrize("n", [10, long(50), exhaustive(1000)])
@pytest.mark.parametrize("rival", RIVALS)
@pytest.mark.usefixtures("kernel")
def test_schedulers_that_look_at_all_who_live_see_who_goes_on_elsewhere(rival, n):
    check_many("disco", n, worlds(RIVALS[rival], swaps=SWAPS), options=CHANGING, is_compiled=True)


@pytest.mark.parametrize("n", [10, long(50), exhaustive(1000)])
@pytest.mark.parametrize("inside", INSIDE)
@pytest.mark.parametrize("way", WAYS)
def test_memory_is_given_back_by_who_goes_on_elsewhere(way, inside, n, request):
    request.getfixturevalue(way)
    check_many("disco", n, worlds(**INSIDE[inside]), options=CHANGING)


# --- worlds in which everything happens -----------------------------------------------------------------------


def disco(**options: Any) -> Any:
    return known_policies()["disco"](**{"constraint": "device", "budget": 0.3, **options})


DEVICE_FIRST = {"constraint": "server", "budget": 0.5}


@pytest.fixture
def changes(monkeypatch) -> Counter[tuple[int, int]]:
    """Count who has handed over to whom."""
    found: Counter[tuple[int, int]] = Counter()
    timelines = Books.timelines

    def counted(books, over):
        found.update(zip(over.speaker.tolist(), over.goes_to.tolist(), strict=True))
        return timelines(books, over)

    monkeypatch.setattr(Books, "timelines", counted)
    return found


NOISE = Residual(prefill=law(QuantileTable((0.0, 1.0), (0.5, 3.0))), decode=law(QuantileTable((0.0, 1.0), (0.8, 1.5))))


LINKED = {"constant": constant_link(0.3), "blinking": BLINKING, "rough": ROUGH}
CROWDS = [
    *((name, "constant", "cancel") for name in CASES),
    *(("chunked", link, losers) for link in ("blinking", "rough") for losers in ("finish_prefill", "run_on")),
]


@pytest.mark.parametrize(("name", "link", "losers"), CROWDS)
@pytest.mark.parametrize("way", WAYS)
def test_answers_change_hands_both_ways_in_a_crowd(way, name, link, losers, changes, request):
    request.getfixturevalue(way)
    is_compiled = way == "kernel"
    it = patient_crowd(name, LINKED[link])
    for budget in (0.0, 0.3):  # with more, devices that have lost are busy
        assert check(
            replace(it, policy=disco(losers=losers, budget=budget), meter=DEAR_SERVER), is_compiled=is_compiled
        )
    assert check(replace(it, policy=disco(losers=losers, **DEVICE_FIRST), meter=DEAR_DEVICE), is_compiled=is_compiled)
    assert changes[SERVER, DEVICE] > 10
    assert changes[DEVICE, SERVER] > 10


def patient_crowd(name: str, link: Any) -> Planned:
    """Return a world of few users and many requests who read so slowly that answers can change hands."""
    it = crowded(*CASES[name], rtt_s=0.1)
    table = replace(it.case.table, user_id=np.arange(300) % 100)
    phones = ((profile(prefill_intercept_s=0.3, decode_tok_per_s=30.0, residual=NOISE), 1.0),)
    return replace(it, case=patient(replace(it.case, table=table, link=link)), fleet=phones)


@pytest.mark.parametrize("name", TAKEN)
@pytest.mark.usefixtures("no_kernel")
def test_the_engine_may_be_whatever_it_is(name, changes):
    it = busy(TAKEN[name])
    it = replace(it, case=patient(it.case))
    assert check(replace(it, policy=disco()), rows_each=7)
    assert check(replace(it, policy=disco(**DEVICE_FIRST), meter=DEAR_DEVICE), rows_each=7)
    assert changes[SERVER, DEVICE] > 5
    assert changes[DEVICE, SERVER] > 5


@pytest.mark.parametrize("losers", ["cancel", "run_on"])
@pytest.mark.parametrize("way", WAYS)
def test_whom_the_server_refuses_to_take_over_goes_back(way, losers, changes, request):
    """A device that cannot hold prompt and answer so far fails the request then."""
    request.getfixturevalue(way)
    replica = ReplicaModel(cost=PHYSICS, kv_blocks=6, block_tok=16, max_batch=5)
    it = busy(replace(PLAIN, case=replace(PLAIN.case, server=replace(PLAIN.case.server, replica=replica))), 200)
    table = replace(it.case.table, user_id=np.arange(200) % 70)
    it = replace(it, case=patient(replace(it.case, table=table)), meter=DEAR_DEVICE)
    short = ((profile(max_context_tok=70), 1.0),)
    for policy in (disco(losers=losers), disco(losers=losers, constraint="server", budget=0.9)):
        for phones in (PHONES, short):
            assert check(replace(it, policy=policy, fleet=phones), is_compiled=way == "kernel")
    assert changes[DEVICE, DEVICE] > 10
    assert changes[DEVICE, FAILED] > 2


class Eager(Migration):
    """A rule of somebody else, which may ask for more than its tables say."""


@pytest.mark.parametrize(("rule", "is_taken"), [(Migration, True), (Eager, False)])
def test_rules_that_are_not_known_go_through_simpy(rule, is_taken):
    it = replace(PLAIN, policy=disco())
    policy, blueprint = prepared(it), SimpleNamespace(view=it.view())
    policy._migration = rule(it.view())
    world = World(it.parts(), it.case.table, Luck(RandomStreams(1), 2))
    found = engine_planned(policy, cast("Any", blueprint), it.case.table, world.luck, world, None)
    assert (found is not None) == is_taken
