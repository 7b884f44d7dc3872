"""The last hop and the replayed service, each against the plainest possible reading of its definition."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import constant, constant_link, examples, law, model, play, profile, requests, server

from discosim.core.empirical import QuantileTable
from discosim.core.rng import RandomStreams
from discosim.core.scenario import Outage
from discosim.policies.race import Race
from discosim.policies.server_only import ServerOnly
from discosim.world.law import RawSeries
from discosim.world.link import TAPE_TICKS, Link, LinkModel
from discosim.world.meter import Meter

WANDERING = LinkModel(
    rtt=law(QuantileTable((0.0, 0.9, 1.0), (0.02, 0.06, 0.9)), 0.4), tick_s=0.05, up_share=0.3, loss_share=0.1
)

# --- the last hop --------------------------------------------------------------------------------------------------


@examples(40)
@given(st.lists(st.floats(0, 0.3), min_size=1, max_size=40), st.integers(1, 6), st.integers(0, 3), st.floats(0, 5000))
def test_tokens_arrive_packet_by_packet_and_in_order(gaps: list[float], group: int, user: int, start_s: float) -> None:
    link = Link(replace(WANDERING, tokens_per_packet=group), 4, RandomStreams(1))
    sent_s = (start_s + np.cumsum(gaps)).tolist()
    expected, latest_s = [], 0.0
    for k in range(len(sent_s)):
        packet_s = sent_s[min((k // group + 1) * group, len(sent_s)) - 1]  # a packet leaves with its last token
        latest_s = max(latest_s, packet_s + link.down_s(packet_s, user))  # and never overtakes the one before
        expected.append(latest_s)
    arrived = link.deliver(np.array(sent_s), user)
    np.testing.assert_array_equal(arrived, expected)
    assert (arrived >= np.array(sent_s)).all()


def test_a_links_state_is_a_function_of_time_and_user_alone() -> None:
    link = Link(WANDERING, 50, RandomStreams(1))
    at_s, users = np.linspace(0.0, 1e4, 500), np.arange(500) % 50
    for one, many in ((link.up_s, link.up_array_s), (link.down_s, link.down_array_s)):
        assert [one(t, u) for t, u in zip(at_s.tolist(), users.tolist(), strict=True)] == many(at_s, users).tolist()
    # one tape, read by each user from an own place, cyclically
    period_s = TAPE_TICKS * WANDERING.tick_s
    assert link.up_s(1.0, 3) == link.up_s(1.0 + period_s, 3)
    assert len({link.up_s(1.0, user) for user in range(50)}) > 25


def test_directions_share_a_round_trip_and_losses_add_a_retransmission() -> None:
    whole = Link(replace(WANDERING, loss_share=0.0), 1, RandomStreams(1))
    at_s = np.linspace(0.0, 3000.0, 60_000)
    users = np.zeros(at_s.size, dtype=np.int64)
    up_s, down_s = whole.up_array_s(at_s, users), whole.down_array_s(at_s, users)
    np.testing.assert_allclose(up_s / (up_s + down_s), 0.3)
    lossy = Link(WANDERING, 1, RandomStreams(1))
    extra_s = lossy.up_array_s(at_s, users) - up_s
    assert set(np.round(extra_s, 9)) == {0.0, 0.2}
    # 60,000 ticks of independent loss: 4 standard errors, a false alarm in 15,000 seeds
    assert abs(np.mean(extra_s > 0.1) - 0.1) < 4 * np.sqrt(0.1 * 0.9 / at_s.size)


def test_the_prompt_takes_its_time_on_a_narrow_uplink() -> None:
    # 100 tokens of 4 bytes over 3200 bit/s take one second; the answer comes back at full speed
    parts = model(service=server(ttft=constant(0.5)), link=constant_link(0.2, uplink_bit_per_s=3200.0))
    played = play(ServerOnly(), parts, requests(5, prompt_tok=100))
    np.testing.assert_allclose(played.ttft_s, 0.1 + 1.0 + 0.5 + 0.1)


# --- the service ---------------------------------------------------------------------------------------------------


def test_a_raw_series_is_replayed_in_measured_order_from_a_random_row() -> None:
    series = RawSeries(tuple(np.arange(10.0)))
    drawn = series.sample(25, RandomStreams(3).generator("x"))
    assert ((drawn[1:] - drawn[:-1]) % 10 == 1).all()
    starts = {series.sample(1, RandomStreams(seed).generator("x"))[0] for seed in range(40)}
    assert len(starts) > 7


def test_ttft_grows_with_the_prompt_above_the_reference() -> None:
    service = server(ttft=constant(0.5), ttft_s_per_prompt_tok=0.01, ttft_reference_prompt_tok=100)
    table = requests(3, prompt_tok=[50, 100, 150])
    np.testing.assert_allclose(play(ServerOnly(), model(service=service), table).ttft_s, [0.5, 0.5, 1.0])


def test_jitter_changes_gaps_but_not_their_mean() -> None:
    plain, jittery = (server(ttft=constant(0.5), tpot=constant(0.05), jitter_p99_over_p50=x) for x in (1.0, 3.0))
    table = requests(400, output_tok=200)
    one, two = (play(ServerOnly(), model(service=s), table) for s in (plain, jittery))
    np.testing.assert_allclose(one.ttft_s, two.ttft_s)
    gaps = np.concatenate([np.diff(record.delivered_s) for record in two.records])
    # log-normal with this p99/p50: sigma from the definition; answers read overlapping parts of one tape, so the
    # 80,000 gaps count as the tape's 65,536 at best; 5 % is more than 10 standard errors of either figure
    assert np.quantile(gaps, 0.99) / np.median(gaps) == pytest.approx(3.0, rel=0.05)
    assert gaps.mean() == pytest.approx(0.05, rel=0.02)
    assert two.columns["tpot_s"].std() > 0


def test_an_answer_longer_than_the_jitter_tape_goes_on() -> None:
    service = server(ttft=constant(0.5), tpot=constant(0.001), jitter_p99_over_p50=2.0)
    (record,) = play(ServerOnly(), model(service=service), requests(1, output_tok=150_000)).records
    gaps = np.diff(record.delivered_s)
    assert gaps.size == 149_999
    assert (gaps > 0).all()
    np.testing.assert_allclose(gaps[:1000], gaps[65_536:66_536], rtol=1e-6)  # the tape is read cyclically


def test_refusals_have_their_share_and_cost_nothing() -> None:
    n = 4000
    parts = model(service=server(failure_share=0.2, failure_after_s=0.7), link=constant_link(0.1))
    played = play(ServerOnly(), parts, requests(n, output_tok=3))
    failed = [record for record in played.records if record.status == "failed"]
    # binomial: 4 standard errors, a false alarm in 15,000 seeds
    assert abs(len(failed) / n - 0.2) < 4 * np.sqrt(0.16 / n)
    assert all(r.server_prompt_tok == r.server_output_tok == 0 and not r.is_server_dispatched for r in failed)


def test_an_outage_refuses_what_reaches_the_service_inside_it() -> None:
    service = server(outages=(Outage(start_s=100.0, end_s=200.0), Outage(start_s=250.0, end_s=260.0)))
    table = requests(60, output_tok=3)
    played = play(ServerOnly(), model(service=service, link=constant_link(4.0)), table)
    reached_s = table.arrival_s + 2.0
    refused = ((reached_s >= 100) & (reached_s < 200)) | ((reached_s >= 250) & (reached_s < 260))
    assert refused.sum() > 5
    assert [record.status == "failed" for record in played.records] == refused.tolist()


def test_a_retry_is_a_new_attempt_with_its_own_luck() -> None:
    parts = model(service=server(failure_share=0.5, failure_after_s=0.25))
    table = requests(2000, output_tok=2)
    once, thrice = (play(ServerOnly(n_retries=k, retry_after_s=1.0), parts, table) for k in (0, 2))
    share = np.mean([record.status == "failed" for record in thrice.records])
    assert abs(share - 0.125) < 4 * np.sqrt(0.125 * 0.875 / 2000)  # three independent refusals; 4 standard errors
    for a, b in zip(once.records, thrice.records, strict=True):
        if a.status == "finished":
            assert np.array_equal(a.delivered_s, b.delivered_s)
        elif b.status == "finished":
            assert b.delivered_s[0] - b.arrival_s >= 0.25 + 1.0


def test_a_race_is_lost_by_a_service_that_refuses() -> None:
    parts = model(service=server(ttft=constant(0.0), failure_share=1.0, failure_after_s=0.0))
    played = play(Race(), parts, requests(50))
    assert {record.first_endpoint for record in played.records} == {"device"}


# --- the meter -----------------------------------------------------------------------------------------------------


def test_the_meter_adds_money_and_energy() -> None:
    meter = Meter(prompt_usd_per_tok=2e-6, output_usd_per_tok=8e-6, exchange_rate_usd_per_j=1e-3)
    assert meter.server_usd(100, 10) == pytest.approx(2.8e-4)
    assert meter.unified_usd(2.8e-4, 5.0) == pytest.approx(2.8e-4 + 5e-3)


def test_energy_is_prefill_plus_decode_of_the_users_own_device() -> None:
    one, two = profile(name="one"), profile(name="two", prefill_j_per_tok=3.0, decode_j_per_tok=7.0)
    played = play(Race(), model(fleet=[(one, 1.0), (two, 1.0)]), requests(200))
    kinds: dict[str, Any] = {}
    for record in played.records:
        unit = played.world.profile_of(record.user_id)
        expected = record.device_prefill_tok * unit.prefill_j_per_tok + record.device_decode_tok * unit.decode_j_per_tok
        assert record.device_energy_j == pytest.approx(expected)
        kinds[unit.name] = kinds.get(unit.name, 0) + 1
    # a fleet of two halves: 4 standard errors of a binomial share
    assert abs(kinds["one"] - 100) < 4 * np.sqrt(200 * 0.25)
