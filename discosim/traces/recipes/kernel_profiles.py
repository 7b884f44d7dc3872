"""Iteration times of today's models on an RTX 4090 and an RTX PRO 6000, from LLMServingSim's kernel times."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from discosim.traces.engine_digest import EngineDigest
from discosim.traces.gpu_sheet import find_gpu
from discosim.traces.model_config import find_model
from discosim.traces.profile_fit import fit_profile
from discosim.traces.recipes.recipe import Recipe

_COMMIT = "5daddb21a545658d5150b535712d0494584b5278"
_SETUPS = (
    ("llama-3.1-8b-rtx4090", "RTX4090", "meta-llama/Llama-3.1-8B", 1, 1),
    ("llama-3.1-8b-rtxpro6000", "RTXPRO6000", "meta-llama/Llama-3.1-8B", 1, 1),
    ("qwen3-32b-rtxpro6000-tp2", "RTXPRO6000", "Qwen/Qwen3-32B", 2, 1),
    ("qwen3-30b-a3b-rtxpro6000-ep2", "RTXPRO6000", "Qwen/Qwen3-30B-A3B-Instruct-2507", 1, 2),
)
_COMPARED = {
    "llama-3.1-8b-rtxpro6000": "Compared with one run of vLLM 0.19 at 10 requests/s, which no coefficient but the "
    "addition was taken from: mean TTFT -7.5 %, TPOT -2.5 %, E2E -3.8 %.",
    "qwen3-30b-a3b-rtxpro6000-ep2": "The rate of the exchange between ranks is from the iterations of one run of vLLM "
    "0.19, so that run is no test: on its public half, two replicas in lock-step, TTFT is 7 % and TPOT and E2E are 4 % "
    "above it in the mean (docs/fidelity.md).",
}
_NEVER = "Never compared with a real server; its like on the RTX PRO 6000 is off by 4 to 8 % in the mean."


def _recipe(name: str, gpu: str, model: str, tp: int, ep: int) -> Recipe:
    def build(path: Path, sha256: str) -> EngineDigest:
        digest = fit_profile(
            path.parents[1],
            find_model(model),
            find_gpu(gpu),
            name=name,
            tp=tp,
            ep=ep,
            origin="https://github.com/casys-kaist/LLMServingSim",
            commit=_COMMIT,
            licence="MIT",
        )
        quirks = (*digest.card.quirks, _COMPARED.get(name, _NEVER))
        return replace(digest, card=replace(digest.card, quirks=quirks, raw_sha256=sha256))

    raw = f"llmservingsim-kernel-profiles/{gpu}/{model}/bf16/tp{tp}/attention.csv"
    return Recipe(name, "engine", raw, build)


RECIPES = tuple(_recipe(*setup) for setup in _SETUPS)
