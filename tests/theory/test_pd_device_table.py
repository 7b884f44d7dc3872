"""The table that public calibration data give for P/D-Device comes out of the simulator; prices, quality and pacers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import constant, constant_link, examples, model, past, play, profile, requests, server

from discosim import load_scenario
from discosim.policies.catch_up import Choice, cheapest, occupied_s, shadow_price, smallest_k
from discosim.policies.pacers.base import Outlook
from discosim.policies.pacers.constant import ConstantPacer
from discosim.policies.pacers.continuity import ContinuityPacer
from discosim.policies.pacers.feedback import FeedbackPacer
from discosim.policies.pacers.none import NoPacer
from discosim.policies.pd_device import PDDevice
from discosim.policies.refinement import PUBLISHED, RefinedQuality
from discosim.runs.build import build

# prefill tok/s of the device, prompt, device TTFT s, P/D TTFT s, cut %, then K at (tau 50 ms, 100 ms) for rho = 1, 0.5,
# 0.25. Derived by hand from DistServe's fit of OPT-13B and Qualcomm's figures; no numbers of the paper.
TABLE = [
    (828, 2000, 2.42, 0.31, 87, (45, 23), (26, 14), (14, 8)),
    (828, 4000, 4.83, 0.60, 88, (88, 44), (51, 26), (26, 14)),
    (828, 8000, 9.66, 1.35, 86, (172, 86), (101, 50), (51, 26)),
    (616, 8000, 12.99, 1.35, 90, (242, 120), (136, 68), (69, 35)),
    (1164, 8000, 6.87, 1.35, 80, (114, 57), (71, 36), (36, 19)),
    (1451, 8000, 5.51, 1.35, 76, (86, 43), (57, 29), (29, 15)),
    (3453, 8000, 2.32, 1.35, 42, (21, 11), (25, 13), (13, 7)),
]


@pytest.mark.parametrize(("rate", "prompt", "alone_s", "first_s", "cut", "whole", "half", "quarter"), TABLE)
def test_the_table_comes_out_of_the_simulator(rate, prompt, alone_s, first_s, cut, whole, half, quarter):
    device = profile(prefill_s_per_tok=1.0 / rate, decode_tok_per_s=13.05)
    prefill_s = (18.10 + 0.10191 * prompt + 7.12e-6 * prompt**2) / 1e3
    parts = model(
        device=device, service=server(ttft=constant(prefill_s), tpot=constant(0.045)), link=constant_link(0.06)
    )
    assert round(device.prefill_s(prompt), 2) == alone_s
    for share, wanted in ((1.0, whole), (0.5, half), (0.25, quarter)):
        for limit_s, k in zip((0.05, 0.1), wanted, strict=True):
            policy = PDDevice(
                tpot_limit_s=limit_s, keep_device_pace=False, kept_share=share, slack_tok=1, device_start="arrival"
            )
            played = play(policy, parts, requests(1, prompt_tok=prompt, output_tok=600))
            assert played.records[0].segments[0].last_token == k
            assert round(played.ttft_s[0], 2) == first_s
            assert round(100 * (1 - played.ttft_s[0] / device.prefill_s(prompt))) == cut


# Decode-pool and slot gain for rho = 1, 0.5, 0.25, then GPU-time gain at a batch of 8 and 32 (rho = 1). By hand from
# the full trace files, prompts up to 8192; an 8B phone at its own pace of 77 ms, one token of slack.
GAINS = {
    "azure-conv": ((12.9, 19.7, 34.5), (10.9, 15.2, 22.5), (4.1, 2.5)),
    "azure-code": ((2.2, 2.6, 3.6), (1.8, 2.0, 2.5), (1.2, 1.1)),
    "mooncake-conversation": ((7.6, 12.5, 23.1), (6.3, 9.2, 13.7), (3.0, 2.3)),
}


@pytest.mark.parametrize("digest", GAINS)
def test_the_gains_by_sense_come_out_of_the_closed_form(digest):
    world = build(
        load_scenario(
            "pd-device",
            overrides=[
                f"workload.lengths={{kind: digest, digest: {digest}}}",
                "workload.n_requests=20000",
                "workload.max_prompt_tok=8192",
                "workload.max_output_tok=null",
                "workload.over_limit=reject",
                "server.max_context_tok=100000",
            ],
        )
    )
    table = world.requests(0)
    prompt, answer = (tok[~table.rejected].astype(float) for tok in (table.prompt_tok, table.output_tok))
    phone = profile(prefill_s_per_tok=1.0 / 828, decode_tok_per_s=13.05)
    prefill_s = (18.10 + 0.10191 * prompt + 7.12e-6 * prompt**2) / 1e3
    cloud = {}
    for share in (1.0, 0.5, 0.25):
        lead_s = 0.06 + prefill_s if share == 1.0 else np.zeros_like(prompt)
        k = [smallest_k(phone, share * p, s, 0.077) + 1 for p, s in zip(prompt, lead_s, strict=True)]
        cloud[share] = np.minimum(k, answer)

    def slot_s(tok):  # the table's slots are held for the 60 ms of the last hop as well
        return np.mean([occupied_s(0.06 + s, n, 0.045) for s, n in zip(prefill_s, tok, strict=True)])

    def gpu_s(tok, batch):
        gap_s = (19.93 + 6.27e-4 * batch * (prompt.mean() + answer.mean() / 2) + 0.0385 * batch) / 1e3
        return np.mean(prefill_s + tok * gap_s / batch)

    pool = [answer.mean() / tok.mean() for tok in cloud.values()]
    slots = [slot_s(answer) / slot_s(tok) for tok in cloud.values()]
    gpu = [gpu_s(answer, batch) / gpu_s(cloud[1.0], batch) for batch in (8, 32)]
    # Half a unit of the last digit, and 3 % as 20,000 requests are drawn from a digest of the trace: the standard error
    # of the mean answer is about 1 %, and that of a ratio is smaller.
    wanted = np.concatenate(GAINS[digest])
    off = np.abs(np.concatenate((pool, slots, gpu)) - wanted)
    assert (off <= 0.05 + 0.03 * wanted).all(), off


choices = st.lists(
    st.tuples(st.floats(0.1, 1.0), st.floats(0.1, 20.0), st.floats(0.0, 1.0)).map(
        lambda row: Choice(row[0], 1, row[1], row[2])
    ),
    min_size=1,
    max_size=5,
)


@examples(100)
@given(st.lists(choices, min_size=1, max_size=8), st.floats(0.05, 25.0))
def test_the_price_is_the_smallest_that_meets_the_limit(sample, limit_s):
    def mean_s(price):
        return sum(cheapest(row, price).slot_s for row in sample) / len(sample)

    price = shadow_price(lambda: sample, limit_s)
    if price == math.inf:
        assert mean_s(1e4) > limit_s
        return
    assert mean_s(price) <= limit_s
    if price > 0.0:
        assert mean_s(0.999 * price - 1e-9) > limit_s


def test_quality_falls_below_the_knee_only_and_lies_near_the_published_points():
    curve = RefinedQuality()
    for prompt_tok in (100, 1000, 8000):
        shares = np.linspace(0.01, 1.0, 50)
        values = [curve.quality(share, prompt_tok) for share in shares]
        assert (np.diff(values) >= 0).all()
        assert values[-1] == 1.0
    for share, published in PUBLISHED:  # 170-token contexts; the manuscript's own intervals are about 0.1 wide
        assert curve.quality(share, 170) == pytest.approx(published, abs=0.15)


@examples(100)
@given(
    st.lists(st.floats(0.0, 0.2), min_size=2, max_size=60),
    st.integers(1, 60),
    st.floats(0.0, 6.0),
    st.sampled_from([ConstantPacer(), ContinuityPacer(), FeedbackPacer(), NoPacer()]),
)
def test_a_pacer_never_shows_a_token_early_or_out_of_order_and_waits_for_none_it_does_not_know(gaps, n, hand, pacer):
    arrival = 1.0 + np.cumsum(gaps)
    n_cloud = min(n, arrival.size)
    outlook = Outlook(1.0 + hand, n_cloud, 0.03, 0.07, 0.1)
    shown = pacer.display_s(arrival, n_cloud, outlook)
    assert (shown >= arrival - 1e-12).all()
    assert (np.diff(shown) >= -1e-12).all()
    assert shown[0] == pytest.approx(arrival[0])
    later = arrival.copy()
    later[-1] += 5.0  # what comes later changes nothing that was shown before
    again = pacer.display_s(later, n_cloud, outlook)
    np.testing.assert_allclose(again[:-1], shown[:-1])


ARRIVALS = 1.0 + 0.03 * np.arange(40)  # the cloud's tokens at its own speed; K = 40, displayed at 30 to 100 ms


def ahead(hand_over_s):
    return Outlook(hand_over_s, cloud_tok=40, cloud_gap_s=0.03, device_gap_s=0.07, limit_s=0.1)


@pytest.mark.parametrize(("hand_over_s", "pace_s"), [(3.0, 0.05), (1.5, 0.03), (9.0, 0.1)])  # within, and both limits
def test_constant_pace_spreads_the_tokens_up_to_the_hand_over(hand_over_s, pace_s):
    for law in (ConstantPacer(), FeedbackPacer()):  # where all goes as expected the feedback has nothing to correct
        shown = law.display_s(ARRIVALS, 40, ahead(hand_over_s))
        np.testing.assert_allclose(shown[:2], [1.0, 1.0 + pace_s])
        if hand_over_s <= 3.0 or isinstance(law, ConstantPacer):
            np.testing.assert_allclose(shown, 1.0 + pace_s * np.arange(40))


def test_continuity_pace_is_that_of_the_device_whenever_the_hand_over_is():
    for hand_over_s in (1.5, 3.0, 9.0):
        shown = ContinuityPacer().display_s(ARRIVALS, 40, ahead(hand_over_s))
        np.testing.assert_allclose(shown, 1.0 + 0.07 * np.arange(40))


def test_feedback_shares_out_what_is_left_and_takes_a_quarter_of_each_correction():
    late = np.where(np.arange(40) < 10, ARRIVALS, ARRIVALS + 1.0)  # the eleventh token comes at 2.3 instead of 1.3
    shown = FeedbackPacer().display_s(late, 40, ahead(3.0))
    np.testing.assert_allclose(shown[:11], [*(1.0 + 0.05 * np.arange(10)), 2.3])
    pace_s, at_s = 0.05, 2.3
    for k in range(11, 15):
        pace_s += 0.25 * (max(0.03, (3.0 - at_s) / (40 - k + 1)) - pace_s)
        at_s += pace_s
        assert shown[k] == pytest.approx(at_s)


def test_a_tight_limit_on_slots_lowers_the_kept_share_then_sheds_to_the_device():
    device = profile(prefill_s_per_tok=1 / 800, decode_tok_per_s=14.0)
    parts = model(device=device, service=server(ttft=constant(0.5), tpot=constant(0.04)), link=constant_link(0.05))
    table = requests(60, prompt_tok=np.arange(400, 4000, 60), output_tok=300)
    view = past(parts, prompt_tok=table.prompt_tok, output_tok=table.output_tok)
    used = {}
    for limit_s in (None, 1.2, 0.2):
        played = play(PDDevice(settings="priced", slot_limit_s=limit_s), parts, table, view=view)
        used[limit_s] = sum(r.server_output_tok for r in played.records)
    assert used[None] > used[1.2] > used[0.2]
