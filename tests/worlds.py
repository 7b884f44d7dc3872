"""Small worlds for tests: requests, parts, the past a policy learns from, and one call that runs a policy."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pytest
import simpy
from hypothesis import HealthCheck, settings
from numpy.typing import ArrayLike, NDArray

from discosim.core.chunk_law import ChunkLaw
from discosim.core.empirical import CorrelatedSeries, QuantileTable
from discosim.core.joint_quality import JointTable
from discosim.core.request import RequestRecord, RequestTable
from discosim.core.rng import RandomStreams
from discosim.policies import Policy
from discosim.policies.view import ASSUMED, View
from discosim.runs.build import HISTORY_REPLICATION
from discosim.runs.collect import Collector
from discosim.world.api_server import ApiServer, ApiServerModel
from discosim.world.device_profile import DeviceProfile
from discosim.world.edge.tier import EdgeModel
from discosim.world.gate import Gate, GatedServerModel
from discosim.world.joint import JointModel
from discosim.world.law import mean_of
from discosim.world.link import Link, LinkModel
from discosim.world.luck import Luck
from discosim.world.meter import Meter
from discosim.world.world import World, WorldModel

Floats = NDArray[np.float64]


def long(value: Any) -> Any:
    """Return a value of a parameter that the long tests alone try."""
    return pytest.param(value, marks=pytest.mark.long)


def exhaustive(value: Any) -> Any:
    """Return a value of a parameter that not even the long tests try: more cases of the same kind."""
    return pytest.param(value, marks=pytest.mark.exhaustive)


def one_in(
    n: int, cases: Sequence[tuple[str, str]], others: pytest.MarkDecorator = pytest.mark.exhaustive
) -> list[Any]:
    """Return pairs as parameters of a test; all but one in n bear the mark of the others. Neighbours take turns."""
    marks = [[others] if i % n else [] for i in range(len(cases))]
    return [pytest.param(*case, id=": ".join(case), marks=mark) for case, mark in zip(cases, marks, strict=True)]


def examples(n: int) -> settings:
    """Return Hypothesis settings: n examples, the same ones in every run, however slow the machine."""
    return settings(max_examples=n, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


NO_LINK = LinkModel()
JOINT = JointModel.of(JointTable(both=60, only_strong=20, only_weak=5, neither=15))
SKEWED_S = QuantileTable((0.0, 0.5, 0.9, 1.0), (0.2, 0.6, 1.5, 6.0))
DEAR_SERVER = Meter(prompt_usd_per_tok=1e-6, output_usd_per_tok=4e-6, exchange_rate_usd_per_j=1e-7)
DEAR_DEVICE = Meter(prompt_usd_per_tok=1e-8, output_usd_per_tok=4e-8, exchange_rate_usd_per_j=1e-5)


def law(table: QuantileTable = SKEWED_S, rho: float = 0.0) -> CorrelatedSeries:
    """Return a law of a server or a link."""
    return CorrelatedSeries(table, rho)


def constant(value_s: float) -> CorrelatedSeries:
    """Return the law of a constant."""
    return CorrelatedSeries(QuantileTable.constant(value_s))


def constant_link(rtt_s: float, **changes: Any) -> LinkModel:
    """Return a last hop with a fixed round trip."""
    return LinkModel(rtt=constant(rtt_s), **changes)


def profile(**changes: Any) -> DeviceProfile:
    """Return a phone-like device: 100 prompt tokens prefill in 1 s."""
    plain = DeviceProfile(
        "phone", prefill_s_per_tok=0.01, decode_tok_per_s=15.0, prefill_j_per_tok=0.2, decode_j_per_tok=0.4
    )
    return replace(plain, **changes)


def server(**changes: Any) -> ApiServerModel:
    """Return a service with a skewed TTFT and a varying TPOT."""
    plain = ApiServerModel(ttft=law(), tpot=law(QuantileTable((0.0, 1.0), (0.01, 0.05))))
    return replace(plain, **changes)


def gated(service: ApiServerModel, **limits: Any) -> GatedServerModel:
    """Return a service behind a gate; see `Gate` for its limits."""
    plain = {held.name: getattr(service, held.name) for held in fields(ApiServerModel)}
    return GatedServerModel(**plain, gate=Gate(**limits))


def bursts() -> ChunkLaw:
    """Return how tokens of a service come together that sends two or so at a time and stalls now and then."""
    return ChunkLaw(
        size=CorrelatedSeries(QuantileTable((0.0, 0.3, 0.9, 1.0), (1.0, 2.0, 3.0, 12.0)), 0.2),
        gap=CorrelatedSeries(QuantileTable((0.0, 0.5, 0.98, 1.0), (0.1, 1.8, 4.0, 60.0)), -0.3),
        size_then_gap=0.3,
        gap_then_size=0.4,
        first=QuantileTable((0.0, 1.0), (1.0, 2.0)),
    )


def edge_box(**changes: Any) -> EdgeModel:
    """Return a pool of one box with four slots, twice as quick as the phone when alone."""
    plain = EdgeModel(
        decode_s=1 / 30.0,
        batch_slowdown=0.1,
        prefill_s_per_tok=0.002,
        memory_tok=4096,
        prefill_j_per_tok=0.1,
        decode_j_per_tok=0.3,
        prompt_usd_per_tok=1e-7,
        output_usd_per_tok=2e-7,
    )
    return replace(plain, **changes)


def model(
    *,
    fleet: Sequence[tuple[DeviceProfile, float]] | None = None,
    device: DeviceProfile | None = None,
    service: ApiServerModel | None = None,
    link: LinkModel = NO_LINK,
    meter: Meter = DEAR_SERVER,
    edge: EdgeModel | None = None,
    **more: Any,
) -> WorldModel:
    """Return a world model; the service bills what the meter says. Without ``edge`` there is a box as above."""
    service = service or server()
    service = replace(service, prompt_usd_per_tok=meter.prompt_usd_per_tok, output_usd_per_tok=meter.output_usd_per_tok)
    more.setdefault("joint", JOINT)
    return WorldModel(
        tuple(fleet or ((device or profile(), 1.0),)), service, link, meter, edge=edge or edge_box(), **more
    )


def requests(
    n: int,
    *,
    seed: int = 1,
    gap_s: float = 10.0,
    n_users: int | None = None,
    prompt_tok: ArrayLike | None = None,
    output_tok: ArrayLike | None = None,
    reader_tok_per_s: float = 4.8,
    rejected: ArrayLike | None = None,
) -> RequestTable:
    """Return n requests with Poisson arrivals; every request has its own user unless ``n_users`` is given."""
    rng = np.random.default_rng(seed)
    arrival_s = np.cumsum(rng.exponential(gap_s, n))
    prompts = rng.integers(1, 400, n) if prompt_tok is None else np.broadcast_to(np.asarray(prompt_tok), (n,))
    outputs = rng.integers(1, 200, n) if output_tok is None else np.broadcast_to(np.asarray(output_tok), (n,))
    return RequestTable(
        arrival_s=arrival_s,
        prompt_tok=np.array(prompts, dtype=np.int64),
        output_tok=np.array(outputs, dtype=np.int64),
        user_id=np.arange(n) if n_users is None else rng.integers(0, n_users, n),
        reader_tok_per_s=np.full(n, reader_tok_per_s),
        ttft_target_s=np.ones(n),
        rejected=np.zeros(n, dtype=bool) if rejected is None else np.asarray(rejected, dtype=bool),
    )


def past(
    parts: WorldModel,
    *,
    prompt_tok: ArrayLike | None = None,
    output_tok: ArrayLike | None = None,
    ttft_s: ArrayLike | None = None,
    ttft_prompt_tok: ArrayLike | None = None,
    n: int = 997,
    seed: int = 1,
) -> View:
    """Return what a policy may know: lengths as :func:`requests` draws them, and TTFTs past clients have seen.

    TTFTs belong to the same prompts unless ``ttft_prompt_tok`` says to which.
    """
    rng = np.random.default_rng(10_000 + seed)
    prompts = np.array(rng.integers(1, 400, n) if prompt_tok is None else prompt_tok, dtype=np.int64)
    outputs = np.array(rng.integers(1, 200, n) if output_tok is None else output_tok, dtype=np.int64)
    if ttft_s is None:
        streams = RandomStreams(seed, HISTORY_REPLICATION)
        size = prompts.size
        service = ApiServer(
            simpy.Environment(), replace(parts.server, outages=()), Link(parts.link, 1, streams), Luck(streams, size)
        )
        sent_s, nobody = rng.random(size) * 1e3, np.zeros(size, dtype=np.int64)
        ttft_s = service.true_ttft_s(sent_s, nobody, prompts, np.resize(outputs, size))
    return View(
        prompt_tok=prompts,
        output_tok=outputs,
        server_ttft_s=np.asarray(ttft_s, dtype=float),
        server_prompt_tok=None if ttft_prompt_tok is None else np.asarray(ttft_prompt_tok, dtype=np.int64),
        server_tpot_s=mean_of(parts.server.tpot),
        link_delay_s=0.0 if parts.link.rtt is None else parts.link.rtt.table.mean() / 2,
        fleet=parts.fleet,
        meter=parts.meter,
        uplink_bit_per_s=parts.link.uplink_bit_per_s,
        edge=parts.edge,
        answers=parts.answers,
        quality=parts.quality or ASSUMED,
        joint=parts.joint,
    )


@dataclass(frozen=True)
class Played:
    """One policy's run: records and columns in request order, and the world after it."""

    records: list[RequestRecord]
    columns: dict[str, NDArray[Any]]
    world: World
    policy: Policy

    @property
    def ttft_s(self) -> Floats:
        """TTFT of every request, NaN where nothing was shown."""
        return self.columns["ttft_s"]

    def budget_used(self, side: str) -> float:
        """Share of all prompt tokens that ``side`` was asked for before the first token."""
        weight = self.columns["prompt_tok"].astype(float)
        used = np.array([getattr(record, f"is_{side}_dispatched") for record in self.records])
        return float(weight[used].sum() / weight.sum())


def play(policy: Policy, parts: WorldModel, table: RequestTable, *, seed: int = 1, view: View | None = None) -> Played:
    """Run one policy with every check of a real run on."""
    world = World(parts, table, Luck(RandomStreams(seed), len(table)))
    view = view or past(parts, seed=seed)
    fresh = copy.deepcopy(policy)
    fresh.prepare(replace(view, draws=world.draws) if "oracle" in policy.needs else view)
    collector = Collector(policy.kind or "test", parts.meter, True, range(0), parts.meters)
    records: list[RequestRecord] = []

    def sink(record: RequestRecord) -> None:
        records.append(record)
        collector(record)

    world.run(fresh, sink)
    columns = collector.columns(len(table))
    return Played(sorted(records, key=lambda record: record.request_id), columns, world, fresh)


def assert_same_records(
    one: Sequence[RequestRecord], other: Sequence[RequestRecord], *, but: Sequence[str] = ()
) -> None:
    """Assert that two runs left the same records, bit by bit."""
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        for name in RequestRecord.__slots__:
            if name not in but:
                x, y = getattr(a, name), getattr(b, name)
                same = np.array_equal(x, y) if isinstance(x, np.ndarray) else x == y or (x != x and y != y)
                assert same, f"request {a.request_id}: {name} is {x} and {y}"
