"""Planned requests over the engine, without sessions, against the same requests through SimPy: every bit, in order."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import pytest
from engines import FLAT, LINES
from hypothesis import given
from hypothesis import strategies as st
from test_unattended_engine import (
    COMPILED_SCHEDULERS,
    RIVALS,
    SWAPS,
    V1_MEMORY,
    Case,
    LinkOfTomorrow,
    assert_same,
    cases,
    plain_case,
)
from worlds import (
    DEAR_DEVICE,
    DEAR_SERVER,
    JOINT,
    NO_LINK,
    constant,
    constant_link,
    edge_box,
    examples,
    exhaustive,
    law,
    long,
    model,
    past,
    profile,
    server,
)

from discosim.core.device_law import Residual
from discosim.core.empirical import QuantileTable
from discosim.core.request import Loop
from discosim.core.rng import RandomStreams
from discosim.core.scenario import Battery, ColdStart, Outage, Throttle, Waiting
from discosim.core.timelines import Timelines
from discosim.policies import Policy, known_policies
from discosim.policies.race import Race
from discosim.policies.view import ASSUMED, View
from discosim.runs import planned_kernel
from discosim.runs.planned_kernel import EnginePlanned, engine_planned
from discosim.runs.series import MOST_S
from discosim.world.engine.engine import PrefillPool
from discosim.world.engine.floor import ReplicaModel
from discosim.world.engine.schedulers.andes_code import AndesCode
from discosim.world.engine.schedulers.fcfs import Fcfs
from discosim.world.engine.series import SeriesRecorder
from discosim.world.luck import Luck
from discosim.world.meter import Meter
from discosim.world.world import Service, World, WorldModel

LOSERS = st.sampled_from(["cancel", "cancel", "finish_prefill", "run_on"])
SIDES = st.sampled_from(["server", "device"])
BUDGETS = st.sampled_from([0.0, 0.3, 0.7, 1.0])
Options = dict[str, dict[str, st.SearchStrategy[Any]]]
OPTIONS: Options = {
    "race": {"losers": LOSERS},
    "stochastic": {
        "variant": st.sampled_from(["exclusive", "racing", "racing"]),
        "constraint": SIDES,
        "budget": BUDGETS,
        "losers": LOSERS,
    },
    "disco": {"migration": st.just(False), "constraint": SIDES, "budget": BUDGETS, "losers": LOSERS},
    "optimal_wait": {
        "constraint": SIDES,
        "budget": BUDGETS,
        "losers": LOSERS,
        "n_lengths": st.just(20),
        "n_waits": st.just(20),
    },
    "device_only": {},
    "server_only": {"n_retries": st.sampled_from([0, 2])},
}
"""Policies with a plan; the clairvoyant one nobody can have over an engine."""
assert {*OPTIONS, "oracle"} == {kind for kind, policy in known_policies().items() if "plan" in vars(policy)}

DEVICES = st.builds(
    profile,
    name=st.sampled_from(["one", "two"]),
    prefill_s_per_tok=st.sampled_from([0.0, 0.0001, 0.005, 0.02]),
    prefill_intercept_s=st.sampled_from([0.0, 0.25, 0.5]),
    decode_tok_per_s=st.sampled_from([4.0, 15.0, 60.0]),
    max_context_tok=st.sampled_from([None, None, 60]),
    residual=st.sampled_from([None, Residual(prefill=law(QuantileTable((0.0, 1.0), (0.5, 3.0))))]),
)
FLEETS = st.lists(
    st.tuples(DEVICES, st.floats(0.1, 5)), min_size=1, max_size=2, unique_by=lambda pair: pair[0].name
).map(tuple)


@dataclass(frozen=True)
class Planned:
    """A world and who serves it."""

    case: Case
    policy: Policy
    fleet: tuple[Any, ...]
    meter: Meter = DEAR_SERVER

    def parts(self) -> WorldModel:
        more = {"edge": edge_box(), "quality": ASSUMED} if self.case.has_edge else {}
        return WorldModel(self.fleet, self.case.server, self.case.link, self.meter, **more)

    def view(self) -> View:
        """Return a past in which the server takes seconds, so that waits matter."""
        slow = server(ttft=constant(0.4)) if self.case.tries else server()
        return past(model(fleet=self.fleet, service=slow, link=self.case.link, meter=self.meter), n=101)


@st.composite
def planned(draw, kind: str, worlds: st.SearchStrategy[Case], options: Options = OPTIONS) -> Planned:
    """Draw who serves a drawn world; its few users meet on their phones, unless everybody has an own one."""
    case = draw(worlds)
    n = len(case.table)
    if draw(st.booleans()):
        case = replace(case, table=replace(case.table, user_id=np.arange(n)))
    policy = known_policies()[kind](**draw(st.fixed_dictionaries(options[kind])))
    return Planned(case, policy, draw(FLEETS), draw(st.sampled_from([DEAR_SERVER, DEAR_DEVICE])))


def prepared(it: Planned) -> Policy:
    policy = copy.deepcopy(it.policy)
    policy.prepare(it.view())
    return policy


def opened(
    it: Planned, recorder: SeriesRecorder | None = None, parts: WorldModel | None = None
) -> tuple[World, EnginePlanned | None]:
    """Return a world that nobody has used, and what the kernel takes of it."""
    parts = it.parts() if parts is None else parts
    luck = Luck(RandomStreams(1), len(it.case.table))
    world = World(parts, it.case.table, luck, recorder)
    blueprint: Any = SimpleNamespace(view=it.view())
    return world, engine_planned(prepared(it), blueprint, it.case.table, luck, world, recorder)


def taken(it: Planned, parts: WorldModel | None = None) -> EnginePlanned | None:
    return opened(it, parts=parts)[1]


def check(it: Planned, rows_each: int = 4, *, is_compiled: bool | None = None) -> bool:
    """Compare both ways, the order in which requests come out included; return whether anything was compared."""
    world, whole = opened(it, SeriesRecorder.of(it.case.server, MOST_S))
    if whole is None:
        return False
    with mock.patch.object(planned_kernel, "AT_ONCE", rows_each):
        parts = list(whole.timelines(rows_each))
    assert all(len(part) % rows_each == 0 for part in parts[:-1])
    if is_compiled is not None:
        assert whole.run.is_compiled == is_compiled
    records: list[Any] = []
    recorder = SeriesRecorder.of(it.case.server, MOST_S)
    other = World(it.parts(), it.case.table, Luck(RandomStreams(1), len(it.case.table)), recorder)
    other.run(prepared(it), records.append)
    assert_same(Timelines.of(records), Timelines.joined(parts))
    assert repr(other.engine_figures()) == repr(whole.figures)
    assert repr(other.edge_figures()) == repr(world.edge_figures())
    assert other.env.now == world.env.now
    assert whole.recorder.is_cut == recorder.is_cut
    theirs, ours = recorder.series(), whole.recorder.series()
    for name in ("t_s", "running", "waiting", "prompt_tok_per_s", "output_tok_per_s", "kv_share"):
        assert getattr(theirs, name).tobytes() == getattr(ours, name).tobytes(), name
    return True


def check_many(
    kind: str,
    n: int,
    worlds: st.SearchStrategy[Case],
    *,
    options: Options = OPTIONS,
    is_compiled: bool | None = None,
) -> None:
    """Compare drawn worlds; a third of them at least have to be such that there is something to compare."""
    n_compared = 0

    @examples(n)
    @given(planned(kind, worlds, options))
    def each(it: Planned) -> None:
        nonlocal n_compared
        n_compared += check(it, is_compiled=is_compiled)

    each()
    assert n_compared > n // 3, "hardly anything was compared"


@pytest.mark.parametrize("n", [40, long(120), exhaustive(3000)])
@pytest.mark.parametrize("kind", OPTIONS)
@pytest.mark.usefixtures("kernel")
def test_compiled_planned_requests_have_the_bits_of_simpy(kind, n):
    check_many(kind, n, cases(), is_compiled=True)


@pytest.mark.parametrize("n", [20, long(60), exhaustive(1000)])
@pytest.mark.parametrize("kind", OPTIONS)
@pytest.mark.usefixtures("no_kernel")
def test_planned_requests_have_the_bits_of_simpy(kind, n):
    check_many(kind, n, cases((*COMPILED_SCHEDULERS, AndesCode)), is_compiled=False)


@pytest.mark.parametrize("n", [10, long(50), exhaustive(1000)])
@pytest.mark.parametrize("rival", RIVALS)
@pytest.mark.usefixtures("kernel")
def test_schedulers_that_look_at_all_who_live_see_who_is_cancelled(rival, n):
    check_many("race", n, cases(RIVALS[rival], swaps=SWAPS), is_compiled=True)


@pytest.mark.parametrize("n", [10, long(50), exhaustive(1000)])
@pytest.mark.parametrize("rival", ["code", "lqsf"])
@pytest.mark.usefixtures("kernel")
def test_schedulers_that_decide_ahead_see_who_is_cancelled_when_they_may(rival, n):
    check_many("race", n, cases(RIVALS[rival], decides_ahead=True), is_compiled=True)


@pytest.mark.parametrize("n", [15, long(60), exhaustive(1500)])
@pytest.mark.parametrize("inside", [{"swaps": SWAPS}, {"decides_ahead": True}, V1_MEMORY], ids=["swap", "ahead", "v1"])
@pytest.mark.parametrize("way", ["kernel", "no_kernel"])
def test_memory_is_given_back_by_who_is_cancelled(way, inside, n, request):
    request.getfixturevalue(way)
    check_many("race", n, cases(**inside))
    check_many("stochastic", n, cases(**inside))


# --- who does what --------------------------------------------------------------------------------------------

PHONES = ((profile(), 1.0),)
PLAIN = Planned(plain_case(), Race(), PHONES)
POOL = PrefillPool(ReplicaModel(cost=LINES, kv_blocks=100, role="prefill"), 2, Fcfs, transfer_s_per_tok=1e-3)


def with_server(**changes: Any) -> Planned:
    return replace(PLAIN, case=replace(PLAIN.case, server=replace(PLAIN.case.server, **changes)))


def busy(it: Planned, n: int = 60) -> Planned:
    """Return the same world with many requests, of few users."""
    rng = np.random.default_rng(5)
    table = replace(
        it.case.table,
        arrival_s=np.cumsum(rng.exponential(0.2, n)),
        prompt_tok=rng.integers(1, 90, n),
        output_tok=rng.integers(1, 60, n),
        user_id=rng.integers(0, 20, n),
        reader_tok_per_s=np.full(n, 4.8),
        ttft_target_s=np.ones(n),
        rejected=np.zeros(n, dtype=bool),
    )
    return replace(it, case=replace(it.case, table=table))


TAKEN = {
    "pool": with_server(prefill_pool=POOL, replica=ReplicaModel(cost=LINES, kv_blocks=100, role="decode")),
    "lockstep": with_server(lockstep=True, n_replicas=2),
    "prefix cache": replace(PLAIN, case=plain_case(prefix_blocks=4)),
}


@pytest.mark.parametrize("losers", ["cancel", "run_on"])
@pytest.mark.parametrize("name", TAKEN)
def test_the_engine_may_be_whatever_it_is(name, losers):
    assert check(replace(busy(TAKEN[name]), policy=Race(losers=losers)), rows_each=7)


@pytest.mark.parametrize("router", ["round_robin", "least_loaded", "shortest_queue"])
@pytest.mark.usefixtures("kernel")
def test_many_replicas_have_their_turns_in_order(router):
    """Some forty boundaries are due at a time, many of them in one moment: all iterations take as long."""
    replica = ReplicaModel(cost=FLAT, kv_blocks=100, max_batch=2)
    it = busy(with_server(n_replicas=50, router=router, replica=replica), 400)
    table = replace(it.case.table, arrival_s=np.arange(400) // 8 * 0.05, user_id=np.arange(400))
    for policy in (Race(), known_policies()["server_only"](), known_policies()["disco"](budget=0.5)):
        assert check(replace(it, case=replace(it.case, table=table), policy=policy), is_compiled=True)


def parts_with(**changes: Any) -> WorldModel:
    return replace(PLAIN.parts(), **changes)


@dataclass(frozen=True)
class OtherEngine(type(PLAIN.case.server)):
    """An engine of another package."""


NOT_TAKEN: dict[str, WorldModel] = {
    "joint": parts_with(joint=JOINT),
    "services": parts_with(services={"other": Service(server(), DEAR_SERVER, NO_LINK)}),
    "replayed": parts_with(server=server()),
    "another engine": parts_with(server=OtherEngine(**vars(PLAIN.case.server))),
    "packets": parts_with(link=constant_link(0.06, tokens_per_packet=2)),
    "outage": parts_with(link=constant_link(0.06, outages=(Outage(start_s=1.0, end_s=2.0),))),
    "new link": parts_with(link=LinkOfTomorrow()),
    **{
        name: parts_with(fleet=((profile(**{name: part}), 1.0),))
        for name, part in {
            "throttle": Throttle(onset_s=1.0, sustained=0.5),
            "cold_start": ColdStart(load_s=1.0),
            "battery": Battery(capacity_wh=1.0),
            "waiting": Waiting(screen_w=1.0, wait_w=1.0),
            "residual": Residual(prefill=law(), first=2.0),
        }.items()
    },
}


@pytest.mark.parametrize("name", NOT_TAKEN)
def test_parts_that_are_not_known_go_through_simpy(name):
    assert taken(PLAIN) is not None
    assert taken(PLAIN, NOT_TAKEN[name]) is None


def test_closed_loops_go_through_simpy():
    n = len(PLAIN.case.table)
    table = replace(PLAIN.case.table, arrival_s=np.full(n, np.nan), loop=Loop(2, np.ones(n)))
    assert taken(replace(PLAIN, case=replace(PLAIN.case, table=table))) is None


@dataclass(kw_only=True)
class Hasty(Race):
    """Serves otherwise than its parent, whose plan it would inherit."""


@dataclass(kw_only=True)
class Foreign(Race):
    """A policy of somebody else with a plan of its own, which nobody could compare with what it does."""

    def plan(self, view, requests, coins):
        return super().plan(view, requests, coins)


@pytest.mark.parametrize(
    "policy",
    [Hasty(), Foreign(), known_policies()["disco"](relearn=True), known_policies()["hedge"](), Race(service="other")],
    ids=["inherited", "foreign", "learning", "no plan", "another service"],
)
def test_policies_without_a_plan_that_counts_go_through_simpy(policy):
    it = replace(PLAIN, policy=policy)
    blueprint: Any = SimpleNamespace(view=it.view())
    world = World(it.parts(), it.case.table, Luck(RandomStreams(1), 2))
    assert engine_planned(prepared(it), blueprint, it.case.table, world.luck, world, None) is None


def test_whom_a_phone_refuses_asks_the_server_after_whoever_comes_in_that_moment():
    it = busy(with_server(replica=ReplicaModel(cost=LINES, kv_blocks=100, max_batch=1)), 3)
    columns = {"arrival_s": np.full(3, 0.5), "prompt_tok": np.array([20, 350, 20]), "user_id": np.arange(3)}
    case = replace(it.case, table=replace(it.case.table, **columns))
    phones = ((profile(prefill_intercept_s=5.0, max_context_tok=200), 1.0),)
    policy = known_policies()["optimal_wait"](constraint="server", budget=0.9, n_lengths=20, n_waits=20)
    (part,) = taken(Planned(case, policy, phones)).timelines()
    queue_s = dict(zip(part["request_id"].tolist(), part["queue_s"].tolist(), strict=True))
    assert queue_s[0] < queue_s[2] < queue_s[1]
    assert check(Planned(case, policy, phones))
