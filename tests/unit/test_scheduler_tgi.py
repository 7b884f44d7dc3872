"""TGI's admission by hand: a prefill takes 50 ms and a decode iteration 10 ms, and memory is counted in tokens."""

from __future__ import annotations

import pytest
from engines import FLAT, run_leaping, token_times
from stepping_engine import Ask

from discosim.world.engine.floor import ReplicaModel
from discosim.world.engine.schedulers.tgi import Tgi


def first_s(asks, *, kv_tok=10_000, max_batch=100, **options):
    model = ReplicaModel(cost=FLAT, kv_blocks=kv_tok, block_tok=1, watermark=0.0, max_batch=max_batch)
    _, jobs, _ = run_leaping(model, Tgi(**options), asks)
    return [pytest.approx(float(token_times(job)[0])) for job in jobs]


FOUR = [Ask(0.0, 10, 100)] * 4


def test_decoding_stops_when_enough_wait():
    # four decode; two who wait are half as many: at the boundary at 0.07
    assert first_s([*FOUR, Ask(0.062, 10, 5), Ask(0.063, 10, 5)], waiting_served_ratio=0.5)[4:] == [0.12, 0.12]
    # one alone is not, until 20 iterations have begun since the prefill: 0.05 + 19 * 0.01
    assert first_s([*FOUR, Ask(0.062, 10, 5)], waiting_served_ratio=0.5)[4] == 0.24 + 0.05
    assert first_s([*FOUR, Ask(0.062, 10, 5)], waiting_served_ratio=0.5, max_waiting_tok=7)[4] == 0.11 + 0.05
    # as TGI rounds down, one is enough at its default of 0.3
    assert first_s([*FOUR, Ask(0.062, 10, 5)])[4] == 0.07 + 0.05


def test_the_whole_answer_is_reserved():
    # 10 + 60 - 1 tokens are reserved, 10 + 30 must fit beside them; the first request ends at 0.05 + 59 * 0.01
    asks = [Ask(0.0, 10, 60), Ask(0.001, 10, 30)]
    for budget in ("kv_tok", "max_batch_total_tok"):
        assert first_s(asks, **{budget: 109})[1] == 0.05 + 0.05
        assert first_s(asks, **{budget: 108})[1] == 0.64 + 0.05
    # what a client asks for counts, not what it gets
    assert first_s(asks, kv_tok=139, max_new_tok=60)[1] == 0.05 + 0.05
    assert first_s(asks, kv_tok=138, max_new_tok=60)[1] == 0.64 + 0.05


def test_who_was_interrupted_decodes_once_before_the_next_prefill():
    asks = [Ask(0.0, 10, 100), Ask(0.062, 10, 5), Ask(0.062, 10, 5)]
    assert first_s(asks, max_batch_prefill_tok=16) == [0.05, 0.12, 0.18]
    # the first prefill interrupts nobody
    assert first_s([Ask(0.0, 10, 100)] * 3, max_batch_prefill_tok=16) == [0.05, 0.10, 0.16]


def test_places_are_limited_and_a_prompt_over_the_budget_has_the_replica_to_itself():
    assert first_s([Ask(0.0, 10, 11), Ask(0.0, 10, 11), Ask(0.0, 10, 5)], max_batch=2) == [0.05, 0.05, 0.20]
    assert first_s([Ask(0.0, 200, 11), Ask(0.0, 10, 5)], max_batch_prefill_tok=16) == [0.05, 0.10]
    assert first_s([Ask(0.0, 10, 11), Ask(0.001, 200, 5)], max_batch_prefill_tok=16) == [0.05, 0.20]
