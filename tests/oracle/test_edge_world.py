"""Sketch, way, rounds and reading order against a short program that knows neither streams nor events."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import constant, constant_link, edge_box, examples, model, play, requests, server

from discosim.policies.edge_only import EdgeOnly
from discosim.policies.fixed_rho import FixedRho
from discosim.world.answers import AnswerModel, Answers
from discosim.world.link import LinkModel

BYTES = 4.0


def plain_answer(lengths, edge, prompt_tok, ready_s, up_s, down_s, *, grouped, ratio):
    """Return when each token reaches the client if one idle box writes all parts: longest lists first, or in order."""
    waiting = list(range(len(lengths)))
    keys = [int(np.floor(np.log(n) / np.log(ratio))) if grouped else 0 for n in lengths]
    now_s, arrival_s, is_first, maxima_s = ready_s + up_s, {}, True, 0.0
    while waiting:
        counts = {k: min(edge.slots, sum(keys[i] == k for i in waiting)) for k in {keys[i] for i in waiting}}
        start = max(counts, key=lambda k: (counts[k], k))
        batch = sorted(waiting, key=lambda i: (abs(keys[i] - start), keys[i], i))[: edge.slots]
        token_s = edge.decode_s * (1 + edge.batch_slowdown * (len(batch) - 1))
        begin_s = now_s + (edge.prefill_s_per_tok * prompt_tok if is_first else 0.0)
        is_first = False
        for i in batch:
            arrival_s[i] = begin_s + np.arange(1, lengths[i] + 1) * token_s + down_s
            waiting.remove(i)
        longest_s = max(lengths[i] for i in batch) * token_s
        maxima_s += longest_s
        now_s = begin_s + longest_s
    in_order = np.maximum.accumulate(np.concatenate([arrival_s[i] for i in range(len(lengths))]))
    return in_order, maxima_s


@examples(60)
@given(
    st.integers(1, 5),
    st.sampled_from([0.0, 0.2]),
    st.sampled_from([0.0, 0.7]),
    st.sampled_from([0.1, 0.5, 1.0]),
    st.booleans(),
    st.sampled_from([0.0, 0.08]),
    st.integers(0, 10_000),
)
def test_a_noiseless_world_is_a_few_lines_of_arithmetic(slots, slowdown, sigma, rho, grouped, edge_rtt_s, seed):
    edge = edge_box(slots=slots, batch_slowdown=slowdown, memory_tok=10**6)
    link = constant_link(edge_rtt_s, uplink_bit_per_s=1e6) if edge_rtt_s else LinkModel()
    edge = replace(edge, link=link)
    answers = AnswerModel(1.0, part_tok=15.0, part_sigma=sigma)
    service = server(ttft=constant(0.6), tpot=constant(0.03))
    parts = model(service=service, link=constant_link(0.1), edge=edge, answers=answers)
    table = replace(requests(12, seed=seed), arrival_s=np.arange(1.0, 13.0) * 1000.0)
    policy = FixedRho(rho=rho, length_error=0.0, length_grouping=grouped)
    played = play(policy, parts, table, seed=seed)
    for i, record in enumerate(played.records):
        sketch_tok = max(1, round(rho * record.output_tok))
        sketched_s = record.arrival_s + 0.1 + 0.6 + (sketch_tok - 1) * 0.03
        n_parts = max(1, min(12, round(record.output_tok / 15.0)))
        lengths, _ = Answers(answers, played.world.luck).parts_tok(i, record.output_tok, n_parts, 0.0)
        context_tok = record.prompt_tok + sketch_tok
        up_s = edge_rtt_s / 2 + (8 * BYTES * context_tok / 1e6 if edge_rtt_s else 0.0)
        want_s, maxima_s = plain_answer(
            lengths.tolist(), edge, context_tok, sketched_s, up_s, edge_rtt_s / 2, grouped=grouped, ratio=1.25
        )
        assert record.delivered_s == pytest.approx(want_s, abs=1e-6)
        assert record.sketch_tok == record.server_output_tok == sketch_tok
        assert record.edge_decode_tok == record.output_tok
        assert record.edge_prefill_tok == context_tok
        # T_exp is the sum of the longest of each round, and the last token of all rounds ends it
        prefill_s = edge.prefill_s_per_tok * context_tok
        assert record.delivered_s[-1] - (sketched_s + up_s + prefill_s + edge_rtt_s / 2) == pytest.approx(maxima_s)


def test_edge_only_on_own_boxes_is_prefill_and_a_steady_rate():
    edge = edge_box(sharing="own", link=None)
    table = requests(40, gap_s=5.0)
    played = play(EdgeOnly(), model(edge=edge, link=constant_link(0.06)), table)
    for record in played.records:
        first_s = record.arrival_s + 0.06 + 0.002 * record.prompt_tok
        want_s = first_s + np.arange(1, record.output_tok + 1) / 30.0
        assert record.delivered_s == pytest.approx(want_s)
        assert record.edge_box_s == pytest.approx(0.002 * record.prompt_tok + record.output_tok / 30.0)
