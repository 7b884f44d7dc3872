"""P/D-Device and its rivals where something goes wrong: links drop, devices are busy, readers give up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from test_engine_world import engine, served, world
from worlds import constant, constant_link, model, past, play, profile, requests, server

from discosim.core.scenario import Outage
from discosim.policies.kv_shipping import KVShipping
from discosim.policies.pd_device import PDDevice
from discosim.policies.race import Race
from discosim.policies.refinement import RefinedQuality
from discosim.policies.server_only import ServerOnly
from discosim.policies.speculative import Speculative
from discosim.world.engine.engine import PrefillPool
from discosim.world.engine.schedulers.fcfs import Fcfs
from discosim.world.link import LinkModel
from discosim.world.quality import QualityModel

RTT_S = 0.06
STEADY = server(ttft=constant(0.3), tpot=constant(0.04))


def one(policy, *, device=None, link=None, answer_tok=300, prompt_tok=400, service=STEADY, **changes):
    parts = model(device=device or profile(**changes), service=service, link=link or constant_link(RTT_S))
    table = requests(1, prompt_tok=prompt_tok, output_tok=answer_tok, gap_s=1.0)
    return play(policy, parts, table).records[0], table.arrival_s[0]


def dropped(start_s: float, end_s: float) -> LinkModel:
    at_s = requests(1, gap_s=1.0).arrival_s[0]
    return constant_link(RTT_S, outages=(Outage(start_s=at_s + start_s, end_s=at_s + end_s),))


# --- the last hop ---------------------------------------------------------------------------------------------------


def test_messages_wait_for_the_end_of_an_outage():
    record, at_s = one(ServerOnly(), link=dropped(1.0, 5.0), answer_tok=100)
    made_s = at_s + RTT_S / 2 + 0.3 + 0.04 * np.arange(100)
    leaves_s = np.where((made_s >= at_s + 1.0) & (made_s < at_s + 5.0), at_s + 5.0, made_s)
    np.testing.assert_allclose(record.generated_s, made_s)
    np.testing.assert_allclose(record.delivered_s, leaves_s + RTT_S / 2)
    record, _ = one(ServerOnly(), link=dropped(-0.5, 2.0))  # the question itself waits
    assert record.delivered_s[0] == pytest.approx(at_s + 2.0 + RTT_S + 0.3)


@pytest.mark.parametrize("settings", ["fixed", "closed_loop", "closed_form"])
def test_a_device_carries_on_from_the_last_token_received_when_the_link_drops(settings):
    # device: 4 s of prefill; the link drops at 2 s for a minute, in the middle of the cloud's tokens
    cloud_tok = 200 if settings == "fixed" else None
    policy = PDDevice(settings=settings, cloud_tok=cloud_tok, silence_s=1.0, tpot_limit_s=0.07)
    record, at_s = one(policy, link=dropped(2.0, 62.0), prefill_s_per_tok=0.01)
    before, after = record.segments
    arrivals_s = at_s + RTT_S + 0.3 + 0.04 * np.arange(300)
    k = int(np.sum(arrivals_s - RTT_S / 2 < at_s + 2.0))
    assert (before.endpoint, before.last_token, after.endpoint) == ("server", k, "device")
    absorbed_s = at_s + 4.0 + k * 0.01
    silent_s = 0.0 if settings == "closed_loop" else arrivals_s[k - 1] + 1.0
    assert record.delivered_s[k] == pytest.approx(max(absorbed_s, silent_s))
    # the cancel waits for the link as well: the cloud is paid for what it makes until then
    if settings == "fixed":
        assert record.server_output_tok == 200
    assert record.server_output_tok > k


@pytest.mark.parametrize("silence_s", [0.5, 2.0])
def test_a_device_that_has_caught_up_waits_for_a_silent_cloud_as_long_as_it_is_told(silence_s):
    policy = PDDevice(settings="fixed", cloud_tok=200, silence_s=silence_s)
    record, at_s = one(policy, link=dropped(2.0, 62.0), prefill_s_per_tok=0.001)  # all is absorbed when the link drops
    arrivals_s = at_s + RTT_S + 0.3 + 0.04 * np.arange(300)
    k = int(np.sum(arrivals_s - RTT_S / 2 < at_s + 2.0))
    assert record.segments[0].last_token == k
    assert record.delivered_s[k] == pytest.approx(arrivals_s[k - 1] + silence_s)


def test_a_device_answers_alone_when_the_link_is_down_from_the_start():
    for policy in (PDDevice(), Race()):
        record, at_s = one(policy, link=dropped(-0.5, 60.0))
        assert [s.endpoint for s in record.segments] == ["device"]
        assert record.delivered_s[0] == pytest.approx(at_s + 4.0)
    # one that waits for a refined prompt begins after the time it would have needed
    record, at_s = one(PDDevice(device_start="refined", kept_share=0.5), link=dropped(-0.5, 60.0))
    assert [s.endpoint for s in record.segments] == ["device"]
    assert record.delivered_s[0] == pytest.approx(at_s + 8.0)


def test_a_short_break_changes_nothing_but_the_arrivals():
    whole, _ = one(PDDevice(), prefill_s_per_tok=0.02)
    broken, _ = one(PDDevice(), link=dropped(1.0, 1.5), prefill_s_per_tok=0.02)
    assert broken.segments == whole.segments
    assert broken.server_output_tok == whole.server_output_tok


# --- the device -----------------------------------------------------------------------------------------------------


def test_how_often_a_client_looks_at_its_queued_device_is_an_option():
    # the device turns to the second question at some moment and prefills it in 2 s; the client sees that when it looks
    parts = model(service=STEADY, link=constant_link(RTT_S), device=profile(prefill_s_per_tok=0.005))
    table = replace(requests(2, prompt_tok=400, output_tok=[200, 600], n_users=1), arrival_s=np.array([0.0, 5.0]))
    left_s = {}
    for look_s in (0.01, 1.0, 7.0):
        policy = PDDevice(busy_device="queue", look_s=look_s)
        first, second = play(policy, parts, table).records
        assert [s.endpoint for s in second.segments] == ["server", "device"]
        left_s[look_s] = second.delivered_s[second.segments[0].last_token - 1]
        # no later than a look after everything was absorbed (a token of the cloud costs 5 ms)
        ready_s = first.delivered_s[-1] + 2.0 + 0.005 * second.segments[0].last_token
        assert ready_s - 0.05 <= left_s[look_s] <= ready_s + look_s + 0.05
    # a client that has seen the device begin knows when to look; at 7 s it sees that two looks after the first token
    assert left_s[0.01] == left_s[1.0]
    assert left_s[7.0] == pytest.approx(5.0 + RTT_S + 0.3 + 2 * 7.0, abs=0.04)
    default = play(PDDevice(busy_device="queue"), parts, table).records[1]
    assert default.delivered_s[default.segments[0].last_token - 1] == left_s[1.0]


@pytest.mark.parametrize("settings", ["closed_form", "closed_loop"])
@pytest.mark.parametrize("kept_share", [1.0, 0.5])
@pytest.mark.parametrize("busy_device", ["cloud_alone", "queue"])
def test_a_busy_device_is_not_waited_for_or_takes_over_after_its_turn(settings, kept_share, busy_device):
    policy = PDDevice(settings=settings, busy_device=busy_device, kept_share=kept_share)
    parts = model(service=STEADY, link=constant_link(RTT_S), device=profile(prefill_s_per_tok=0.005))
    table = replace(requests(2, prompt_tok=400, output_tok=600, n_users=1), arrival_s=np.array([0.0, 5.0]))
    first, second = play(policy, parts, table).records
    assert [s.endpoint for s in first.segments] == ["server", "device"]
    free_s = first.delivered_s[-1]
    if busy_device == "cloud_alone":
        assert [s.endpoint for s in second.segments] == ["server"]
        assert second.device_prefill_tok == 0
    else:
        whole_s = 5.0 + RTT_S + 0.3 + 599 * 0.04
        assert free_s > whole_s  # the cloud has answered everything before the device had its turn
        assert [s.endpoint for s in second.segments] == ["server"]
    longer = replace(table, output_tok=np.array([200, 600]))
    first, second = play(policy, parts, longer).records
    if busy_device == "queue":
        assert [s.endpoint for s in second.segments] == ["server", "device"]
        assert second.generated_s[second.segments[1].first_token - 1] > first.delivered_s[-1]


def test_a_device_that_decodes_slower_than_the_limit_shows_its_own_pace_and_no_other_gap():
    parts = model(
        service=STEADY, link=constant_link(RTT_S), device=profile(prefill_s_per_tok=0.002, decode_tok_per_s=9.0)
    )
    view = past(parts, ttft_s=np.full(100, RTT_S + 0.3))
    table = requests(20, prompt_tok=np.arange(300, 1300, 50), output_tok=400)
    for pacer in ("constant", "continuity", "feedback"):
        gaps = play(PDDevice(tpot_limit_s=0.05, pacer=pacer), parts, table, view=view).columns["tbt_displayed_max_s"]
        assert gaps == pytest.approx(np.full(20, 1 / 9.0), abs=1e-6)


@pytest.mark.parametrize("policy", [PDDevice(), KVShipping(), Speculative()], ids=lambda p: p.kind)
def test_a_prompt_beyond_the_devices_context_is_the_clouds(policy):
    record, _ = one(policy, max_context_tok=300)
    assert [s.endpoint for s in record.segments] == ["server"]
    assert record.device_prefill_tok == record.device_decode_tok == 0


def test_a_device_that_cannot_hold_what_it_received_leaves_the_answer_to_the_cloud():
    # a prompt of 400 tokens; the device catches up after about 120 more, but a context of 410 has room for 10
    kept, _ = one(PDDevice(settings="closed_loop"), prefill_s_per_tok=0.01, max_context_tok=600)
    assert [s.endpoint for s in kept.segments] == ["server", "device"]
    record, _ = one(PDDevice(settings="closed_loop"), prefill_s_per_tok=0.01, max_context_tok=410)
    assert [(s.endpoint, s.last_token) for s in record.segments] == [("server", 300)]
    assert record.device_decode_tok == 0
    full_s = RTT_S + 0.3 + 10 * 0.04  # the eleventh token is one too many; the client looks at least once a second
    assert 100 * full_s <= record.device_prefill_tok <= 100 * (full_s + 1.0) + 1
    for speaks, limit in ((True, 410), (False, 400)):
        shipping = KVShipping(downlink_mbit_per_s=1000.0, speaks_meanwhile=speaks)
        record, _ = one(shipping, max_context_tok=limit)
        assert [(s.endpoint, s.last_token) for s in record.segments] == [("server", 300)]


def test_a_device_that_has_begun_the_whole_prompt_without_room_for_the_clouds_tokens_answers_alone():
    # half the prompt and 50 tokens fit a context of 420, the whole prompt alone fits too, but not with 50 tokens
    policy = PDDevice(settings="fixed", cloud_tok=50, kept_share=0.5, attention_cost=0.0)
    slow = server(ttft=constant(5.0), tpot=constant(0.04))  # the device waits for 4 s, its own prefill
    record, at_s = one(policy, service=slow, prefill_s_per_tok=0.01, max_context_tok=420)
    assert [s.endpoint for s in record.segments] == ["device"]
    assert record.delivered_s[0] == pytest.approx(at_s + 8.0)
    roomy, _ = one(policy, service=slow, prefill_s_per_tok=0.01, max_context_tok=450)
    assert [(s.endpoint, s.last_token) for s in roomy.segments] == [("server", 50), ("device", 300)]


# --- the reader -----------------------------------------------------------------------------------------------------


class GivesUp(PDDevice):
    """Serve as P/D-Device does, and give the request up after a while."""

    kind = ""
    after_s = 1.0

    def serve(self, session):
        steps = super().serve(session)
        end_s, value = session.now_s + self.after_s, None
        while True:
            try:
                event = steps.send(value)
            except StopIteration:
                return
            yield event | session.wait(max(0.0, end_s - session.now_s))
            if session.now_s >= end_s - 1e-9:
                session.fail()
                return
            value = event.value


@pytest.mark.parametrize("after_s", [0.1, 1.0, 3.0, 8.0])
def test_a_cancelled_request_frees_both_sides_and_is_paid_until_then(after_s):
    class Impatient(GivesUp):
        pass

    Impatient.after_s = after_s
    record, _ = one(Impatient(settings="fixed", cloud_tok=150), prefill_s_per_tok=0.01)
    assert record.status == "failed"
    assert record.delivered_s.size == 0
    made = np.clip((after_s - 0.3) // 0.04 + 1, 0, 150)  # the cancel travels as long as the question did
    assert record.server_output_tok == pytest.approx(made, abs=1)
    if after_s < 4.0:
        assert record.device_prefill_tok == pytest.approx(100 * after_s)
    # beside an engine: nothing stays in memory
    parts = world(engine(), constant_link(RTT_S), prefill_s_per_tok=0.01)
    played = served(Impatient(), parts, requests(40, gap_s=0.3))
    replica = played.world.server.engine.replicas[0]
    assert (replica.n_live, replica.memory.free_blocks) == (0, replica.memory.total_blocks)


def test_a_refined_prompt_lowers_what_the_device_writes_and_nothing_else():
    assumed = QualityModel(cloud=0.9, device=0.6)
    parts = replace(model(service=STEADY, link=constant_link(RTT_S), device=profile()), quality=assumed)
    policy = PDDevice(settings="fixed", cloud_tok=60, kept_share=0.2, attention_cost=0.0)
    lowered = RefinedQuality().quality(0.2, 400)
    for answer_tok, from_cloud in ((40, 40), (240, 60)):  # the shorter answer ends before the hand-over
        record = play(policy, parts, requests(1, prompt_tok=400, output_tok=answer_tok)).records[0]
        assert record.segments[0].last_token == from_cloud
        wanted = (from_cloud * 0.9 + (answer_tok - from_cloud) * 0.6 * lowered) / answer_tok
        assert record.quality_assumed == pytest.approx(wanted)
    assert lowered < 0.7


# --- beside an engine -----------------------------------------------------------------------------------------------

POLICIES = [
    PDDevice(),
    PDDevice(settings="closed_loop"),
    PDDevice(settings="fixed", cloud_tok=1),
    PDDevice(kept_share=0.4),
    PDDevice(busy_device="queue"),
    KVShipping(),
    KVShipping(speaks_meanwhile=False, downlink_mbit_per_s=1000.0),
    Speculative(),
]


@pytest.mark.parametrize("pools", [False, True], ids=["colocated", "pools"])
@pytest.mark.parametrize("policy", POLICIES, ids=repr)
def test_all_of_them_run_beside_an_engine_and_leave_it_empty(policy, pools):
    plain = engine()
    if pools:
        pool = PrefillPool(replace(plain.replica, role="prefill"), 1, Fcfs, 1e-6)
        plain = replace(plain, replica=replace(plain.replica, role="decode"), prefill_pool=pool)
    parts = world(plain, constant_link(RTT_S))
    played = served(policy, parts, requests(100, gap_s=0.2, n_users=30))
    assert all(record.status == "finished" for record in played.records)
    figures = played.world.engine_figures()
    assert sum(record.gpu_s for record in played.records) == pytest.approx(figures["engine_gpu_s"], rel=1e-9)
    for replica in played.world.server.engine.replicas:
        assert (replica.n_live, replica.memory.free_blocks) == (0, replica.memory.total_blocks)


def test_exposed_attention_makes_the_prefill_longer_and_nothing_else():
    parts = world(engine())
    table = requests(30, gap_s=30.0, prompt_tok=300, output_tok=50)
    plain = served(PDDevice(kept_share=0.5, attention_cost=0.0), parts, table)
    dear = served(PDDevice(kept_share=0.5, attention_cost=0.5), parts, table)
    _, b, c = parts.server.replica.cost.prefill
    assert dear.ttft_s - plain.ttft_s == pytest.approx(np.full(30, 0.5 * (b * 300 + c * 300**2)))
    assert [r.segments for r in dear.records] == [r.segments for r in plain.records]


# --- the rivals -----------------------------------------------------------------------------------------------------


def test_a_cache_arrives_when_its_bytes_have():
    bytes_per_tok, mbit = 131072.0, 100.0
    tok_s = 8 * bytes_per_tok / (mbit * 1e6)
    record, at_s = one(
        KVShipping(speaks_meanwhile=False, downlink_mbit_per_s=mbit), decode_tok_per_s=10.0, answer_tok=50
    )
    first_s = at_s + RTT_S + 0.3
    assert record.delivered_s[0] == pytest.approx(first_s)
    assert record.delivered_s[1:] == pytest.approx(first_s + 401 * tok_s + 0.1 * np.arange(1, 50))
    assert (record.server_output_tok, record.device_prefill_tok, record.device_decode_tok) == (1, 0, 49)
    # while the cloud speaks, the cache grows: the device has it all when (L + k) tokens have been sent
    record, at_s = one(KVShipping(downlink_mbit_per_s=400.0), decode_tok_per_s=10.0, answer_tok=600)
    k = record.segments[0].last_token
    arrivals_s = first_s + 0.04 * np.arange(600)
    sent_s = first_s + (400 + np.arange(1, 601)) * tok_s / 4
    assert k == int(np.argmax(np.maximum(sent_s[:-1], arrivals_s[:-1]) < arrivals_s[1:])) + 1
    assert record.delivered_s[k] == pytest.approx(max(sent_s[k - 1], arrivals_s[k - 1]) + 0.1)


@pytest.mark.parametrize("acceptance", [0.0, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("n_draft", [1, 4])
def test_speculation_yields_what_the_formula_says_and_takes_a_round_trip_a_round(acceptance, n_draft):
    parts = model(
        device=profile(decode_tok_per_s=50.0, prefill_s_per_tok=1e-4), service=STEADY, link=constant_link(RTT_S)
    )
    n, answer = 60, 1000
    played = play(Speculative(acceptance=acceptance, n_draft=n_draft), parts, requests(n, output_tok=answer))
    round_s = n_draft / 50.0 + RTT_S + 0.04
    wanted = sum(acceptance**i for i in range(n_draft + 1))
    rounds = np.array([np.unique(r.delivered_s).size - 1 for r in played.records])
    for record, n_rounds in zip(played.records, rounds, strict=True):
        steps_s = np.diff(np.unique(record.delivered_s))
        assert steps_s == pytest.approx(np.full(n_rounds, round_s))
        assert record.device_decode_tok == n_rounds * n_draft == record.n_tok_wasted
    yields = (answer - 1) / rounds
    # a round yields at most n_draft + 1 tokens, so the mean over 60 x 200 rounds has a standard error below 0.02; the
    # last round is cut off, a bias below one round in 200. 5 standard errors: a false alarm in a million runs
    assert yields.mean() == pytest.approx(wanted, abs=0.1, rel=0.005)
