"""What is worked out in arrays is what SimPy makes of it, to the bit: each column, each number, each token (INV-22)."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_every_policy import links, policies, residuals, services
from worlds import (
    DEAR_DEVICE,
    DEAR_SERVER,
    JOINT,
    NO_LINK,
    bursts,
    constant,
    constant_link,
    edge_box,
    examples,
    exhaustive,
    gated,
    law,
    long,
    model,
    past,
    profile,
    requests,
    server,
)

from discosim.config import load_scenario
from discosim.core.device_law import Heat, Residual
from discosim.core.empirical import QuantileTable
from discosim.core.request import Loop, RequestRecord, RequestTable
from discosim.core.rng import RandomStreams
from discosim.core.scenario import Battery, Capacity, ColdStart, Outage, Throttle, Waiting
from discosim.core.timelines import Timelines
from discosim.core.undecided import UndecidedError
from discosim.policies import Policy, known_policies
from discosim.policies.server_only import ServerOnly
from discosim.policies.view import View
from discosim.runs import replay_kernel
from discosim.runs.kernels import Part, in_order
from discosim.runs.replicate import Entrant, Outcome, _replicate, replicate
from discosim.runs.store import execute_to_folder
from discosim.world.api_server import ApiServerModel
from discosim.world.batch.covered import REPEATED, is_repeated
from discosim.world.batch.meeting import Stays, meetings
from discosim.world.hours import HourLaw
from discosim.world.link import LinkModel
from discosim.world.luck import Luck
from discosim.world.meter import Meter
from discosim.world.quality import QualityModel
from discosim.world.world import Service, World, WorldModel

PLANNED = sorted(kind for kind, policy in known_policies().items() if "plan" in vars(policy))


def run(policy: Policy, parts: WorldModel, table: RequestTable, view: View, seed: int, kernel: str) -> Outcome:
    """Run one replication as a scenario would."""
    scenario = SimpleNamespace(kernel=kernel, reader=SimpleNamespace(pacer=True), server=None, services={})
    blueprint: Any = SimpleNamespace(scenario=scenario, model=parts, view=view)
    return replicate(Entrant("it", policy), blueprint, table, Luck(RandomStreams(seed), len(table)), range(3, 20))


def assert_same(one: Outcome, other: Outcome) -> None:
    """Assert that two outcomes are the same in every bit."""
    for held, wanted in ((one.columns, other.columns), (one.tokens, other.tokens), (one.endpoints, other.endpoints)):
        assert list(held) == list(wanted)
        for name, column in wanted.items():
            assert held[name].dtype == column.dtype, name
            same = held[name] == column if column.dtype == object else bits(held[name]) == bits(column)
            assert same.all(), f"{name} of requests {np.flatnonzero(~same)[:5]}"
    numbers = [np.array(list(outcome.summary.values())) for outcome in (one, other)]
    assert list(one.summary) == list(other.summary)
    assert (bits(numbers[0]) == bits(numbers[1])).all(), "a number of the summary"
    assert dict(one.tally) == dict(other.tally)


def bits(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return values.view(np.int64) if values.dtype == np.float64 else values


devices = st.builds(
    profile,
    name=st.sampled_from(["one", "two"]),
    residual=st.none() | residuals.map(lambda law: replace(law, first=1.0)),
    prefill_s_per_tok=st.sampled_from([0.0, 0.0001, 0.02]),
    prefill_intercept_s=st.sampled_from([0.0, 0.5]),
    chunk_tok=st.sampled_from([None, 64]),
    decode_tok_per_s=st.floats(2.0, 60.0),
    max_context_tok=st.sampled_from([None, None, 100, 350]),
)
worlds = st.builds(
    lambda fleet, service, link, meter: replace(
        model(
            fleet=fleet, service=replace(service, outages=(), hours=None), link=replace(link, outages=()), meter=meter
        ),
        edge=None,
        joint=None,
    ),
    st.lists(st.tuples(devices, st.floats(0.1, 5)), min_size=1, max_size=2, unique_by=lambda pair: pair[0].name),
    services,
    links,
    st.sampled_from([DEAR_SERVER, DEAR_DEVICE]),
)


def check_equality(kind: str, n_examples: int, n_requests: int, users: list[int]) -> None:
    n_taken = 0

    @examples(n_examples)
    @given(st.data(), worlds, st.sampled_from([0.05, 2.0, 30.0]), st.sampled_from(users), st.integers(0, 2**20))
    def check(data: st.DataObject, parts: WorldModel, gap_s: float, n_users: int, seed: int) -> None:
        nonlocal n_taken
        policy = data.draw(policies(kind))
        view = past(parts, n=101, seed=seed)
        rate = data.draw(st.sampled_from([2.0, 4.8, 30.0]))
        table = requests(n_requests, seed=seed, gap_s=gap_s, n_users=n_users, reader_tok_per_s=rate)
        if data.draw(st.booleans()):  # as traces in whole seconds
            table = replace(table, arrival_s=np.floor(table.arrival_s))
        table = replace(table, rejected=np.arange(n_requests) % 17 == 3)
        with mock.patch.object(replay_kernel, "LEAST_SHARE", 0.0), mock.patch.object(replay_kernel, "AT_ONCE", 7):
            found = run(policy, parts, table, view, seed, "auto")
        n_taken += found.kernels.get("replay", 0)
        assert sum(found.kernels.values()) == n_requests
        assert_same(found, run(policy, parts, table, view, seed, "simpy"))

    check()
    assert n_taken > 0.05 * n_examples * n_requests, "hardly anything was worked out in arrays"


@pytest.mark.parametrize("kind", PLANNED)
def test_arrays_and_simpy_agree_to_the_bit(kind: str) -> None:
    check_equality(kind, 4, 40, [20, 300, 200_000])


@pytest.mark.long
@pytest.mark.parametrize("kind", PLANNED)
def test_arrays_and_simpy_agree_to_the_bit_in_many_worlds(kind: str) -> None:
    check_equality(kind, 15, 200, [20, 300, 3000, 200_000])


# --- worlds in which much is going on ---------------------------------------------------------------------------

NOISY = Residual(
    prefill=law(QuantileTable((0.0, 1.0), (0.5, 3.0)), 0.5), decode=law(QuantileTable((0.0, 1.0), (0.8, 2.0)))
)
LOSERS = ("finish_prefill", "run_on")
LATE_S = 1e5
"""Far from time 0, where clocks round."""


def busy_world(meter: Meter, **changes: Any) -> WorldModel:
    """Return a world of noise, jitter, lost packets and refusals in which the cheaper endpoint goes on."""
    wandering = law(QuantileTable((0.0, 0.5, 0.9, 1.0), (0.0, 0.0, 0.06, 0.9)), 0.5)
    parts = {
        "device": profile(residual=NOISY, max_context_tok=500),
        "service": server(jitter_p99_over_p50=3.0, failure_share=0.05),
        "link": LinkModel(rtt=wandering, tick_s=0.1, loss_share=0.1, uplink_bit_per_s=1e5),
    }
    return replace(model(meter=meter, **(parts | changes)), edge=None, joint=None)


AT_ONCE = {"service": server(tpot=constant(1e-12)), "link": NO_LINK}
BUSY = {
    "to the device": (busy_world(DEAR_SERVER), "device"),
    "to the server": (busy_world(DEAR_DEVICE), "server"),
    "packets": (busy_world(DEAR_SERVER, link=constant_link(0.1, tokens_per_packet=4)), "device"),
    "chunks": (busy_world(DEAR_SERVER, service=server(chunks=bursts())), "device"),
    # levels and needs are equal but for rounding: two tokens of reading time
    "just enough": (
        busy_world(DEAR_SERVER, device=profile(prefill_s_per_tok=0.0, prefill_intercept_s=0.5), **AT_ONCE),
        "device",
    ),
    # what goes on comes with its cause, and may be rounded to before it
    "no work": (busy_world(DEAR_SERVER, device=profile(prefill_s_per_tok=0.0), link=constant_link(0.1)), "device"),
}


CASES = [
    *((case, "device", "cancel") for case in BUSY if case != "to the server"),
    *((case, "server", "cancel") for case in ("to the device", "to the server", "chunks")),
    *(("to the device", constraint, losers) for constraint in ("server", "device") for losers in LOSERS),
]


@pytest.mark.parametrize(("case", "constraint", "losers"), CASES)
def test_hand_overs_agree_to_the_bit(case: str, constraint: str, losers: str) -> None:
    parts, target = BUSY[case]
    table = requests(90, n_users=100_000, reader_tok_per_s=4.0)
    strides_s = 1.1 * 2.3 ** np.arange(-9.0, 9.0)  # each is farther from the one before than that is from 0
    early_s = np.sort(np.concatenate((strides_s, np.linspace(0.001, 0.3, 40))))  # so is what happens to these
    table = replace(table, arrival_s=np.concatenate((early_s, LATE_S + table.arrival_s[early_s.size :])))
    policy = known_policies()["disco"](constraint=constraint, budget=0.6, losers=losers)
    view = past(parts, n=501)
    found = run(policy, parts, table, view, 1, "auto")
    assert found.kernels["replay"] > 60
    if losers == "cancel":  # else the device is still busy with what it lost
        assert (found.columns["n_migrations"] > 0).sum() > 10
        assert found.columns[f"n_tok_{target}"].sum() > 0
    assert_same(found, run(policy, parts, table, view, 1, "simpy"))


# --- who does what --------------------------------------------------------------------------------------------

PLAIN = replace(model(), edge=None, joint=None)
TABLE = requests(30)


def kernels_of(policy: Policy, parts: WorldModel, table: RequestTable = TABLE, kernel: str = "auto") -> dict[str, int]:
    return dict(run(policy, parts, table, past(PLAIN), 1, kernel).kernels)


@dataclass(frozen=True)
class Slower(ApiServerModel):
    """A service of another package."""


NOT_COVERED: dict[str, WorldModel] = {
    "edge": replace(PLAIN, edge=edge_box()),
    "joint": replace(PLAIN, joint=JOINT),
    "quality": replace(PLAIN, quality=QualityModel()),
    "services": replace(PLAIN, services={"other": Service(server(), DEAR_SERVER, LinkModel())}),
    "outage": replace(PLAIN, server=server(outages=(Outage(start_s=5.0, end_s=6.0),))),
    "hours": replace(PLAIN, server=server(hours=HourLaw(0.0, (0.5,) * 24, (1.0,) * 24))),
    "gate": replace(PLAIN, server=gated(server(), capacity=Capacity(concurrent=3))),
    "link outage": replace(PLAIN, link=LinkModel(outages=(Outage(start_s=5.0, end_s=6.0),))),
    "another service": replace(PLAIN, server=Slower(PLAIN.server.ttft, PLAIN.server.tpot)),
    "two kinds": replace(PLAIN, fleet=((profile(), 1.0), (profile(cold_start=ColdStart(load_s=1.0)), 1.0))),
    **{
        name: replace(PLAIN, fleet=((profile(**{name: part}), 1.0),))
        for name, part in {
            "throttle": Throttle(onset_s=1.0, sustained=0.5),
            "cold_start": ColdStart(load_s=1.0),
            "battery": Battery(capacity_wh=1.0),
            "waiting": Waiting(screen_w=1.0, wait_w=1.0),
            "heat": Heat(heating_s=1.0, cooling_s=1.0, onset=0.5, floor=0.5),
            "residual": Residual(prefill=PLAIN.server.ttft, first=2.0),
        }.items()
    },
}


@pytest.mark.parametrize("part", NOT_COVERED)
def test_parts_that_are_not_repeated_go_through_simpy(part: str) -> None:
    assert kernels_of(ServerOnly(), NOT_COVERED[part]) == {"simpy": 30}


def test_what_is_repeated_is_worked_out_in_arrays_unless_simpy_is_asked_for() -> None:
    assert kernels_of(ServerOnly(), PLAIN) == {"simpy": 0, "replay": 30}
    assert kernels_of(ServerOnly(), PLAIN, kernel="simpy") == {"simpy": 30}


def test_closed_loops_go_through_simpy() -> None:
    table = replace(TABLE, arrival_s=np.full(30, np.nan), user_id=np.arange(30) % 4, loop=Loop(4, np.ones(30)))
    assert kernels_of(ServerOnly(), PLAIN, table) == {"simpy": 30}


def test_a_new_field_of_a_part_goes_through_simpy_once_it_says_something() -> None:
    """As if the share of lost packets were new, and nobody had taught the arrays."""
    with mock.patch.dict(REPEATED, {LinkModel: REPEATED[LinkModel] - {"loss_share"}}):
        assert is_repeated(LinkModel())
        assert not is_repeated(LinkModel(loss_share=0.1))
        assert kernels_of(ServerOnly(), replace(PLAIN, link=LinkModel(loss_share=0.1))) == {"simpy": 30}


class Hasty(ServerOnly):
    """Serves otherwise than its parent, whose plan it would inherit."""


def test_a_plan_counts_only_in_the_class_that_states_it() -> None:
    assert kernels_of(Hasty(), PLAIN) == {"simpy": 30}


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


# --- files ----------------------------------------------------------------------------------------------------


def check_files(name: str, folder: Path, *overrides: str) -> dict[str, dict[str, int]]:
    """Run a scenario both ways, compare the files of results, and return who did what."""
    shares = {}
    for kernel in ("auto", "simpy"):
        execute_to_folder(load_scenario(name, overrides=[f"kernel={kernel}", *overrides]), folder / kernel)
        shares[kernel] = json.loads((folder / kernel / "run.json").read_text())["kernels"]
    for file in ("requests.parquet", "replications.parquet", "summary.json", "example_tokens.parquet"):
        assert (folder / "auto" / file).read_bytes() == (folder / "simpy" / file).read_bytes(), file
    assert all(set(done) == {"simpy"} for done in shares["simpy"].values())
    auto: dict[str, dict[str, int]] = shares["auto"]
    return auto


def test_quickstart_leaves_the_same_files(tmp_path: Path) -> None:
    shares = check_files(
        "quickstart", tmp_path, "workload.n_requests=120", "replications=1", "cost.energy_range=reprice"
    )
    assert all(done["replay"] > 100 and sum(done.values()) == 120 for done in shares.values())


SHIPPED = [
    *map(long, ("quickstart", "bounds", "engine", "pd-device-exact")),
    *map(exhaustive, ("pd-device", "pice", "all-systems")),
]


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_scenarios_leave_the_same_files(name: str, tmp_path: Path) -> None:
    shares = check_files(name, tmp_path, "replications=1")
    if name in {"quickstart", "bounds"}:
        assert all(done["replay"] > 0.9 * sum(done.values()) for done in shares.values())
