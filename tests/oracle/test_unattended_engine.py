"""Requests that the engine does alone, in Python and compiled, against the same requests through SimPy: every bit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from engines import BENT, FLAT, GRID, LINES, PHYSICS
from hypothesis import given
from hypothesis import strategies as st
from worlds import DEAR_SERVER, NO_LINK, constant_link, edge_box, examples, exhaustive, law, long, profile

from discosim import load_scenario
from discosim.core.empirical import QuantileTable
from discosim.core.request import RequestTable
from discosim.core.rng import RandomStreams
from discosim.core.scenario import Outage
from discosim.core.timelines import SCALARS, Timelines
from discosim.policies.device_only import DeviceOnly
from discosim.policies.race import Race
from discosim.policies.server_only import ServerOnly
from discosim.policies.view import ASSUMED
from discosim.runs.build import build
from discosim.runs.engine_kernel import engine_only
from discosim.runs.series import MOST_S
from discosim.world.engine import compiled, unattended
from discosim.world.engine.engine import EngineModel
from discosim.world.engine.floor import ReplicaModel
from discosim.world.engine.schedulers.andes_code import AndesCode
from discosim.world.engine.schedulers.andes_v1 import AndesV1
from discosim.world.engine.schedulers.andes_v2 import AndesV2
from discosim.world.engine.schedulers.fcfs import Fcfs
from discosim.world.engine.schedulers.fcfs_chunked import FcfsChunked
from discosim.world.engine.schedulers.lqsf import Lqsf
from discosim.world.engine.schedulers.round_robin import RoundRobin
from discosim.world.engine.series import SeriesRecorder
from discosim.world.link import LinkModel
from discosim.world.luck import Luck
from discosim.world.world import World, WorldModel

ROUGH = LinkModel(rtt=law(QuantileTable((0.0, 0.5, 1.0), (0.01, 0.2, 3.0))), tick_s=0.05)
LINKS = (NO_LINK, constant_link(0.06), constant_link(0.25), ROUGH, LinkModel(uplink_bit_per_s=4e4))
COMPILED_SCHEDULERS = (
    Fcfs,
    lambda: Fcfs(max_prefill_tok=40),
    FcfsChunked,
    lambda: FcfsChunked(token_budget=24),
    lambda: FcfsChunked(token_budget=24, preempts="running"),
    lambda: FcfsChunked(token_budget=24, preempts="running", blocks="by_chunk"),
    lambda: FcfsChunked(token_budget=24, blocks="by_chunk_unchecked"),
)


def andes(kind, **drawn):
    """Draw a maker of a scheduler with options of its own."""
    return st.fixed_dictionaries({}, optional=drawn).map(lambda options: lambda: kind(**options))


FRAME = {
    "ahead_s": st.sampled_from([0.5, 10.0]),
    "objective": st.sampled_from(["max_min", "perfect"]),
    "trigger": st.sampled_from([0.3, 1.0]),
    "n_sizes": st.sampled_from([1, 3]),
    "solve_every": st.sampled_from([1, 3]),
    "max_prefill_tok": st.just(40),
    "admission": st.just("arrival"),
    "overflow": st.just("priority"),
}
PERIOD = {
    "every": st.sampled_from([1, 3]),
    "trigger": st.sampled_from([0.3, 1.0]),
    "overhead_s_per_tok": st.sampled_from([0.0, 0.01]),
    "slack_percentile": st.sampled_from([0.0, 50.0, 100.0]),
    "is_overhead_aware": st.just(False),
    "max_prefill_tok": st.just(40),
}
CODE = {
    **PERIOD,
    "objective": st.just("max_min"),
    "weigh": st.just("nothing"),
    "token_s": st.sampled_from([0.3]),
    "ahead_s": st.sampled_from([0.5, 50.0]),
}
RIVALS = {
    "round_robin": andes(RoundRobin, quantum=st.sampled_from([1, 5, 20]), max_prefill_tok=st.just(40)),
    "v1": andes(AndesV1, **FRAME, max_preemptions=st.sampled_from([None, 0.0, 0.3])),
    "v2": andes(AndesV2, **FRAME, refiner=st.just(False)),
    "code": andes(AndesCode, **CODE),
    "lqsf": andes(Lqsf, **PERIOD),
}
SWAPS = st.one_of(
    st.just({}),
    st.builds(
        lambda blocks, s: {"preemption": "swap", "host_blocks": blocks, "swap_s_per_block": s},
        st.sampled_from([0, 10, 900]),
        st.sampled_from([0.0, 0.003]),
    ),
)


V1_MEMORY = {"caches_inside": True, "decides_ahead": True}
SWAP = {"preemption": "swap", "host_blocks": 900}


@dataclass(frozen=True)
class Case:
    """A world in which all requests go to the engine."""

    server: EngineModel
    link: LinkModel
    table: RequestTable
    tries: int
    has_edge: bool


@st.composite
def cases(draw, schedulers=COMPILED_SCHEDULERS, **inside) -> Case:
    """Draw a world; loads of 10 to 150 % and more, memory short enough to preempt, arrivals and ends at one moment."""
    n = draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    gap_s = draw(st.sampled_from([0.01, 0.1, 1.0]))
    gaps_s = rng.exponential(gap_s, n) if draw(st.booleans()) else rng.integers(0, 3, n) * 0.25
    block_tok = draw(st.sampled_from([1, 4, 16]))
    if "swaps" in inside:
        inside = draw(inside["swaps"])
    prompt_tok, output_tok = rng.integers(1, 90, n), rng.integers(1, draw(st.sampled_from([2, 12, 120])), n)
    largest = int(-(-(prompt_tok + output_tok).max() // block_tok))
    replica = ReplicaModel(
        cost=draw(st.sampled_from([LINES, GRID, BENT, FLAT, PHYSICS])),
        kv_blocks=max(1, int(largest * draw(st.sampled_from([0.8, 1.0, 1.5, 4.0])))),
        block_tok=block_tok,
        watermark=draw(st.sampled_from([0.0, 0.01, 0.1])),
        max_batch=draw(st.sampled_from([1, 2, 5, 64])),
        **inside,
    )
    server = EngineModel(
        replica,
        draw(st.sampled_from([1, 1, 2, 3])),
        draw(st.sampled_from(schedulers)) if isinstance(schedulers, tuple) else draw(schedulers),
        router=draw(st.sampled_from(["round_robin", "least_loaded", "shortest_queue"])),
        max_context_tok=draw(st.sampled_from([None, 150])),
    )
    table = RequestTable(
        arrival_s=np.cumsum(gaps_s),
        prompt_tok=prompt_tok,
        output_tok=output_tok,
        user_id=rng.integers(0, 5, n),
        reader_tok_per_s=rng.choice([2.0, 4.8, 30.0], n),
        ttft_target_s=rng.choice([0.2, 1.0, 5.0], n),
        rejected=rng.random(n) < 0.1,
    )
    return Case(server, draw(st.sampled_from(LINKS)), table, draw(st.sampled_from([0, 0, 2])), draw(st.booleans()))


def world_of(case: Case, recorder: SeriesRecorder | None = None) -> World:
    more = {"edge": edge_box(), "quality": ASSUMED} if case.has_edge else {}
    parts = WorldModel(((profile(), 1.0),), case.server, case.link, DEAR_SERVER, **more)
    return World(parts, case.table, Luck(RandomStreams(1), len(case.table)), recorder)


def check(case: Case, *, is_compiled: bool | None = None, rows_each: int = 4) -> None:
    """Compare both ways, the order in which requests come out included."""
    recorder, records = SeriesRecorder.of(case.server, MOST_S), []
    world = world_of(case, recorder)
    world.run(ServerOnly(n_retries=case.tries), records.append)
    alone = engine_only(ServerOnly(n_retries=case.tries), case.table, world_of(case))
    if alone is None:
        assert case.tries
        assert any(record.status == "rejected" for record in records)
        return
    parts = list(alone.timelines(rows_each))
    assert all(len(part) % rows_each == 0 for part in parts[:-1])
    assert_same(Timelines.of(records), Timelines.joined(parts))
    assert repr(world.engine_figures()) == repr(alone.run.figures)
    assert repr(world.edge_figures()) == repr(alone._world.edge_figures())
    theirs, ours = recorder.series(), alone.run.series()
    for name in ("t_s", "running", "waiting", "prompt_tok_per_s", "output_tok_per_s", "kv_share"):
        assert getattr(theirs, name).tobytes() == getattr(ours, name).tobytes(), name
    if is_compiled is not None:
        assert alone.run.is_compiled == is_compiled


def assert_same(one: Timelines, other: Timelines) -> None:
    assert one["request_id"].tolist() == other["request_id"].tolist()
    for name in SCALARS:
        a, b = one[name], other[name]
        assert a.dtype == b.dtype, name
        assert a.tolist() == b.tolist() if a.dtype == object else a.tobytes() == b.tobytes(), name
    for name in ("generated_s", "delivered_s", "paced_s", "sketch_s"):
        a, b = getattr(one, name), getattr(other, name)
        assert a.values.tobytes() == b.values.tobytes(), name
        assert a.offsets.tolist() == b.offsets.tolist(), name
    assert [one.row(i).segments for i in range(len(one))] == [other.row(i).segments for i in range(len(other))]


@pytest.fixture(autouse=True)
def _few_at_a_time(monkeypatch):
    """Let answers be handed over in many small blocks."""
    monkeypatch.setattr(unattended, "BLOCK", 3)
    monkeypatch.setattr(compiled, "BLOCK", 3)
    monkeypatch.setattr(compiled, "BLOCK_TOK", 200)


@pytest.mark.parametrize("n", [30, long(250), exhaustive(1500)])
@pytest.mark.usefixtures("kernel")
def test_the_compiled_engine_gives_the_bits_of_simpy(n):
    given(cases())(examples(n)(lambda case: check(case, is_compiled=True)))()


@pytest.mark.parametrize("n", [15, long(80), exhaustive(500)])
@pytest.mark.usefixtures("no_kernel")
def test_the_engine_alone_gives_the_bits_of_simpy(n):
    given(cases((*COMPILED_SCHEDULERS, AndesCode, Lqsf)))(examples(n)(lambda case: check(case, is_compiled=False)))()


@pytest.mark.parametrize("n", [15, long(150), exhaustive(1500)])
@pytest.mark.usefixtures("kernel")
def test_the_compiled_engine_decides_ahead_with_the_bits_of_simpy(n):
    given(cases(decides_ahead=True))(examples(n)(lambda case: check(case, is_compiled=True)))()


@pytest.mark.parametrize("n", [15, long(80), exhaustive(500)])
@pytest.mark.usefixtures("kernel")
def test_what_the_compiled_engine_cannot_do_the_engine_goes_over_again(n):
    given(cases(**V1_MEMORY))(examples(n)(lambda case: check(case, rows_each=3)))()


@pytest.mark.parametrize("n", [15, long(100), exhaustive(1500)])
@pytest.mark.usefixtures("kernel")
def test_the_compiled_engine_swaps_with_the_bits_of_simpy(n):
    given(cases(swaps=SWAPS))(examples(n)(lambda case: check(case, is_compiled=True)))()


@pytest.mark.parametrize("n", [15, long(100), exhaustive(2000)])
@pytest.mark.parametrize("kind", RIVALS)
@pytest.mark.usefixtures("kernel")
def test_the_schedulers_of_andes_and_of_its_rivals_give_the_bits_of_simpy(n, kind):
    given(cases(RIVALS[kind], swaps=SWAPS))(examples(n)(lambda case: check(case, is_compiled=True)))()


@pytest.mark.parametrize("n", [10, long(60), exhaustive(1500)])
@pytest.mark.parametrize("kind", ["code", "lqsf"])
@pytest.mark.usefixtures("kernel")
def test_schedulers_that_read_all_live_jobs_know_of_no_job_before_they_may(n, kind):
    given(cases(RIVALS[kind], decides_ahead=True))(examples(n)(lambda case: check(case, is_compiled=True)))()


@pytest.mark.long
@pytest.mark.parametrize("kind", RIVALS)
@pytest.mark.usefixtures("no_kernel")
def test_the_engine_alone_asks_the_rivals_with_the_bits_of_simpy(kind):
    given(cases(RIVALS[kind], swaps=SWAPS))(examples(30)(lambda case: check(case, is_compiled=False)))()


def plain_case(**inside) -> Case:
    replica = ReplicaModel(cost=LINES, kv_blocks=100, **inside)
    table = RequestTable(
        arrival_s=np.array([0.5, 0.6]),
        prompt_tok=np.array([20, 30]),
        output_tok=np.array([5, 6]),
        user_id=np.array([0, 1]),
        reader_tok_per_s=np.full(2, 4.8),
        ttft_target_s=np.ones(2),
        rejected=np.zeros(2, dtype=bool),
    )
    return Case(EngineModel(replica, 1, Fcfs), constant_link(0.06), table, 0, has_edge=False)


@dataclass
class Greedy(Fcfs):
    """A scheduler of somebody else."""


@dataclass(frozen=True)
class Dearer(type(LINES)):
    """Iteration times of somebody else."""

    more_s: float = 0.0


@dataclass(frozen=True)
class LinkOfTomorrow(LinkModel):
    """A last hop that can do more."""

    duplicates: float = 0.0


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize(
    "server",
    [
        replace(plain_case().server, scheduler=Greedy),
        replace(plain_case().server, replica=ReplicaModel(cost=Dearer(*vars(LINES).values()), kv_blocks=100)),
        replace(plain_case().server, lockstep=True, n_replicas=2),
        plain_case(prefix_blocks=4).server,
    ],
    ids=["scheduler", "cost", "lockstep", "prefix cache"],
)
def test_parts_that_are_not_known_to_the_compiled_engine_are_served_in_python(server):
    check(replace(plain_case(), server=server), is_compiled=False)


@pytest.mark.parametrize(
    "link",
    [
        constant_link(0.06, tokens_per_packet=2),
        constant_link(0.06, outages=(Outage(start_s=1.0, end_s=2.0),)),
        LinkOfTomorrow(rtt=constant_link(0.06).rtt),
    ],
    ids=["packets", "outage", "new"],
)
def test_links_that_are_not_known_go_through_simpy(link):
    case = replace(plain_case(), link=link)
    assert engine_only(ServerOnly(), case.table, world_of(case)) is None


@pytest.mark.parametrize("policy", [Race(), DeviceOnly()], ids=["race", "device_only"])
def test_policies_that_ask_others_go_through_simpy(policy):
    case = plain_case()
    assert engine_only(ServerOnly(), case.table, world_of(case)) is not None
    assert engine_only(policy, case.table, world_of(case)) is None


@pytest.mark.parametrize("kind", ["andes_v1", "andes_v2", "andes_code", "lqsf", "round_robin"])
@pytest.mark.usefixtures("kernel")
def test_an_overload_in_which_many_change_places_has_the_bits_of_simpy(kind):
    """Small worlds hardly ever weigh what a change of places costs; this one does, hundreds of times."""
    folder = Path(__file__).parents[2] / "experiments" / "andes"
    changes = [f"server.scheduler.kind={kind}", "workload.arrivals.rate_per_s=11", "workload.n_requests=500"]
    changes.append("server.preemption.gbyte_per_s=3")  # so dear that a refiner refuses some
    parts = build(load_scenario(folder / "opt66b.yaml", overrides=changes))
    table = parts.requests(0)
    records = []
    World(parts.model, table, Luck(RandomStreams(1), len(table))).run(ServerOnly(), records.append)
    alone = engine_only(ServerOnly(), table, World(parts.model, table, Luck(RandomStreams(1), len(table))))
    assert_same(Timelines.of(records), Timelines.joined(list(alone.timelines())))
    assert alone.run.is_compiled
    assert kind == "andes_code" or sum(record.n_preemptions for record in records) > 10  # its rule allows it hardly any
