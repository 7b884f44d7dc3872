"""Every registered policy in many small random worlds, with all run-time checks on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, get_args, get_origin

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import (
    DEAR_DEVICE,
    DEAR_SERVER,
    NO_LINK,
    SKEWED_S,
    Played,
    bursts,
    constant,
    constant_link,
    edge_box,
    examples,
    gated,
    law,
    model,
    past,
    play,
    profile,
    requests,
    server,
)

from discosim.config.policy_specs import options_of
from discosim.core.device_law import Heat, Residual, Stalls
from discosim.core.empirical import QuantileTable
from discosim.core.scenario import Battery, Capacity, ColdStart, Outage, Quota, RateLimit, Throttle
from discosim.policies import Policy, known_policies
from discosim.world.answers import AnswerModel
from discosim.world.api_server import ApiServerModel
from discosim.world.device_profile import DeviceProfile
from discosim.world.edge.tier import EdgeModel
from discosim.world.hours import HourLaw
from discosim.world.law import RawSeries
from discosim.world.link import LinkModel
from discosim.world.meter import Meter
from discosim.world.quality import QualityModel
from discosim.world.world import WorldModel

KINDS = sorted(known_policies())


BY_NAME: dict[str, list[Any]] = {
    "cloud_tok": [None, 1, 5, 20, 60],
    "slot_limit_s": [None, 0.5, 2.0],
    "reprice_every_s": [None, 5.0, 60.0],
    "cloud_slots": [0.1, 2.0],
    "quantile": [0.0, 0.5, 0.9, 0.99],
    "window": [1, 7, 1000],
    "second": ["device", "server"],
    "bucket_size": [1.0, 2.5, 1e9],
}


def option_values(name: str, key: Any) -> st.SearchStrategy[Any]:
    """Return values an option may take, read off its declaration."""
    if get_origin(key.type) is Literal:
        return st.sampled_from(get_args(key.type))
    if key.type is bool:
        return st.booleans()
    if name == "bucket_size":
        return st.sampled_from(BY_NAME[name])
    if key.type is float and "ge" in key.limits and "le" in key.limits:
        low, high = key.limits["ge"], key.limits["le"]
        return st.sampled_from([low, high]) | st.floats(low, high)
    if key.type is int and name in {"width", "max_parts"}:
        return st.integers(1, 4)
    if key.type is int and name.startswith("n_"):
        low = key.limits.get("ge", 0)
        return st.integers(low, low + 30)
    if key.type is float and "gt" in key.limits and "le" in key.limits:
        return st.just(key.limits["le"]) | st.floats(0.05, key.limits["le"])
    if key.type is int and name.endswith("_tok"):
        return st.integers(key.limits.get("ge", 0), 60)
    if name in BY_NAME:
        return st.sampled_from(BY_NAME[name])
    if key.has_default:
        return st.just(key.default)
    raise AssertionError(f"teach this test what values the option '{name}' takes")


def policies(kind: str) -> st.SearchStrategy[Policy]:
    policy = known_policies()[kind]
    values = st.fixed_dictionaries({name: option_values(name, key) for name, key in options_of(policy).items()})
    return values.map(lambda given: policy(**(with_effect(given) if kind == "pd_device" else given)))


def with_effect(given: dict[str, Any]) -> dict[str, Any]:
    """Leave out what P/D-Device refuses since it would have no effect under its settings."""
    idle = {"cloud_tok"} if given["settings"] != "fixed" else set()
    idle |= {"kept_share"} if given["settings"] == "priced" else {"slot_limit_s", "reprice_every_s", "cloud_slots"}
    if given["reprice_every_s"] is None:
        idle.add("cloud_slots")
    return {name: value for name, value in given.items() if name not in idle}


def may_be(strategy: st.SearchStrategy[Any], otherwise: Any = None) -> st.SearchStrategy[Any]:
    return st.just(otherwise) | strategy


heats: st.SearchStrategy[Heat] = st.builds(
    Heat, heating_s=st.floats(0.2, 20), cooling_s=st.floats(0.2, 20), onset=st.floats(0, 0.9), floor=st.floats(0.05, 1)
)
residuals: st.SearchStrategy[Residual] = st.builds(
    Residual,
    prefill=st.sampled_from([law(QuantileTable((0.0, 1.0), (0.5, 3.0)), 0.5), constant(1.2)]),
    decode=may_be(st.just(law(QuantileTable((0.0, 0.9, 1.0), (0.8, 1.1, 9.0))))),
    stalls=may_be(st.just(Stalls(share=0.3, duration=QuantileTable((0.0, 1.0), (0.1, 8.0))))),
    first=st.sampled_from([1.0, 2.5]),
)


def hot_or_not(throttle: Throttle | None, heat: Heat | None, **changes: Any) -> DeviceProfile:
    """Return a device with one model of heat at most."""
    return profile(throttle=throttle, heat=None if throttle else heat, **changes)


devices: st.SearchStrategy[DeviceProfile] = st.builds(
    hot_or_not,
    heat=may_be(heats),
    heat_at_start=st.sampled_from([0.0, 1.0]),
    residual=may_be(residuals),
    name=st.sampled_from(["one", "two"]),
    prefill_s_per_tok=may_be(st.floats(0.0001, 0.02), 0.0),
    prefill_intercept_s=st.floats(0.0, 0.5),
    chunk_tok=st.sampled_from([None, 64, 128]),
    decode_tok_per_s=st.floats(2.0, 60.0),
    max_context_tok=may_be(st.integers(1, 500)),
    throttle=may_be(
        st.builds(Throttle, onset_s=st.floats(0, 5), sustained=st.floats(0.2, 1), cooling=st.floats(0.1, 3))
    ),
    cold_start=may_be(st.builds(ColdStart, load_s=st.floats(0, 5), keep_s=st.floats(0, 30))),
    battery=may_be(
        st.builds(
            Battery,
            capacity_wh=st.floats(0.001, 1.0),  # a request takes 0.05 Wh at most
            start_percent=st.floats(40.0, 100.0),
            reserve_percent=st.floats(0.0, 50.0),
            drain_w=st.sampled_from([0.0, 0.0, 0.5]),
        )
    ),
)
services: st.SearchStrategy[ApiServerModel] = st.builds(
    server,
    ttft=st.sampled_from([law(), law(SKEWED_S, 0.7), constant(0.0), constant(0.5), RawSeries((0.1, 0.4, 3.0))]),
    tpot=st.sampled_from([law(QuantileTable((0.0, 1.0), (0.01, 0.3))), constant(0.0), constant(0.05)]),
    ttft_s_per_prompt_tok=st.sampled_from([0.0, 0.002]),
    ttft_reference_prompt_tok=st.sampled_from([0, 100]),
    jitter_p99_over_p50=st.sampled_from([1.0, 3.0]),
    chunks=st.sampled_from([None, None, bursts()]),
    failure_share=st.sampled_from([0.0, 0.0, 0.3, 1.0]),
    failure_after_s=st.sampled_from([0.0, 0.5]),
    failure_run=st.sampled_from([None, 4.0]),
    outages=st.sampled_from([(), (Outage(start_s=5.0, end_s=30.0),)]),
    hours=st.sampled_from([None, None, HourLaw(23.99, (0.5,) * 12 + (2.0,) * 12, (1.0,) * 12 + (3.0,) * 12)]),
)
capacities = st.sampled_from([None, Capacity(concurrent=1), Capacity(concurrent=3), Capacity(tok_per_s=40.0)])
rates = st.sampled_from(
    [
        None,
        RateLimit(requests_per_s=0.2, burst=2),
        RateLimit(requests_per_s=0.2, excess="wait"),
        RateLimit(requests_per_s=0.1, per="user"),
    ]
)
quotas = st.sampled_from([None, Quota(requests_per_user_per_day=2), Quota(tok_per_user_per_day=500)])
limited = st.fixed_dictionaries({"capacity": capacities, "rate_limit": rates, "quota": quotas})
wandering = law(QuantileTable((0.0, 0.5, 0.9, 1.0), (0.0, 0.0, 0.06, 0.9)), 0.5)
links: st.SearchStrategy[LinkModel] = st.builds(
    replace,
    st.sampled_from([NO_LINK, constant_link(0.1), LinkModel(rtt=wandering, tick_s=0.1)]),
    up_share=st.sampled_from([0.0, 0.5, 1.0]),
    loss_share=st.sampled_from([0.0, 0.2]),
    tokens_per_packet=st.sampled_from([1, 4]),
    uplink_bit_per_s=st.sampled_from([None, 1e5]),
    outages=st.sampled_from([(), (), (Outage(start_s=3.0, end_s=20.0),)]),
)
tiers: st.SearchStrategy[EdgeModel] = st.builds(
    edge_box,
    n_boxes=st.integers(1, 3),
    sharing=st.sampled_from(["pooled", "own"]),
    slots=st.integers(1, 5),
    batch_slowdown=st.sampled_from([0.0, 0.3]),
    prefill_s_per_tok=st.sampled_from([0.0, 0.002]),
    memory_tok=st.sampled_from([50, 600, 4096]),
    age_limit_s=st.sampled_from([0.0, 5.0]),
    link=st.sampled_from([NO_LINK, constant_link(0.01, uplink_bit_per_s=1e6), None]),
)
forms: st.SearchStrategy[AnswerModel] = st.builds(
    AnswerModel,
    suitable_share=st.sampled_from([0.0, 0.5, 1.0]),
    part_tok=st.sampled_from([1.0, 10.0, 40.0]),
    part_sigma=st.sampled_from([0.0, 1.0]),
)
worlds: st.SearchStrategy[WorldModel] = st.builds(
    lambda fleet, service, link, meter, edge, answers, quality: model(
        fleet=fleet, service=service, link=link, meter=meter, edge=edge, answers=answers, quality=quality
    ),
    st.lists(st.tuples(devices, st.floats(0.1, 5)), min_size=1, max_size=2, unique_by=lambda pair: pair[0].name),
    services,
    links,
    st.sampled_from([DEAR_SERVER, DEAR_DEVICE, Meter(0.0, 0.0, 0.0)]),
    tiers,
    forms,
    st.sampled_from([None, QualityModel()]),
)


@examples(20)
@given(st.data(), worlds, st.sampled_from([0.05, 2.0, 30.0]), st.sampled_from([1, 3, 1000]), st.integers(0, 2**20))
@pytest.mark.parametrize("kind", KINDS)
def test_every_check_holds_in_every_world(
    kind: str, data: st.DataObject, parts: WorldModel, gap_s: float, n_users: int, seed: int
) -> None:
    policy = data.draw(policies(kind))
    view = past(parts, n=101, seed=seed)
    if "oracle" not in policy.needs and any((limits := data.draw(limited)).values()):
        parts = replace(parts, server=gated(parts.server, **limits))
    table = requests(30, seed=seed, gap_s=gap_s, n_users=n_users, rejected=np.arange(30) % 7 == 3)
    played = play(policy, parts, table, seed=seed, view=view)  # raises on any breach of INV-1 to INV-5
    assert played.world.n_arrived == 30
    for record in played.records:
        assert (record.status == "rejected") == bool(table.rejected[record.request_id])
        if record.status == "rejected":
            assert record.unified_cost_usd == record.server_prompt_tok == record.device_prefill_tok == 0
        if record.status == "finished":
            assert record.delivered_s.size == record.output_tok
            assert record.delivered_s[0] >= record.arrival_s - 1e-9
        # work is never negative, and no endpoint prefills more than it was asked to
        assert record.n_tok_wasted >= 0
        assert record.device_prefill_tok >= 0
        assert record.edge_prefill_tok >= 0
        assert record.edge_decode_tok * record.edge_box_s >= 0
        if parts.quality is not None and record.status != "rejected":
            assert 0.0 <= record.quality_assumed <= 1.0
        profile_of_user = played.world.profile_of(record.user_id)
        limit = profile_of_user.max_context_tok
        refines = getattr(policy, "kept_share", 1.0) < 1.0 or getattr(policy, "settings", "") == "priced"
        if limit is not None and record.prompt_tok > limit and not refines:  # a shortened prompt may fit
            assert record.device_prefill_tok == record.device_decode_tok == 0
    check_batteries(played, is_open_ended=kind in {"pd_device", "speculative"})


def check_batteries(played: Played, *, is_open_ended: bool) -> None:
    """Batteries have lost what requests are billed for, and none took a request on below its reserve."""
    used_j: dict[int, float] = {}
    for record in played.records:
        used_j[record.user_id] = used_j.get(record.user_id, 0.0) + record.device_energy_j
    for user_id, charge in enumerate(played.world.fleet.charges()):
        if charge is None:
            continue
        assert charge.work_j() == pytest.approx(used_j.get(user_id, 0.0), rel=1e-9, abs=1e-9)
        held, phone = played.world.profile_of(user_id).battery, played.world.profile_of(user_id)
        assert held is not None
        spare_j = max(0.0, held.start_percent - held.reserve_percent) / 100.0 * charge.capacity_j
        one_j = 600 * phone.prefill_j_per_tok + 200 * phone.decode_j_per_tok  # the longest prompt and answer
        if not is_open_ended:  # such a stream says only when it takes over how much it will decode
            assert charge.work_j() <= spare_j + one_j + 1e-9
        assert 0.0 <= charge.left_percent(played.world.env.now) <= 100.0


NOBODY: dict[str, dict[str, Any]] = {
    "the service refuses everything": {"service": server(failure_share=1.0, failure_after_s=0.2)},
    "the service is out": {"service": server(outages=(Outage(start_s=0.0, end_s=1e9),))},
    "the device is too small": {"device": profile(max_context_tok=1)},
    "the device is low": {"device": profile(battery=Battery(capacity_wh=1.0, start_percent=19.0))},
    "both": {
        "service": server(failure_share=1.0),
        "device": profile(max_context_tok=1),
        "edge": edge_box(memory_tok=1),
    },
}


@pytest.mark.parametrize("link", [NO_LINK, constant_link(0.2)], ids=["no link", "link"])
@pytest.mark.parametrize("case", NOBODY)
@pytest.mark.parametrize("kind", KINDS)
def test_a_refusal_is_survived_where_somebody_else_can_answer(kind: str, case: str, link: LinkModel) -> None:
    parts = model(link=link, **NOBODY[case])
    table = requests(60, prompt_tok=50, output_tok=20)
    constraint = "constraint" in options_of(known_policies()[kind])
    for side in ("server", "device") if constraint else ("",):
        policy = known_policies()[kind](**({"constraint": side} if side else {}))
        records = play(policy, parts, table, view=past(model(link=link))).records
        statuses = {record.status for record in records}
        if case == "both":
            assert statuses == {"failed"}
            assert all(record.unified_cost_usd == 0.0 for record in records)
        elif kind in {"kv_shipping", "pd_device", "race", "hedge", "speculative", "disco", "optimal_wait"}:
            assert statuses == {"finished"}, "another endpoint could answer"
        for record in records:
            used = {"server": record.is_server_dispatched, "device": record.is_device_dispatched}
            assert not used["device" if "device" in case or case == "both" else "server"]
