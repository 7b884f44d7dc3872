"""Iteration times from what a GPU does: worked out by hand, and kept in digests."""

from __future__ import annotations

import dataclasses
import json

import pytest

from discosim.core.errors import UserError
from discosim.runs.build_engine import cost_of
from discosim.traces.catalogue import load_digest
from discosim.traces.describe import times_of
from discosim.traces.digest_file import dump_digest, parse_digest
from discosim.traces.engine_digest import EngineDigest, PhysicsFit
from discosim.world.engine.costs.base import fastest_s
from discosim.world.engine.costs.physics import PhysicsCost

DENSE = PhysicsFit(
    overhead_s=0.001,
    weights_s=0.010,
    compute_s_per_tok=0.0001,
    square_s=1e-9,
    kv_s_per_tok=1e-7,
    kv_mixed_s_per_tok=3e-7,
    request_s=1e-5,
    comm_s_per_tok=2e-6,
)


def digest_of(fit: PhysicsFit) -> EngineDigest:
    shipped = load_digest("llama2-70b-a100-tp2", "engine")
    assert isinstance(shipped, EngineDigest)
    return dataclasses.replace(shipped, grid=None, physics=fit)


def cost(fit: PhysicsFit) -> PhysicsCost:
    held = cost_of(digest_of(fit))
    assert isinstance(held, PhysicsCost)
    return held


def test_few_tokens_wait_for_the_weights_and_many_for_the_arithmetic():
    model = cost(DENSE)
    # 0.001 + max(0.010, 0.005) + 50 x 2e-6 + 50^2 x 1e-9
    assert model.prefill_s(50, 2500) == pytest.approx(0.0111025)
    # 0.001 + max(0.010, 0.1) + 1000 x 2e-6 + 1e6 x 1e-9
    assert model.prefill_s(1000, 1e6) == pytest.approx(0.104)
    fixed_s, slope_s = model.decode_line(10)
    assert fixed_s == pytest.approx(0.001 + 0.010 + 10 * 2e-6 + 10 * 1e-5)
    assert slope_s == 1e-7


def test_a_decode_reads_its_cache_slower_beside_a_prompt():
    # 0.001 + 110 x 1e-4 + 110 x 2e-6 + 1e4 x 1e-9 + 5000 x 3e-7 + 10 x 1e-5
    assert cost(DENSE).mixed_s(100, 1e4, 10, 5000) == pytest.approx(0.01383)


def test_tokens_read_the_experts_that_they_touch():
    sparse = cost(dataclasses.replace(DENSE, weights_s=0.002, experts_s=0.008, expert_share=0.25, request_s=0.0))
    # of four experts one token touches one, two tokens 1 - 0.75^2 = 0.4375 of them
    assert sparse.decode_line(1)[0] == pytest.approx(0.001 + 0.002 + 0.002 + 2e-6)
    assert sparse.decode_line(2)[0] == pytest.approx(0.001 + 0.002 + 0.0035 + 4e-6)


def test_it_is_kept_in_a_digest_and_described_as_the_cost_model_has_it():
    digest = digest_of(DENSE)
    again = parse_digest(dump_digest(digest), where="x.json")
    assert isinstance(again, EngineDigest)
    assert again.physics == DENSE
    model = cost(DENSE)
    line = {n: model.decode_line(n) for n in (1, 64)}
    decode = [line[n][0] + 1000 * n * line[n][1] for n in (1, 64)]
    assert times_of(digest) == pytest.approx((model.prefill_s(1000, 1e6), *decode))
    assert fastest_s(model, 64) == pytest.approx(0.001 + 0.01 + 2e-6 + 1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights_s": 0.0}, "weights_s and compute_s_per_tok must be > 0"),
        ({"kv_s_per_tok": -1e-9}, "kv_s_per_tok must be >= 0"),
        ({"expert_share": 0.0}, "expert_share must be in"),
        ({"expert_share": 1.5}, "expert_share must be in"),
    ],
)
def test_impossible_coefficients_are_refused(change, message):
    content = json.loads(dump_digest(digest_of(DENSE)))
    content["data"]["physics"] |= change
    with pytest.raises(UserError, match=message):
        parse_digest(json.dumps(content), where="x.json")


def test_a_digest_holds_one_form():
    both = load_digest("llama2-70b-a100-tp2", "engine")
    assert isinstance(both, EngineDigest)
    with pytest.raises(ValueError, match="holds one of lines, a grid and physics"):
        dataclasses.replace(both, physics=DENSE)
