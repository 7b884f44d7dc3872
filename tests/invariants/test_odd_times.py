"""Times that are hard to add: no rounding of an event's time may show as an effect before its cause."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from engines import BENT, FLAT, LINES
from worlds import (
    DEAR_DEVICE,
    DEAR_SERVER,
    NO_LINK,
    constant,
    constant_link,
    edge_box,
    exhaustive,
    law,
    model,
    past,
    play,
    profile,
    requests,
    server,
)

from discosim.core.device_law import Heat, Residual, Stalls
from discosim.core.empirical import QuantileTable
from discosim.core.scenario import ColdStart, Outage, Throttle
from discosim.policies import Policy
from discosim.policies.device_only import DeviceOnly
from discosim.policies.disco import Disco
from discosim.policies.edge_only import EdgeOnly
from discosim.policies.edge_router import EdgeRouter
from discosim.policies.fixed_rho import FixedRho
from discosim.policies.kv_shipping import KVShipping
from discosim.policies.optimal_wait import OptimalWait
from discosim.policies.oracle import Oracle
from discosim.policies.pd_device import PDDevice
from discosim.policies.pice import Pice
from discosim.policies.race import Race
from discosim.policies.server_only import ServerOnly
from discosim.policies.skeleton_of_thought import SkeletonOfThought
from discosim.policies.speculative import Speculative
from discosim.policies.stochastic import Stochastic
from discosim.world.answers import AnswerModel
from discosim.world.engine.costs.base import fastest_s
from discosim.world.engine.engine import EngineModel, PrefillPool
from discosim.world.engine.floor import ReplicaModel
from discosim.world.engine.schedulers.fcfs import Fcfs
from discosim.world.engine.schedulers.fcfs_chunked import FcfsChunked
from discosim.world.link import LinkModel
from discosim.world.rounding import raised
from discosim.world.world import WorldModel

Rng = np.random.Generator
N = 12


@dataclass(kw_only=True)
class Wanders(Policy):
    """Hand the answer over as soon as a token has come, again and again, between any two endpoints."""

    kind = ""
    endpoints: tuple[str, ...] = ("device", "server")
    every_tok: int = 1

    def serve(self, session: Any) -> Any:
        stream = session.start(self.endpoints[0])
        if (yield session.first_token_of(stream)) is None:
            session.fail()
            return
        session.keep(stream)
        for endpoint in (*self.endpoints[1:], *self.endpoints):
            token = yield session.buffer_reaches(
                lambda _, n: np.where(np.arange(1, n + 1) < self.every_tok, np.inf, 0.0)
            )
            if token is None:
                break
            target = session.start(endpoint, after_token=token)
            session.hand_over(target)
            if (yield session.first_token_of(target)) is None:
                session.fail()
                return
        yield session.finished()


@dataclass(kw_only=True)
class Steady(Policy):
    """Show the tokens at an even pace, by a law that is exact on paper only."""

    kind = ""
    tok_per_s: float = 6.0

    def serve(self, session: Any) -> Any:
        stream = session.start("device")
        if (yield session.first_token_of(stream)) is None:
            session.fail()
            return
        session.keep(stream)
        session.pace(self.shown_s)
        yield session.finished()

    def shown_s(self, arrival_s: Any, _: int) -> Any:
        steps_s = np.arange(arrival_s.size) / self.tok_per_s
        return np.maximum.accumulate(arrival_s - steps_s) + steps_s


def pick(rng: Rng, *choices: Any) -> Any:
    return choices[int(rng.integers(len(choices)))]


def arrivals(rng: Rng) -> Any:
    """Return arrival times such as traces have them: in ms, in bursts, scaled, after years, over weeks."""
    gaps_s = rng.exponential(pick(rng, 1e-4, 0.1, 3.0, 1e5), N)
    gaps_s[rng.random(N) < pick(rng, 0.0, 0.5)] = 0.0
    at_s = np.cumsum(gaps_s)
    at_s = pick(rng, at_s, np.round(at_s, 3), np.round(at_s * 1000) / 1000.0, at_s * 0.001, at_s / 3.0)
    return at_s + pick(rng, 0.0, 0.0, 0.1, 698.7, 1e6, 1e6 / 3, 1_700_000_000.123)


def table(rng: Rng) -> Any:
    drawn = requests(
        N,
        seed=int(rng.integers(10**6)),
        n_users=pick(rng, None, 1, 3),
        prompt_tok=rng.integers(1, pick(rng, 2, 200), N),
        output_tok=rng.integers(1, pick(rng, 2, 6, 60), N),
        reader_tok_per_s=pick(rng, 4.8, 30.0, 1000.0),
    )
    return replace(drawn, arrival_s=np.sort(arrivals(rng)))


def link(rng: Rng, at_s: float) -> LinkModel:
    outages = pick(
        rng, (), (), (Outage(start_s=at_s + 0.3, end_s=at_s + 0.7), Outage(start_s=at_s + 1 / 3, end_s=at_s + 9.1))
    )
    wandering = law(QuantileTable((0.0, 0.5, 1.0), (0.0, 0.08, 0.9)), 0.3)
    made = pick(rng, NO_LINK, constant_link(0.0), constant_link(0.1), LinkModel(rtt=wandering, tick_s=0.2))
    if made.rtt is None:
        return made
    return replace(
        made,
        outages=outages,
        tokens_per_packet=pick(rng, 1, 1, 2, 5),
        loss_share=pick(rng, 0.0, 0.3),
        uplink_bit_per_s=pick(rng, None, 1e4),
    )


def engine(rng: Rng) -> EngineModel:
    cost = pick(rng, LINES, FLAT, BENT)
    replica = ReplicaModel(
        cost,
        kv_blocks=pick(rng, 40, 400),
        max_batch=pick(rng, 1, 16),
        preemption=pick(rng, "recompute", "swap"),
        host_blocks=100,
        swap_s_per_block=1e-3,
    )
    made = EngineModel(replica, pick(rng, 1, 2), pick(rng, Fcfs, FcfsChunked), fastest_iteration_s=fastest_s(cost, 16))
    if rng.random() < 0.5:
        return made
    pool = PrefillPool(replace(replica, role="prefill"), 1, Fcfs, pick(rng, 1e-6, 1e-2), pick(rng, 0.0, 0.1))
    return replace(made, replica=replace(replica, role="decode"), prefill_pool=pool)


NOISY = Residual(
    prefill=law(QuantileTable((0.0, 1.0), (0.7, 1.5)), 0.4),
    decode=law(QuantileTable((0.0, 1.0), (0.8, 1.3))),
    stalls=Stalls(share=0.3, duration=QuantileTable((0.0, 1.0), (0.1, 3.0))),
    first=2.0,
)


def device(rng: Rng) -> Any:
    return profile(
        prefill_s_per_tok=pick(rng, 0.0, 0.0, 1e-4, 0.01),
        prefill_intercept_s=pick(rng, 0.0, 0.0, 0.1),
        decode_tok_per_s=pick(rng, 3.0, 15.0, 1e4),
        chunk_tok=pick(rng, None, 64),
        throttle=(throttle := pick(rng, None, None, Throttle(onset_s=0.3, sustained=0.5))),
        heat=None if throttle else pick(rng, None, Heat(heating_s=0.3, cooling_s=1.0, floor=0.5)),
        residual=pick(rng, None, NOISY),
        cold_start=pick(rng, None, None, ColdStart(load_s=0.1, keep_s=2.0)),
        max_context_tok=pick(rng, None, None, 100),
    )


def service(rng: Rng) -> Any:
    if rng.random() < 0.4:
        return engine(rng)
    return server(
        ttft=pick(rng, constant(0.0), constant(1e-9), constant(0.3), law()),
        tpot=pick(rng, constant(0.0), constant(0.05), law(QuantileTable((0.0, 1.0), (0.01, 0.3)))),
        jitter_p99_over_p50=pick(rng, 1.0, 3.0),
        failure_share=pick(rng, 0.0, 0.0, 0.4),
        failure_after_s=pick(rng, 0.0, 0.5),
    )


def world(rng: Rng, at_s: float) -> WorldModel:
    box = edge_box(
        slots=pick(rng, 1, 4),
        prefill_s_per_tok=pick(rng, 0.0, 0.002),
        decode_s=pick(rng, 1e-6, 1 / 30),
        sharing=pick(rng, "pooled", "own"),
    )
    return WorldModel(
        ((device(rng), 1.0),),
        service(rng),
        link(rng, at_s),
        pick(rng, DEAR_SERVER, DEAR_DEVICE),
        edge=box,
        answers=AnswerModel(0.9, 5.0, 0.5),
    )


def pd_device(rng: Rng) -> PDDevice:
    settings = pick(rng, "closed_form", "fixed", "closed_loop")
    return PDDevice(
        settings=settings,
        cloud_tok=pick(rng, 1, 5) if settings == "fixed" else None,
        pacer=pick(rng, "constant", "continuity", "feedback", "none"),
        device_start=pick(rng, "arrival", "refined"),
        busy_device=pick(rng, "cloud_alone", "queue"),
        kept_share=pick(rng, 1.0, 0.5),
        look_s=pick(rng, 1.0, 0.05),
    )


LOSERS = ("cancel", "finish_prefill", "run_on")
POLICIES: dict[str, Callable[[Rng], Policy]] = {
    "server_only": lambda _: ServerOnly(),
    "device_only": lambda _: DeviceOnly(),
    "race": lambda rng: Race(losers=pick(rng, *LOSERS)),
    "stochastic": lambda rng: Stochastic(
        variant=pick(rng, "exclusive", "racing"), constraint=pick(rng, "server", "device")
    ),
    "disco": lambda rng: Disco(
        constraint=pick(rng, "server", "device"), budget=pick(rng, 0.0, 0.5, 1.0), losers=pick(rng, *LOSERS)
    ),
    "optimal_wait": lambda rng: OptimalWait(constraint=pick(rng, "server", "device"), n_lengths=20, n_waits=20),
    "oracle": lambda rng: Oracle(constraint=pick(rng, "server", "device")),
    "pd_device": pd_device,
    "kv_shipping": lambda rng: KVShipping(
        downlink_mbit_per_s=pick(rng, 1.0, 1e9), speaks_meanwhile=pick(rng, True, False)
    ),
    "speculative": lambda rng: Speculative(acceptance=pick(rng, 0.0, 0.7, 1.0), n_draft=pick(rng, 1, 4)),
    "edge_only": lambda _: EdgeOnly(),
    "edge_router": lambda _: EdgeRouter(easy_tok=10.0),
    "pice": lambda rng: Pice(min_tok=1.0, width=pick(rng, 1, 2), q_min=0.0, show_sketch=pick(rng, True, False)),
    "fixed_rho": lambda rng: FixedRho(width=pick(rng, 1, 2)),
    "skeleton_of_thought": lambda _: SkeletonOfThought(min_points=2, max_points=4),
    "steady": lambda _: Steady(),
    "wanders": lambda rng: Wanders(
        endpoints=pick(
            rng, ("device", "server"), ("server", "device"), ("edge", "device"), ("server", "edge", "device")
        ),
        every_tok=pick(rng, 1, 2),
    ),
}


def one_world(seed: int, kind: str) -> None:
    """Run one small world with every check of a real run, and hold its columns against its records."""
    rng = np.random.default_rng([seed, *kind.encode()])
    asked = table(rng)
    parts = world(rng, float(asked.arrival_s[0]))
    if kind == "oracle" and isinstance(parts.server, EngineModel):
        parts = replace(parts, server=server(ttft=constant(0.0)))
    known = replace(past(model(), ttft_s=np.full(50, 0.4), n=50), fleet=parts.fleet, meter=parts.meter, edge=parts.edge)
    played = play(POLICIES[kind](rng), parts, asked, seed=seed, view=known)
    for record in played.records:
        if record.delivered_s.size:
            # exactly, not up to rounding: nobody has to know that an event may come an ulp early
            assert record.generated_s.min() >= record.arrival_s
            assert (np.diff(record.delivered_s) >= 0.0).all()
    for name in ("ttft_s", "ttft_generated_s", "ttft_visible_s", "e2e_s", "e2e_displayed_s", "tbt_max_s", "stall_s"):
        values = played.columns[name]
        assert not (values < 0.0).any(), name


def early_pairs(n: int) -> list[tuple[float, float]]:
    """Return pairs a < b for which a clock at a that waits for b - a shows less than b."""
    rng = np.random.default_rng(1)
    pairs = []
    while len(pairs) < n:
        before_s = float(np.round(rng.exponential(100.0), 3))
        at_s = float(np.round(before_s + rng.exponential(1e3), 3))
        if before_s + (at_s - before_s) < at_s:
            pairs.append((before_s, at_s))
    return pairs


def test_a_first_token_without_any_work_comes_with_the_request_and_not_before():
    parts = model(device=profile(prefill_s_per_tok=0.0))
    for before_s, at_s in early_pairs(20):
        asked = replace(requests(2, output_tok=3), arrival_s=np.array([before_s, at_s]))
        for policy in (DeviceOnly(), Wanders(endpoints=("device", "edge"))):
            played = play(policy, parts, asked)
            assert played.columns["ttft_s"].tolist() == [0.0, 0.0]
            assert played.columns["ttft_generated_s"].tolist() == [0.0, 0.0]


def test_a_sketch_without_any_wait_is_seen_with_the_request_and_not_before():
    parts = model(service=server(ttft=constant(0.0), tpot=constant(0.0)), answers=AnswerModel(1.0, 5.0, 0.5))
    for before_s, at_s in early_pairs(20):
        asked = replace(requests(2, output_tok=30), arrival_s=np.array([before_s, at_s]))
        assert play(FixedRho(), parts, asked).columns["ttft_visible_s"].tolist() == [0.0, 0.0]


def test_what_is_no_rounding_is_no_business_of_the_books():
    times_s = np.array([99.0, 101.0])
    assert raised(times_s, 100.0) is times_s  # a second early: the checks of the run have to find that
    assert raised(times_s, 99.0) is times_s
    assert raised(np.array([np.nextafter(100.0, 0), 101.0]), 100.0).tolist() == [100.0, 101.0]
    assert raised(np.empty(0), 100.0).size == 0


@pytest.mark.parametrize("kind", POLICIES)
def test_no_rounding_shows_as_an_effect_before_its_cause(kind):
    for seed in range(12):
        one_world(seed, kind)


@pytest.mark.long
@pytest.mark.parametrize("n", [100, exhaustive(400)])
@pytest.mark.parametrize("kind", POLICIES)
def test_no_rounding_shows_as_an_effect_before_its_cause_in_many_worlds(kind, n):
    for seed in range(1000, 1000 + n):
        one_world(seed, kind)
