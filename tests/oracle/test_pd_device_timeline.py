"""P/D-Device in a noiseless world: the reconstruction's equations hold token for token, and K_min is the smallest K."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from worlds import constant, constant_link, examples, model, play, profile, requests, server

from discosim import load_scenario, simulate
from discosim.policies.catch_up import NEVER, smallest_k
from discosim.policies.pd_device import PDDevice
from discosim.runs.build import build

ANSWER = 900
RTT_S = 0.06


def play_one(policy, ttft_s, gap_s, device, prompt_tok, answer_tok=ANSWER, rtt_s=RTT_S):
    service = server(ttft=constant(ttft_s), tpot=constant(gap_s))
    parts = model(device=device, service=service, link=constant_link(rtt_s))
    played = play(policy, parts, requests(1, prompt_tok=prompt_tok, output_tok=answer_tok, gap_s=1.0))
    return played, played.records[0]


cases = st.fixed_dictionaries(
    {
        "ttft_s": st.floats(0.1, 2.0),
        "gap_s": st.floats(0.01, 0.045),
        "rtt_s": st.floats(0.0, 0.4),
        "prompt_tok": st.integers(1, 4000),
        "prefill_s_per_tok": st.floats(0.0003, 0.004),
        "decode_tok_per_s": st.floats(21.0, 60.0),
        "chunk_tok": st.sampled_from([None, 128]),
    }
)


def play_case(policy, case):
    device = device_of(case)
    return play_one(policy, case["ttft_s"], case["gap_s"], device, case["prompt_tok"], rtt_s=case["rtt_s"])


def device_of(case):
    return profile(
        prefill_s_per_tok=case["prefill_s_per_tok"],
        decode_tok_per_s=case["decode_tok_per_s"],
        chunk_tok=case["chunk_tok"],
        prefill_intercept_s=0.1,
    )


@examples(80)
@given(cases, st.integers(1, 300), st.booleans(), st.floats(0.2, 1.0))
def test_the_timeline_is_that_of_the_equations(case, k, starts_refined, kept):
    device, prompt = device_of(case), case["prompt_tok"]
    policy = PDDevice(
        settings="fixed",
        cloud_tok=k,
        kept_share=kept if starts_refined else 1.0,
        device_start="refined" if starts_refined else "arrival",
    )
    _, record = play_case(policy, case)
    # by hand: A_k, s, H and the tokens after it, since the arrival of the request
    first = case["rtt_s"] + case["ttft_s"]
    cloud = first + np.arange(k) * case["gap_s"]
    whole = device.prefill_s(prompt)
    start, kept_tok = (first, math.ceil(policy.kept_share * prompt)) if starts_refined else (0.0, prompt)
    if starts_refined and first > whole:  # the cloud is late: the device has begun with what it has
        start, kept_tok = whole, prompt
    own = device.prefill_s(kept_tok)
    if first > start + own:  # D_1 = min(A_1, own first token)
        alone = start + own + np.arange(ANSWER) / device.decode_tok_per_s
        np.testing.assert_allclose(record.delivered_s - record.arrival_s, alone, rtol=1e-9)
        assert (record.segments[0].endpoint, record.device_prefill_tok) == ("device", prompt)
        return
    hand_over = max(start + own + k * device.prefill_s_per_tok, cloud[-1] + device.prefill_s_per_tok)
    rest = hand_over + np.arange(ANSWER - k) / device.decode_tok_per_s
    np.testing.assert_allclose(record.delivered_s - record.arrival_s, np.concatenate((cloud, rest)), rtol=1e-9)
    assert [(s.endpoint, s.first_token, s.last_token) for s in record.segments] == [
        ("server", 1, k),
        ("device", k + 1, ANSWER),
    ]
    assert record.server_output_tok == k
    assert record.device_prefill_tok == kept_tok + k
    assert record.device_decode_tok == ANSWER - k


@examples(80)
@given(cases, st.floats(0.05, 0.12), st.booleans())
def test_k_min_is_the_smallest_k_without_a_gap(case, limit_s, starts_refined):
    device, prompt = device_of(case), case["prompt_tok"]
    first = case["rtt_s"] + case["ttft_s"]
    k_min = smallest_k(device, prompt, 0.0 if starts_refined else first, limit_s)
    assume(1 < k_min < ANSWER - 1 and first < device.prefill_s(prompt))

    def longest_gap(k):
        policy = PDDevice(
            settings="fixed",
            cloud_tok=k,
            tpot_limit_s=limit_s,
            device_start="refined" if starts_refined else "arrival",
            pacer="constant",
        )
        played, _ = play_case(policy, case)
        return float(played.columns["tbt_displayed_max_s"][0])

    assert longest_gap(k_min) <= limit_s + 1e-6
    assert longest_gap(k_min - 1) > limit_s + 1e-7


@examples(40)
@given(cases)
def test_the_closed_form_policy_finds_k_min_where_nothing_is_uncertain(case):
    device = device_of(case)
    assume(device.prefill_s(case["prompt_tok"]) > case["rtt_s"] + case["ttft_s"])
    policy = PDDevice(settings="closed_form", slack_tok=0, tpot_limit_s=0.08)
    _, record = play_case(policy, case)
    wanted = smallest_k(device, case["prompt_tok"], case["rtt_s"] + case["ttft_s"], 0.08)
    shown = {s.endpoint: s.last_token - s.first_token + 1 for s in record.segments}
    assert shown["server"] == min(wanted, ANSWER)


@examples(40)
@given(cases)
def test_without_a_controller_there_is_a_burst_and_then_the_whole_gap(case):
    device, k = device_of(case), 5
    own = device.prefill_s(case["prompt_tok"])
    cloud_end = case["rtt_s"] + case["ttft_s"] + (k - 1) * case["gap_s"]
    hand_over = own + k * device.prefill_s_per_tok
    assume(hand_over > cloud_end + 0.1)
    played, _ = play_case(PDDevice(settings="fixed", cloud_tok=k, pacer="none"), case)
    assert played.columns["tbt_displayed_max_s"][0] == pytest.approx(hand_over - cloud_end, rel=1e-6)


@examples(60)
@given(cases)
def test_the_closed_loop_stops_when_everything_received_is_absorbed(case):
    device, prompt = device_of(case), case["prompt_tok"]
    assume(device.prefill_s_per_tok < 0.9 * case["gap_s"])
    assume(device.prefill_s(prompt) > case["rtt_s"] + case["ttft_s"])
    _, record = play_case(PDDevice(settings="closed_loop"), case)
    arrivals = case["rtt_s"] + case["ttft_s"] + np.arange(ANSWER) * case["gap_s"]
    absorbed = np.maximum(device.prefill_s(prompt) + np.arange(1, ANSWER + 1) * device.prefill_s_per_tok, arrivals)
    caught_up = absorbed[:-1] < arrivals[1:] - 1e-6
    assume(np.abs(absorbed[:-1] - arrivals[1:]).min() > 1e-6)
    k = int(np.argmax(caught_up)) + 1 if caught_up.any() else ANSWER
    shown = {s.endpoint: s.last_token - s.first_token + 1 for s in record.segments}
    assert shown["server"] == k
    if k < ANSWER:  # the STOP travels up while the cloud goes on: a waste of that many tokens, and no more
        assert 0 <= record.server_output_tok - k <= math.ceil(case["rtt_s"] / case["gap_s"]) + 1


def test_an_answer_that_ends_first_cancels_the_device():
    device = profile(prefill_s_per_tok=0.01)
    _, record = play_one(PDDevice(settings="fixed", cloud_tok=50), 0.2, 0.03, device, 400, answer_tok=20)
    assert [s.endpoint for s in record.segments] == ["server"]
    assert record.device_decode_tok == 0
    ended_s = RTT_S + 0.2 + 19 * 0.03
    assert record.device_prefill_tok == pytest.approx(ended_s / 0.01)


def test_a_cloud_that_refuses_leaves_the_answer_to_the_device():
    parts = model(device=profile(), service=server(failure_share=1.0, failure_after_s=0.5), link=constant_link(RTT_S))
    for start in ("arrival", "refined"):
        played = play(PDDevice(device_start=start), parts, requests(5))
        assert all(r.status == "finished" and r.segments[0].endpoint == "device" for r in played.records)


def test_a_prompt_beyond_the_device_is_answered_by_the_cloud_alone():
    _, record = play_one(PDDevice(), 0.2, 0.03, profile(max_context_tok=300), 400)
    assert [(s.endpoint, s.last_token) for s in record.segments] == [("server", ANSWER)]
    assert record.device_prefill_tok == 0


def test_a_device_slower_than_the_display_never_catches_up():
    assert smallest_k(profile(prefill_s_per_tok=0.06), 100, 0.1, 0.05) == NEVER
    _, record = play_one(PDDevice(keep_device_pace=False), 0.2, 0.03, profile(prefill_s_per_tok=0.06), 400)
    assert [s.endpoint for s in record.segments] == ["server"]


def test_the_ready_configuration_without_chance_shows_one_gap_and_one_only_without_the_controller():
    scenario = load_scenario("pd-device-exact")
    phone = build(scenario).model.fleet[0][0]
    first, rate_s, own = 0.06 + 0.25, phone.prefill_s_per_tok, phone.prefill_s(2000)
    k_min = smallest_k(phone, 2000, first, 0.1)
    assert k_min == 22 == math.ceil((own - first) / (0.1 - rate_s))
    shown = simulate(scenario).requests.groupby("policy")["tbt_displayed_max_s"].mean()
    assert shown["K = 22"] <= 0.1
    assert shown["K = 21"] == pytest.approx(own + 21 * rate_s - first - 20 * 0.1)
    assert shown["K = 21"] > 0.1
    assert shown["K = 22 without controller"] == pytest.approx(own + 22 * rate_s - first - 21 * 0.045)
