"""Mooncake's conversation trace (Kimi), with its 3 s clock ticks spread."""

from __future__ import annotations

from pathlib import Path

from discosim.core.rng import RandomStreams
from discosim.traces.digest import Card, WorkloadDigest
from discosim.traces.readers import mooncake
from discosim.traces.readers.requests import spread_ties
from discosim.traces.recipes.recipe import Recipe
from discosim.traces.recipes.workloads import ARRIVAL_METHOD, LENGTH_METHOD, workload_digest

NAME = "mooncake-conversation"


def _build(path: Path, sha256: str) -> WorkloadDigest:
    trace = spread_ties(mooncake.read(path), RandomStreams(0).generator("digest.ties", NAME))
    card = Card(
        title="Mooncake conversation trace (Kimi chat), one hour",
        origin="https://github.com/kvcache-ai/Mooncake/blob/main/FAST25-release/traces/conversation_trace.jsonl",
        commit="3b5a594133958449a1feaf1c9e0fc1b553e34a28",
        licence="Apache-2.0",
        citation="Qin et al., Mooncake: Trading More Storage for Less Computation, FAST 2025",
        raw_file="conversation_trace.jsonl",
        raw_sha256=sha256,
        method=(
            "rule `spread`: requests of one clock tick are placed uniformly at random inside it, seed 0; "
            "then "
            f"{ARRIVAL_METHOD}; {LENGTH_METHOD}"
        ),
        quirks=(
            (
                "The raw clock ticks every 3 s: the gap law below that scale is that of the spread rule, "
                "not a measurement."
            ),
            "A long-context service: half of the prompts are longer than 6,900 tokens.",
        ),
        status={"*": "measured", "gap": "assumption", "gap_detrended": "assumption"},
    )
    return workload_digest(NAME, card, trace.prompt_tok, trace.output_tok, trace.arrival_s)


RECIPES = (Recipe(NAME, "workload", f"{NAME}/conversation_trace.jsonl.xz", _build),)
