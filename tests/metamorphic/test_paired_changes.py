"""Change one thing, keep the luck: what the change must do to every single request."""

from __future__ import annotations

import itertools
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import (
    DEAR_DEVICE,
    DEAR_SERVER,
    SKEWED_S,
    Played,
    assert_same_records,
    examples,
    law,
    model,
    past,
    play,
    profile,
    requests,
    server,
)

from discosim.core.device_law import Heat, Residual, Stalls
from discosim.core.empirical import CorrelatedSeries, QuantileTable
from discosim.core.request import RequestTable
from discosim.core.scenario import ColdStart, Outage, Throttle
from discosim.policies import Policy, known_policies
from discosim.policies.device_only import DeviceOnly
from discosim.policies.disco import Disco
from discosim.policies.optimal_wait import OptimalWait
from discosim.policies.oracle import Oracle
from discosim.policies.race import Race
from discosim.policies.server_only import ServerOnly
from discosim.policies.stochastic import Stochastic
from discosim.world.link import LinkModel
from discosim.world.meter import Meter
from discosim.world.world import WorldModel

WANDERING = LinkModel(rtt=law(QuantileTable((0.0, 0.9, 1.0), (0.02, 0.06, 0.4)), 0.5), tick_s=0.5)
ONE_BY_ONE: list[Policy] = [
    Race(),
    Stochastic(variant="racing", constraint="device"),
    Stochastic(variant="exclusive", constraint="server"),
    *(
        Disco(constraint=c, budget=b, migration=m)
        for c in ("server", "device")
        for b in (0.03, 0.5)
        for m in (False, True)
    ),
]
factors = st.floats(0.2, 0.98)


def is_no_later(faster: Played, slower: Played) -> None:
    assert (faster.ttft_s <= slower.ttft_s + 1e-9).all()


@examples(6)
@given(factors, factors, st.integers(0, 1000))
@pytest.mark.parametrize("policy", [DeviceOnly(), *ONE_BY_ONE], ids=repr)
def test_a_faster_device_never_raises_any_ttft(policy: Policy, prefill: float, decode: float, seed: int) -> None:
    slow = profile(prefill_intercept_s=0.1)
    fast = replace(
        slow,
        prefill_s_per_tok=slow.prefill_s_per_tok * prefill,
        prefill_intercept_s=slow.prefill_intercept_s * prefill,
        decode_tok_per_s=slow.decode_tok_per_s / decode,
    )
    table = requests(50, seed=seed)
    runs = [play(policy, model(device=d, link=WANDERING), table, seed=seed) for d in (fast, slow)]
    is_no_later(*runs)


@examples(6)
@given(factors, st.integers(0, 1000))
@pytest.mark.parametrize("policy", [ServerOnly(), *ONE_BY_ONE], ids=repr)
def test_a_faster_server_never_raises_any_ttft(policy: Policy, factor: float, seed: int) -> None:
    table = requests(50, seed=seed)
    services = [server(ttft=law(SKEWED_S.scaled(f), 0.4)) for f in (factor, 1.0)]
    is_no_later(*(play(policy, model(service=s), table, seed=seed) for s in services))


def test_a_faster_device_shortens_every_queue() -> None:
    table = requests(300, n_users=3, gap_s=3.0)
    slow = profile()
    fast = replace(slow, decode_tok_per_s=20.0, prefill_s_per_tok=0.008)
    runs = [play(DeviceOnly(), model(device=d), table) for d in (fast, slow)]
    is_no_later(*runs)
    assert (runs[1].ttft_s - runs[0].ttft_s).mean() > 1


def test_loading_the_model_makes_nobody_earlier() -> None:
    table = requests(300, n_users=3, gap_s=30.0)
    always = profile()
    loaded = replace(always, cold_start=ColdStart(load_s=2.0, keep_s=20.0))
    runs = [play(DeviceOnly(), model(device=d), table) for d in (always, loaded)]
    is_no_later(*runs)
    late = runs[1].ttft_s - runs[0].ttft_s > 1e-9
    assert late.any()
    assert not late.all()


# --- scaling -------------------------------------------------------------------------------------------------------

NOISY = Residual(
    prefill=law(QuantileTable((0.0, 1.0), (0.5, 3.0)), 0.5),
    decode=law(QuantileTable((0.0, 1.0), (0.8, 1.3))),
    stalls=Stalls(share=0.2, duration=QuantileTable((0.0, 1.0), (0.5, 8.0))),
    first=2.0,
)
RICH_WORLD = model(
    fleet=[
        (profile(), 2.0),
        (profile(name="npu", chunk_tok=128, max_context_tok=350, prefill_s_per_tok=0.002), 1.0),
        (profile(name="hot", throttle=Throttle(onset_s=4.0, sustained=0.5, cooling=0.7)), 1.0),
        (profile(name="heated", heat=Heat(heating_s=5.0, cooling_s=20.0, onset=0.1, floor=0.4), residual=NOISY), 1.0),
        (profile(name="cold", cold_start=ColdStart(load_s=3.0, keep_s=40.0)), 1.0),
    ],
    service=server(
        ttft=law(SKEWED_S, 0.5),
        ttft_s_per_prompt_tok=0.001,
        ttft_reference_prompt_tok=50,
        jitter_p99_over_p50=1.8,
        failure_share=0.1,
        outages=(Outage(start_s=100.0, end_s=200.0),),
    ),
    link=replace(WANDERING, loss_share=0.05, tokens_per_packet=3, uplink_bit_per_s=1e6),
)


def stretched(table: QuantileTable | CorrelatedSeries, k: float) -> Any:
    return CorrelatedSeries(table.table.scaled(k), table.latent_rho) if isinstance(table, CorrelatedSeries) else table


def slower_world(parts: WorldModel, k: float) -> WorldModel:
    """Return the same world on a clock that runs k times slower."""

    def slower_stalls(stalls: Stalls | None) -> Stalls | None:
        return stalls and replace(stalls, duration=stalls.duration.scaled(k))

    def slower_device(d: Any) -> Any:
        hot = d.throttle and replace(d.throttle, onset_s=d.throttle.onset_s * k)
        cold = d.cold_start and replace(d.cold_start, load_s=d.cold_start.load_s * k, keep_s=d.cold_start.keep_s * k)
        return replace(
            d,
            prefill_s_per_tok=d.prefill_s_per_tok * k,
            prefill_intercept_s=d.prefill_intercept_s * k,
            decode_tok_per_s=d.decode_tok_per_s / k,
            throttle=hot,
            cold_start=cold,
            heat=d.heat and replace(d.heat, heating_s=d.heat.heating_s * k, cooling_s=d.heat.cooling_s * k),
            residual=d.residual and replace(d.residual, stalls=slower_stalls(d.residual.stalls)),
        )

    service, link, edge = parts.server, parts.link, parts.edge
    assert edge is not None
    return replace(
        parts,
        edge=replace(
            edge,
            decode_s=edge.decode_s * k,
            prefill_s_per_tok=edge.prefill_s_per_tok * k,
            prefill_intercept_s=edge.prefill_intercept_s * k,
            age_limit_s=edge.age_limit_s * k,
            link=edge.link and replace(edge.link, rtt=edge.link.rtt and stretched(edge.link.rtt, k)),
        ),
        fleet=tuple((slower_device(d), share) for d, share in parts.fleet),
        server=replace(
            service,
            ttft=stretched(service.ttft, k),
            tpot=stretched(service.tpot, k),
            ttft_s_per_prompt_tok=service.ttft_s_per_prompt_tok * k,
            failure_after_s=service.failure_after_s * k,
            outages=tuple(Outage(start_s=o.start_s * k, end_s=o.end_s * k) for o in service.outages),
        ),
        link=replace(
            link,
            rtt=stretched(link.rtt, k),
            tick_s=link.tick_s * k,
            retransmit_s=link.retransmit_s * k,
            uplink_bit_per_s=link.uplink_bit_per_s / k,
        ),
    )


def slower_requests(table: RequestTable, k: float) -> RequestTable:
    return replace(table, arrival_s=table.arrival_s * k, reader_tok_per_s=table.reader_tok_per_s / k)


def slower_policy(policy: Policy, k: float) -> Policy:
    """Stretch the options that are times, and slow down those that are rates."""
    options = {f.name: getattr(policy, f.name) for f in fields(policy) if f.init}
    rates = {name: value / k for name, value in options.items() if name.endswith("_per_s")}
    times = {name: value * k for name, value in options.items() if name.endswith("_s") and name not in rates and value}
    return replace(policy, **rates, **times)


def default_policies() -> list[Policy]:
    """Return every shipped policy with its defaults, and DiSCo's other ways."""
    shipped = [p() for p in known_policies().values() if p.__module__.startswith("discosim.")]
    others = [Disco(constraint=c, losers=x) for c, x in (("server", "run_on"), ("device", "finish_prefill"))]
    return [*shipped, *others, ServerOnly(n_retries=2, retry_after_s=0.0)]


@pytest.mark.parametrize("policy", default_policies(), ids=repr)
def test_a_clock_four_times_slower_gives_the_same_story_four_times_slower(policy: Policy) -> None:
    k = 4.0  # a power of two, so that no rounding differs and equality can be exact
    table = requests(250, n_users=40, gap_s=4.0)
    here, there = RICH_WORLD, slower_world(RICH_WORLD, k)
    view = past(here)
    slow_view = replace(past(there, ttft_s=view.server_ttft_s * k), server_tpot_s=view.server_tpot_s * k)
    one = play(policy, here, table, view=view)
    two = play(slower_policy(policy, k), there, slower_requests(table, k), view=slow_view)
    for a, b in zip(one.records, two.records, strict=True):
        assert np.array_equal(a.delivered_s * k, b.delivered_s)
        assert np.array_equal(a.generated_s * k, b.generated_s)
    assert_same_records(
        one.records,
        two.records,
        but=("arrival_s", "reader_tok_per_s", "delivered_s", "generated_s", "sketch_s", "paced_s", "edge_box_s"),
    )
    always_another = {"race", "disco", "optimal_wait", "edge_only", "edge_router", "fixed_rho", "pice"}
    assert len({record.status for record in one.records}) == 2 or policy.kind in always_another


@pytest.mark.parametrize(
    "meter", [DEAR_SERVER, pytest.param(DEAR_DEVICE, marks=pytest.mark.long)], ids=["dear server", "dear device"]
)
@pytest.mark.parametrize("policy", default_policies(), ids=repr)
def test_double_prices_give_double_bills_and_nothing_else(policy: Policy, meter: Meter) -> None:
    table = requests(250, n_users=40, gap_s=4.0)
    dear = Meter(
        *(2 * price for price in (meter.prompt_usd_per_tok, meter.output_usd_per_tok, meter.exchange_rate_usd_per_j))
    )
    cheap_edge = RICH_WORLD.edge
    assert cheap_edge is not None
    dear_edge = replace(
        cheap_edge,
        prompt_usd_per_tok=2 * cheap_edge.prompt_usd_per_tok,
        output_usd_per_tok=2 * cheap_edge.output_usd_per_tok,
    )
    pairs = ((meter, cheap_edge), (dear, dear_edge))
    one, two = (play(policy, replace(RICH_WORLD, meter=m, edge=edge), table) for m, edge in pairs)
    assert_same_records(one.records, two.records, but=("server_cost_usd", "unified_cost_usd", "edge_cost_usd"))
    for a, b in zip(one.records, two.records, strict=True):
        assert b.server_cost_usd == 2 * a.server_cost_usd
        assert b.unified_cost_usd == 2 * a.unified_cost_usd


@pytest.mark.long
@pytest.mark.parametrize("side", ["server", "device"])
def test_a_larger_budget_never_raises_the_bounds_mean_ttft(side: Any) -> None:
    n = 1500
    table, parts = requests(n, output_tok=1), model(device=profile(prefill_s_per_tok=0.003))
    view = past(parts, n=5000)
    oracle, best = (
        [play(p(constraint=side, budget=b), parts, table, view=view) for b in np.linspace(0, 1, 11)]
        for p in (Oracle, OptimalWait)
    )
    draws = oracle[0].world.draws
    one_saving_s = float(np.abs(draws.server_ttft_s - draws.device_ttft_s).max()) / n  # what greedy may miss
    for less, more in itertools.pairwise(oracle):
        assert more.ttft_s.mean() <= less.ttft_s.mean() + one_saving_s
    for less, more in itertools.pairwise(best):
        change = more.ttft_s - less.ttft_s
        # paired, 3.5 standard errors: a false alarm in 4000 seeds; budgets differ by a tenth, so it also must fall
        assert change.mean() <= 3.5 * change.std() / np.sqrt(n)
    assert best[-1].ttft_s.mean() < best[0].ttft_s.mean()
