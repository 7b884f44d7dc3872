"""The edge tier: lists, memory, rounds, cancels, candidates; answers and quality."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import DEAR_SERVER, NO_LINK, constant_link, edge_box, examples, model, past, play, requests, server

from discosim.config import load_scenario
from discosim.core.errors import UserError
from discosim.core.request import Segment
from discosim.core.scenario import Outage
from discosim.policies import Policy
from discosim.policies.edge_only import EdgeOnly
from discosim.policies.fixed_rho import FixedRho
from discosim.policies.pice import Pice
from discosim.policies.skeleton_of_thought import SkeletonOfThought
from discosim.policies.sketching import Forecast
from discosim.world.answers import AnswerModel, split
from discosim.world.quality import QualityModel, Written, expected_max


class Parts(Policy):
    """Write every answer in six parts of the given guessed lengths."""

    def __init__(self, width=1, stop_after_s=None, key=None):
        self.width, self.stop_after_s, self.key = width, stop_after_s, key

    def prepare(self, view):
        pass

    def serve(self, session):
        answer = session.expand("edge", 6, width=self.width, list_key=self.key)
        winner = yield session.first_token_of(answer, within_s=self.stop_after_s)
        if winner is None:
            answer.stop()
            session.fail()
            return
        session.keep(answer)
        yield session.finished()


def one(edge, policy=None, **changes):
    parts = model(edge=edge, answers=AnswerModel(1.0, 10.0, changes.pop("sigma", 0.0)), **changes)
    return play(policy or Parts(), parts, requests(1, prompt_tok=10, output_tok=60))


# --- boxes ---------------------------------------------------------------------------------------------------------


def test_six_parts_on_four_slots_take_two_rounds_and_one_prefill():
    played = one(edge_box(slots=4, batch_slowdown=0.5, memory_tok=1000))
    (record,) = played.records
    rounds_s = 10 / 30 * (1 + 0.5 * 3) + 10 / 30 * 1.5
    assert record.delivered_s[-1] - record.arrival_s == pytest.approx(10 * 0.002 + rounds_s)
    assert record.edge_prefill_tok == 10
    figures = played.world.edge_figures()
    assert figures["edge_batch_mean"] == 3.0
    assert figures["edge_busy_s"] == pytest.approx(10 * 0.002 + rounds_s)
    assert 0.0 < figures["edge_idle_slot_share"] < 0.5
    assert record.n_parts == 6
    assert record.segments == (Segment("edge", 1, 60),)


def test_a_pool_shares_the_parts_out_and_each_box_prefills():
    played = one(edge_box(slots=3, n_boxes=2))
    (record,) = played.records
    assert record.edge_prefill_tok == 20
    assert record.delivered_s[-1] - record.arrival_s == pytest.approx(10 * 0.002 + 10 / 30 * 1.2)


def test_memory_bounds_a_round_and_what_never_fits_is_refused():
    played = one(edge_box(slots=6, memory_tok=10 + 2 * 10, batch_slowdown=0.0, prefill_s_per_tok=0.0))
    assert played.records[0].delivered_s[-1] - played.records[0].arrival_s == pytest.approx(3 * 10 / 30)
    refused = one(edge_box(memory_tok=19))
    assert refused.records[0].status == "failed"
    assert refused.records[0].unified_cost_usd == 0.0


def test_a_prompt_stays_in_memory_while_there_is_room():
    """Six requests meet in the rounds of one box, part by part."""

    def prefilled_tok(memory_tok):
        parts = model(edge=edge_box(slots=2, memory_tok=memory_tok), answers=AnswerModel(1.0, 10.0, 1.0))
        records = play(Parts(key=int), parts, requests(6, gap_s=0.01, prompt_tok=100, output_tok=60)).records
        return sum(r.edge_prefill_tok for r in records)

    assert prefilled_tok(4096) == 600
    assert prefilled_tok(300) > 600


def test_a_token_counts_when_all_parts_before_it_are_there():
    played = one(edge_box(slots=1, batch_slowdown=0.0), Parts(key=int), sigma=1.0)
    (record,) = played.records
    # the longest part is written first, and read in its place
    assert (np.diff(record.delivered_s) >= 0).all()
    assert record.generated_s.argmin() > 0
    assert (record.delivered_s >= record.generated_s - 1e-9).all()


def test_a_pick_waits_for_all_candidates_and_the_others_are_wasted():
    narrow, wide = (one(edge_box(slots=12, batch_slowdown=0.0), Parts(width=k)).records[0] for k in (1, 2))
    assert wide.n_tok_wasted == 60
    assert wide.edge_decode_tok == 120
    assert wide.edge_prefill_tok == 20
    assert wide.delivered_s[0] == wide.delivered_s[9] > narrow.delivered_s[0]
    assert wide.delivered_s[-1] == pytest.approx(narrow.delivered_s[-1] + 10 * 0.002)


def test_a_cancel_is_paid_until_it_arrives_and_frees_the_box():
    edge = edge_box(slots=6, batch_slowdown=0.0, prefill_s_per_tok=0.0, link=constant_link(0.2))
    played = one(edge, Parts(stop_after_s=0.21))
    (record,) = played.records
    # sent at 0, there at 0.1, stopped at 0.21, cancel there at 0.31: six sequences of 0.21 s at 30 tokens/s
    assert record.status == "failed"
    assert record.edge_decode_tok == 6 * math.floor(0.21 * 30)
    assert record.edge_box_s == pytest.approx(0.21)
    pool = played.world.edge.pool_of(0)
    assert pool.lists.n == 0
    assert all(box.n_open == 0 for box in pool.boxes)


def test_shares_of_a_box_are_stays_over_the_size_of_the_batch_and_empty_slots_are_nobodys():
    # three requests in one round: prefill 3 * 10 * 2 ms, then 10, 20 and 30 tokens at 20 a second
    edge = edge_box(slots=3, batch_slowdown=0.25, decode_s=1 / 30)
    table = replace(requests(3, prompt_tok=10, output_tok=[10, 20, 30]), arrival_s=np.ones(3))
    played = play(EdgeOnly(), model(edge=edge), table)
    stays_s = 0.06 + np.array([10, 20, 30]) / 20
    np.testing.assert_allclose([record.edge_box_s for record in played.records], stays_s / 3)
    busy_s = played.world.edge_figures()["edge_busy_s"]
    assert busy_s == pytest.approx(0.06 + 1.5)
    assert sum(record.edge_box_s for record in played.records) == pytest.approx(0.06 + 1.0)
    # where all of a round end together the shares are the whole
    even = replace(requests(6, prompt_tok=10, output_tok=20), arrival_s=np.ones(6))
    played = play(EdgeOnly(), model(edge=edge), even)
    busy_s = played.world.edge_figures()["edge_busy_s"]
    assert sum(record.edge_box_s for record in played.records) == pytest.approx(busy_s)


@examples(40)
@given(st.integers(0, 10**6), st.integers(1, 6), st.booleans())
def test_shares_of_boxes_are_never_more_than_boxes_worked(seed, slots, has_cancels):
    edge = edge_box(slots=slots, n_boxes=2)
    policy = Parts(stop_after_s=0.5) if has_cancels else EdgeOnly()
    table = requests(30, seed=seed, gap_s=0.3, output_tok=np.random.default_rng(seed).integers(1, 60, 30))
    played = play(policy, model(edge=edge), table)
    shares_s = sum(record.edge_box_s for record in played.records)
    assert 0.0 < shares_s <= played.world.edge_figures()["edge_busy_s"] * (1 + 1e-9)


def test_waiting_sequences_are_dropped_without_cost():
    edge = edge_box(slots=2, batch_slowdown=0.0, prefill_s_per_tok=0.0, link=constant_link(0.2))
    (record,) = one(edge, Parts(stop_after_s=0.21)).records
    assert record.edge_decode_tok == 2 * math.floor(0.21 * 30)


def test_the_age_limit_ends_the_wait_of_a_rare_length():
    """Short sequences come faster than one box can write them; a long one comes early."""

    class Lists(Policy):
        def prepare(self, view):
            pass

        def serve(self, session):
            answer = session.expand("edge", 1, list_key=int)
            yield session.first_token_of(answer)
            session.keep(answer)
            yield session.finished()

    lengths = np.full(300, 10)
    lengths[5] = 40
    table = requests(300, gap_s=0.1, prompt_tok=5, output_tok=lengths)

    def wait_s(age_limit_s):
        edge = edge_box(slots=2, prefill_s_per_tok=0.0, age_limit_s=age_limit_s)
        record = play(Lists(), model(edge=edge), table).records[5]
        return float(record.delivered_s[0] - record.arrival_s)

    assert wait_s(1e9) > 20.0
    assert wait_s(5.0) < 10.0


def test_own_boxes_do_not_wait_for_each_other():
    table = requests(30, gap_s=0.01)
    pooled, own = (play(EdgeOnly(), model(edge=edge_box(sharing=s)), table) for s in ("pooled", "own"))
    assert own.ttft_s.max() < 1.0
    assert pooled.ttft_s.max() > 5.0


# --- policies ------------------------------------------------------------------------------------------------------


def test_sketch_and_answer_have_two_first_tokens_and_two_scores():
    parts = model(edge=edge_box(n_boxes=4))
    shown, hidden = (
        play(FixedRho(rho=0.5, show_sketch=s), parts, requests(30, output_tok=150)).columns for s in (True, False)
    )
    assert (shown["ttft_visible_s"] < shown["ttft_s"] - 0.1).all()
    assert np.array_equal(hidden["ttft_visible_s"], hidden["ttft_s"])
    assert np.array_equal(hidden["qoe_visible"], hidden["qoe_andes"])
    assert (shown["qoe_visible"] > shown["qoe_andes"]).mean() > 0.9
    for name in ("ttft_s", "qoe_andes", "e2e_s", "sketch_tok"):
        assert np.array_equal(shown[name], hidden[name])


def test_unsuitable_and_short_answers_come_from_the_server():
    parts = model(answers=AnswerModel(0.5, 20.0))
    played = play(Pice(min_tok=80, length_error=0.0, error_weight=0.0), parts, requests(200))
    suits = [played.world.answers.is_suitable(r.request_id) for r in played.records]
    for record, is_suitable in zip(played.records, suits, strict=True):
        if record.sketch_tok:
            assert is_suitable
            assert record.output_tok >= 80
    assert any(record.sketch_tok for record in played.records)


def test_a_slow_edge_is_never_asked():
    slow = model(edge=edge_box(decode_s=5.0))
    assert not any(r.sketch_tok for r in play(Pice(), slow, requests(50, output_tok=150)).records)


def test_an_edge_that_filled_up_meanwhile_leaves_the_answer_to_the_server():
    # the sketches of a burst are all asked for while the edge is idle
    table = requests(60, gap_s=0.001, output_tok=150)
    parts = model(edge=edge_box(n_boxes=1))
    with_look, without = (play(Pice(recheck=r, error_weight=0.0), parts, table).records for r in (True, False))
    back = [r for r in with_look if r.sketch_tok and r.first_endpoint == "server"]
    assert len(back) > 20
    assert all(r.first_endpoint == "edge" for r in without if r.sketch_tok)
    assert np.mean([r.delivered_s[-1] for r in with_look]) < np.mean([r.delivered_s[-1] for r in without])


def forecast(**changes):
    plain = {
        "answer_tok": 400.0,
        "prompt_tok": 50.0,
        "server_wait_s": 1.0,
        "server_token_s": 0.05,
        "queue_s_per_tok": 0.0,
        "edge_wait_s": 0.0,
        "edge_write_s": 4.0,
        "edge_queue_s": 0.0,
        "way_s": 0.0,
    }
    return Forecast(**{**plain, **changes})


def test_sketches_shorten_with_the_clouds_queue_and_vanish_with_the_edges():
    policy = Pice()
    policy.prepare(past(model()))
    rhos = [policy.choose(forecast(queue_s_per_tok=q)) for q in (0.0, 0.02, 0.05, 0.5)]
    assert rhos == sorted(rhos, reverse=True)
    assert rhos[0] > rhos[-1]
    assert policy.choose(forecast(edge_wait_s=100.0)) is None
    assert policy.choose(forecast(edge_queue_s=100.0)) is None


def test_the_smallest_rule_takes_the_shortest_allowed_sketch():
    policy = Pice(rule="smallest", q_min=0.78)
    policy.prepare(past(model()))
    rho = policy.choose(forecast())
    assert rho == min(r for r in policy.grid if policy.quality_of(r) >= 0.78)


def test_skeleton_of_thought_does_more_work_at_the_same_server():
    played = play(SkeletonOfThought(), model(), requests(40, output_tok=200))
    for record in played.records:
        assert record.segments == (Segment("server", 1, 200),)
        assert record.server_prompt_tok > record.prompt_tok * 3
        assert record.server_output_tok == 200 + record.sketch_tok
    with pytest.raises(ValueError, match="min_points"):
        SkeletonOfThought(min_points=5, max_points=3)


def test_a_server_that_is_out_leaves_the_answer_to_the_edge():
    parts = model(service=server(outages=(Outage(start_s=0.0, end_s=1e9),)))
    records = play(Pice(), parts, requests(20)).records
    assert {(r.status, r.first_endpoint) for r in records} == {("finished", "edge")}


def test_a_policy_that_needs_an_edge_says_so():
    from dataclasses import replace

    view = replace(past(model()), edge=None)
    with pytest.raises(UserError, match="needs an edge tier"):
        Pice().prepare(view)


# --- answers and quality -------------------------------------------------------------------------------------------


def test_parts_have_a_token_each_and_all_tokens_are_in_a_part():
    rng = np.random.default_rng(1)
    for _ in range(200):
        n = int(rng.integers(1, 20))
        n_tok = int(rng.integers(n, 300))
        lengths = split(n_tok, rng.lognormal(size=n))
        assert lengths.sum() == n_tok
        assert lengths.min() >= 1
    assert split(10, np.ones(4)).tolist() == [3, 3, 2, 2]
    with pytest.raises(ValueError, match="3 tokens cannot make 4 parts"):
        split(3, np.ones(4))


def test_quality_runs_from_the_edges_to_the_clouds_with_the_sketch():
    model_ = QualityModel()
    steps = [model_.at_edge(Written(rho)) for rho in (0.0, 0.2, 0.6, 1.0)]
    assert steps == sorted(steps)
    assert steps[0] == model_.edge
    assert steps[-1] == model_.cloud
    assert model_.at_edge(Written(0.2, 3, "both")) > model_.at_edge(Written(0.2, 3, "perplexity")) > steps[1]
    assert model_.at_edge(Written(0.2, 5, "random")) == steps[1]
    assert model_.at_edge(Written(0.2, is_suitable=False)) == pytest.approx(steps[1] - 0.2)
    halves = (Segment("device", 1, 10), Segment("server", 11, 20))
    assert model_.of(halves, Written(), is_in_parts=False) == pytest.approx(0.8)


@pytest.mark.parametrize(("k", "known"), [(1, 0.0), (2, 1 / math.sqrt(math.pi)), (3, 1.5 / math.sqrt(math.pi))])
def test_the_expected_largest_of_k_normals_is_the_known_one(k, known):
    assert expected_max(k) == pytest.approx(known, abs=1e-6)


# --- bad input -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("edge.slots=0", r"edge.slots: must be >= 1"),
        ("edge.n_boxes=0", r"edge.n_boxes: must be >= 1"),
        ("edge.memory_tok=0", r"edge.memory_tok"),
        ("edge.batch_slowdown=-0.1", r"edge.batch_slowdown"),
        ("edge.link.kind=wire", r"edge.link.kind: unknown kind 'wire'"),
        ("edge.profile=toaster", r"toaster"),
        ("answers.labels=alpaca", r"answers.labels"),
        ("quality.edge=1.2", r"quality.edge"),
        ("quality.sketch_power=0", r"quality.sketch_power"),
        ("policies.5.rho=0", r"rho"),
        ("policies.5.rho=1.5", r"rho"),
        ("policies.7.rho_max=0", r"rho_max"),
        ("policies.7.width=0", r"width"),
        ("policies.7.max_parts=0", r"max_parts"),
        ("edge=null", r"needs an edge tier"),
    ],
)
def test_bad_input_is_refused_in_one_line(change, message):
    with pytest.raises(UserError, match=message) as refused:
        load_scenario("pice", overrides=[change])
    assert "Traceback" not in str(refused.value)


def test_prices_of_the_edge_stand_in_the_bill():
    played = play(EdgeOnly(), model(meter=DEAR_SERVER, link=NO_LINK), requests(20))
    for record in played.records:
        assert record.edge_cost_usd == pytest.approx(1e-7 * record.edge_prefill_tok + 2e-7 * record.edge_decode_tok)
        assert record.edge_energy_j == pytest.approx(0.1 * record.edge_prefill_tok + 0.3 * record.edge_decode_tok)
        energy_usd = DEAR_SERVER.exchange_rate_usd_per_j * record.edge_energy_j
        assert record.unified_cost_usd == pytest.approx(record.edge_cost_usd + energy_usd)
