"""Iteration times of ranks that share their experts, and replicas that are or are not that many ranks."""

from __future__ import annotations

import pytest

from discosim.config import load_scenario
from discosim.runs.build_engine import engine_notes

PRESET = "{kind: digest, digest: qwen3-30b-a3b-rtxpro6000-ep2}"
SUM = "{kind: physics, model: Qwen3-30B-A3B, gpu: RTXPRO6000, ep: 2}"
ALONE = "{kind: physics, model: Qwen3-30B-A3B, gpu: RTXPRO6000}"
TWICE = "count the tokens of all ranks twice"


@pytest.mark.parametrize(
    ("iterations", "n_replicas", "lockstep", "said"),
    [
        (PRESET, 2, True, TWICE),
        (SUM, 2, True, TWICE),
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
