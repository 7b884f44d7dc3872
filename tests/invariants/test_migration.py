"""What a migration must not do: lose, repeat or delay a token, or cost more than it saves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

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
    constant,
    constant_link,
    examples,
    law,
    model,
    past,
    play,
    profile,
    requests,
    server,
)

from discosim.core.empirical import QuantileTable
from discosim.core.request import RequestRecord
from discosim.policies.disco import Disco
from discosim.world.device_profile import DeviceProfile
from discosim.world.link import LinkModel
from discosim.world.meter import Meter

sides = st.sampled_from(["server", "device"])
meters = st.sampled_from([DEAR_SERVER, DEAR_DEVICE])
links = st.sampled_from([NO_LINK, constant_link(0.03), constant_link(0.2, up_share=0.2)])
devices = st.builds(
    profile,
    prefill_s_per_tok=st.floats(0.0001, 0.02),
    prefill_intercept_s=st.floats(0.0, 0.5),
    chunk_tok=st.sampled_from([None, 128]),
    decode_tok_per_s=st.floats(6.0, 60.0),
)


def migrates(record: RequestRecord) -> bool:
    return len(record.segments) > 1


def pair(disco: Disco, parts: Any, table: Any, **known: Any) -> tuple[Played, Played]:
    """Return the same requests with and without migration."""
    return (
        play(disco, parts, table, **known),
        play(replace(disco, migration=False), parts, table, **known),
    )


@examples(40)
@given(sides, meters, links, devices, st.integers(1, 7), st.integers(0, 10_000))
def test_each_token_comes_once_and_in_order_and_the_text_is_that_of_the_unmigrated_answer(
    side: Any, meter: Meter, link: LinkModel, device: DeviceProfile, group: int, seed: int
) -> None:
    link = replace(link, tokens_per_packet=group)
    parts = model(device=device, link=link, meter=meter)
    moved, stayed = pair(Disco(constraint=side), parts, requests(40, seed=seed), seed=seed)
    for a, b in zip(moved.records, stayed.records, strict=True):
        made = [k for s in a.segments for k in range(s.first_token, s.last_token + 1)]
        assert made == list(range(1, a.output_tok + 1))
        assert (np.diff(a.delivered_s) >= 0).all()
        # up to the hand-over nothing differs, afterwards another endpoint makes the tokens, and later than it was asked
        k = a.segments[0].last_token
        assert a.segments[0].endpoint == b.segments[0].endpoint
        assert np.array_equal(a.delivered_s[:k], b.delivered_s[:k])
        if migrates(a):
            assert a.segments[1].endpoint != b.segments[0].endpoint
            assert a.generated_s[k] >= a.delivered_s[k - 1]


narrow_links = st.sampled_from([constant_link(0.05, uplink_bit_per_s=rate) for rate in (2e4, 1e6)])


@examples(60)
@given(
    sides,
    meters,
    links | narrow_links,
    st.sampled_from(["text", "token_ids"]),
    devices,
    st.floats(0.05, 2.0),
    st.floats(1.0, 5.5),
    st.floats(0.001, 0.15),
    st.integers(0, 10_000),
)
def test_no_token_is_late_where_both_decoders_outrun_the_reader_and_t_m_is_known(
    side: Any,
    meter: Meter,
    link: LinkModel,
    payload: Any,
    device: DeviceProfile,
    ttft_s: float,
    rate: float,
    tpot_s: float,
    seed: int,
) -> None:
    # A constant TTFT and link make the mean of past TTFTs a perfect estimate for the way to the server; the way to an
    # idle device is always known.
    parts = model(device=device, link=link, meter=meter, service=server(ttft=constant(ttft_s), tpot=constant(tpot_s)))
    table = requests(40, seed=seed, reader_tok_per_s=rate)
    played = play(Disco(constraint=side, payload=payload), parts, table, seed=seed)
    assert played.columns["n_tok_late"].sum() == 0
    assert played.columns["n_stalls"].sum() == 0
    assert played.columns["stall_s"].sum() == 0.0


def test_the_worlds_of_the_late_token_test_do_migrate_both_ways() -> None:
    for meter, target in ((DEAR_SERVER, "device"), (DEAR_DEVICE, "server")):
        parts = model(meter=meter, link=constant_link(0.1), service=server(ttft=constant(0.7), tpot=constant(0.03)))
        played = play(Disco(constraint="server"), parts, requests(100))
        moved = [r for r in played.records if migrates(r)]
        assert len(moved) > 20
        assert {r.segments[1].endpoint for r in moved} == {target}


def test_a_wrong_estimate_of_t_m_does_make_tokens_late() -> None:
    # so that the tests above could fail: real TTFTs scatter around the mean that the policy knows
    parts = model(meter=DEAR_DEVICE, service=server(ttft=law(SKEWED_S)))
    played = play(Disco(constraint="server"), parts, requests(200))
    assert played.columns["n_tok_late"].sum() > 0


# --- cost ----------------------------------------------------------------------------------------------------------

price = st.floats(1e-8, 1e-5)
prices = st.builds(Meter, prompt_usd_per_tok=price, output_usd_per_tok=price, exchange_rate_usd_per_j=price)


def in_flight_tok(record: RequestRecord, stayed: RequestRecord) -> int:
    """Return how many tokens the server made after the last one shown of it, more than without migration."""
    return record.n_tok_wasted - stayed.n_tok_wasted


@examples(60)
@given(sides, prices, devices, st.integers(2, 300), st.integers(0, 10_000))
def test_a_migration_never_costs_more_than_staying_where_nothing_is_in_flight(
    side: Any, meter: Meter, device: DeviceProfile, output_tok: int, seed: int
) -> None:
    # No last hop: a cancel arrives at once, no token is on its way. Constant answers: the expected rest is the rest.
    parts = model(device=device, meter=meter)
    view = past(parts, output_tok=np.full(997, output_tok))
    moved, stayed = pair(
        Disco(constraint=side), parts, requests(40, seed=seed, output_tok=output_tok), seed=seed, view=view
    )
    for a, b in zip(moved.records, stayed.records, strict=True):
        assert in_flight_tok(a, b) == 0
        assert a.unified_cost_usd <= b.unified_cost_usd * (1 + 1e-12)
        if migrates(a):
            assert a.unified_cost_usd < b.unified_cost_usd


@examples(60)
@given(sides, prices, devices, st.floats(0.0, 0.3), st.integers(1, 5), st.integers(2, 300), st.integers(0, 10_000))
def test_over_a_link_a_migration_costs_more_by_at_most_the_tokens_in_flight(
    side: Any, meter: Meter, device: DeviceProfile, rtt_s: float, group: int, output_tok: int, seed: int
) -> None:
    # cost with = cost without - (saving on the rest - prefill at the target) + in-flight server tokens; the gate
    # lets through only a bracket above the expected in-flight cost. From device to server nothing is in flight:
    # a device stops at once.
    parts = model(device=device, meter=meter, link=constant_link(rtt_s, tokens_per_packet=group))
    view = past(parts, output_tok=np.full(997, output_tok))
    moved, stayed = pair(
        Disco(constraint=side), parts, requests(40, seed=seed, output_tok=output_tok), seed=seed, view=view
    )
    rate = meter.exchange_rate_usd_per_j
    for a, b in zip(moved.records, stayed.records, strict=True):
        waste_usd = in_flight_tok(a, b) * meter.output_usd_per_tok
        assert in_flight_tok(a, b) >= 0
        assert a.unified_cost_usd <= (b.unified_cost_usd + waste_usd) * (1 + 1e-12)
        if migrates(a):
            k, rest = a.segments[0].last_token, a.output_tok - a.segments[0].last_token
            device_usd = (rate * device.prefill_j_per_tok, rate * device.decode_j_per_tok)
            server_usd = (meter.prompt_usd_per_tok, meter.output_usd_per_tok)
            here, there = (server_usd, device_usd) if a.first_endpoint == "server" else (device_usd, server_usd)
            bracket = rest * (here[1] - there[1]) - (a.prompt_tok + k) * there[0]
            assert bracket > 0
            assert a.unified_cost_usd == pytest.approx(b.unified_cost_usd - bracket + waste_usd, rel=1e-9)
            if a.first_endpoint == "device":
                assert waste_usd == 0


def test_tokens_in_flight_are_counted_before_they_are_paid() -> None:
    # a fast server far away makes 80 tokens until it hears of the cancel: more than the rest is worth
    def over(rtt_s: float) -> tuple[Played, Played]:
        parts = model(
            device=profile(prefill_s_per_tok=0.001, prefill_j_per_tok=0.3),
            service=server(ttft=constant(0.05), tpot=constant(0.005)),
            link=constant_link(rtt_s),
        )
        view = past(parts, output_tok=np.full(997, 60))
        return pair(Disco(constraint="device"), parts, requests(50, output_tok=60, prompt_tok=900), view=view)

    moved, stayed = over(0.4)
    assert not any(migrates(a) for a in moved.records)
    moved, stayed = over(0.02)
    assert all(migrates(a) and a.n_tok_wasted > 0 for a in moved.records)
    for a, b in zip(moved.records, stayed.records, strict=True):
        assert a.unified_cost_usd < b.unified_cost_usd


def test_an_answer_stays_where_it_is_if_the_devices_context_is_too_short_for_it() -> None:
    # prompt 90 + some tokens exceed a context of 100: a device that must refuse is not asked
    slow_reader = requests(60, prompt_tok=90, output_tok=200, reader_tok_per_s=2.0)
    device = profile(max_context_tok=100, prefill_s_per_tok=0.05)
    parts = model(device=device, service=server(ttft=law(QuantileTable((0.0, 1.0), (0.1, 1.0))), tpot=constant(0.02)))
    played = play(Disco(constraint="device", budget=0.0), parts, slow_reader)
    for record in played.records:
        assert record.server_prompt_tok == 90, "asked the server a second time"
        assert record.n_tok_wasted == 0
