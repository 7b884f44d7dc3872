"""ShareGPT prompt and output lengths, as filtered by the Etalon project."""

from __future__ import annotations

from pathlib import Path

from discosim.traces.digest import Card, WorkloadDigest
from discosim.traces.readers import sharegpt
from discosim.traces.recipes.recipe import Recipe
from discosim.traces.recipes.workloads import LENGTH_METHOD, workload_digest

_FILE = "sharegpt_8k_filtered_stats_llama2_tokenizer.csv"


def _build(path: Path, sha256: str) -> WorkloadDigest:
    table = sharegpt.read(path)
    card = Card(
        title="ShareGPT conversation turns, lengths under Llama-2's tokenizer",
        origin=f"https://github.com/project-etalon/etalon/blob/main/data/processed_traces/{_FILE}",
        commit="d5f18de15a2227a2d469365afc4fa9e2df0c631d",
        licence="Apache-2.0",
        citation=("Agrawal et al., Etalon: Holistic Performance Evaluation Framework for LLM Inference Systems, 2024"),
        raw_file=_FILE,
        raw_sha256=sha256,
        method=LENGTH_METHOD,
        quirks=(
            "No arrival times: choose another arrival law.",
            "Prompts hold the chat history so far; prompt and output together are capped at 8,192 tokens.",
        ),
    )
    return workload_digest("sharegpt", card, table.prompt_tok, table.output_tok)


RECIPES = (Recipe("sharegpt", "workload", f"sharegpt-lengths-etalon/{_FILE}.xz", _build),)
