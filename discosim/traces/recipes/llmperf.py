"""TTFT and TPOT of Llama-2 at eight hosted providers (LLMPerf leaderboard, December 2023)."""

from __future__ import annotations

from pathlib import Path

from discosim.core.errors import UserError, close_match
from discosim.traces.digest import Card, LatencyDigest
from discosim.traces.readers import llmperf
from discosim.traces.recipes.latency import METHOD, failures_by_code, latency_digest
from discosim.traces.recipes.recipe import Recipe

_SERVICES = {
    "anyscale": ("7b", "13b", "70b"),
    "bedrock": ("13b", "70b"),
    "fireworks": ("7b", "13b", "70b"),
    "groq": ("70b",),
    "lepton": ("7b", "13b", "70b"),
    "perplexity": ("70b",),
    "replicate": ("7b", "13b", "70b"),
    "together": ("7b", "13b", "70b"),
}
_PROMPT_TOK = 550
_FEW = 50


def _recipe(provider: str, size: str) -> Recipe:
    name = f"llmperf-{provider}-llama2-{size}"

    def build(path: Path, sha256: str) -> LatencyDigest:
        groups = llmperf.read(path)
        group = f"{provider}/{size}"
        if group not in groups:
            raise UserError(f"no series {group!r}; {close_match(group, groups)}", where=str(path))
        held = groups[group]
        few = (f"Only {len(held)} successes: the tails are not known.",) if len(held) < _FEW else ()
        card = Card(
            title=f"Llama-2-{size} chat at {provider}, 150 requests, 19 December 2023",
            origin="https://github.com/ray-project/llmperf-leaderboard/tree/main/raw_data/individual",
            commit="27aa9b6a6c4282f6d5599b9199fbb57256a2dcd8",
            licence="Apache-2.0",
            citation="Anyscale, LLMPerf leaderboard, 2023",
            raw_file="per_request.csv (the records of raw_data/individual/*.json, one row each)",
            raw_sha256=sha256,
            method=METHOD,
            quirks=(
                *few,
                "Every prompt has 550 tokens and every answer about 150; 5 requests at a time.",
                "The client stood in AWS us-west-2: its path to the service is in the TTFT.",
                "The source's inter_token_latency_s contains the TTFT and is not used.",
                "Order is the order of completion; there are no clock times.",
            ),
            contains=("inference", "queueing", "wide_area"),
        )
        return latency_digest(
            name,
            card,
            held.ttft_s,
            held.tpot_s,
            failures=failures_by_code(held),
            prompt_tok=_PROMPT_TOK,
        )

    return Recipe(name, "latency", "llmperf-leaderboard-2023/per_request.csv", build)


RECIPES = tuple(_recipe(provider, size) for provider, sizes in _SERVICES.items() for size in sizes)
