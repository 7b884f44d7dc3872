"""Iteration times of ranks that share their experts, and replicas that are or are not that many ranks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from discosim.config import load_scenario
from discosim.runs.build_engine import engine_model, engine_notes
from discosim.traces.catalogue import load_digest
from discosim.traces.digest_file import write_own_digest
from discosim.traces.engine_digest import EngineDigest, PhysicsFit, in_step
from discosim.world.engine.costs.physics import PhysicsCost

PRESET = "{kind: digest, digest: qwen3-30b-a3b-rtxpro6000-ep2}"
SUM = "{kind: physics, model: Qwen3-30B-A3B, gpu: RTXPRO6000, ep: 2}"
ALONE = "{kind: physics, model: Qwen3-30B-A3B, gpu: RTXPRO6000}"
TWICE = "count the tokens of all ranks twice"
RANKS = "qwen3-30b-a3b-rtxpro6000-ep2"


@pytest.mark.parametrize(
    ("iterations", "n_replicas", "lockstep", "said"),
    [
        (PRESET, 2, True, None),
        (SUM, 2, True, None),
        (PRESET, 4, True, "beside server.n_replicas: 4; they are those of 2 replicas"),
        (PRESET, 1, False, "beside server.n_replicas: 1; they are those of 2 replicas"),
        (SUM, 4, False, "beside server.n_replicas: 4; they are those of 2 replicas"),
        (PRESET, 2, False, None),
        (SUM, 2, False, None),
        (ALONE, 2, True, None),
        (ALONE, 2, False, None),
        ("{kind: digest, digest: opt-13b-a100-tp1}", 2, True, None),
    ],
)
def test_what_does_not_go_together_is_said(iterations, n_replicas, lockstep, said):
    changes = [f"server.iterations={iterations}", f"server.n_replicas={n_replicas}", f"server.lockstep={lockstep}"]
    notes = engine_notes(load_scenario("engine", overrides=changes).server)
    about_ranks = [note for note in notes if "ranks" in note]
    if said is None:
        assert not about_ranks
    else:
        assert len(about_ranks) == 1
        assert said in about_ranks[0]


def server_of(iterations: str, *, lockstep: bool):
    changes = [f"server.iterations={iterations}", "server.n_replicas=2", f"server.lockstep={lockstep}"]
    return load_scenario("engine", overrides=changes).server


def test_an_own_digest_tells_its_ranks_itself_and_an_older_one_by_its_name(tmp_path: Path):
    held = load_digest(RANKS, "engine")
    assert isinstance(held, EngineDigest)
    assert held.n_expert_ranks == 2
    for digest, said in (
        (replace(held, name="mine"), None),
        (replace(held, name="mine-ep2", n_expert_ranks=None, exchange_s_per_tok=None), TWICE),
        (replace(held, name="mine", n_expert_ranks=None, exchange_s_per_tok=None), None),
        (replace(held, name="my-ep2", n_expert_ranks=None, exchange_s_per_tok=None, validated="calibrated on a"), None),
    ):
        write_own_digest(digest, tmp_path / "mine.json")
        notes = engine_notes(server_of(f"{{kind: file, file: '{tmp_path / 'mine.json'}'}}", lockstep=True))
        assert [said] * bool(said) == [said for note in notes if said and said in note]
        assert said or not any("ranks" in note for note in notes)


def test_in_step_a_rank_counts_one_token_at_a_time_and_its_own_part_of_the_exchange():
    """Of 8 experts a token touches 2: a share of 1/4, and of 7/16 for one token of each of two ranks."""
    alone = PhysicsFit(
        overhead_s=0.0,
        weights_s=1.0,
        compute_s_per_tok=1e-3,
        square_s=0.0,
        kv_s_per_tok=0.0,
        kv_mixed_s_per_tok=0.0,
        comm_s_per_tok=0.05,
        experts_s=1.0,
        expert_share=7 / 16,
    )
    held = in_step(alone, 2, 0.04)
    assert held.expert_share == pytest.approx(1 / 4)
    assert held.comm_s_per_tok == pytest.approx(0.03)
    assert in_step(alone, 1, 0.04) == alone
    for iterations in (PRESET, SUM):
        costs = [engine_model(server_of(iterations, lockstep=step)).replica.cost for step in (False, True)]
        assert all(isinstance(cost, PhysicsCost) for cost in costs)
        assert costs[0].comm_s_per_tok - costs[1].comm_s_per_tok == pytest.approx(5.58545e-5 / 2, rel=1e-5)
        assert (1 - costs[1].expert_share) ** 2 == pytest.approx(1 - costs[0].expert_share)
