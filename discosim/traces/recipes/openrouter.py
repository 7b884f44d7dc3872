"""TTFT and time per token of three models, probed hourly through OpenRouter for one day."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from discosim.traces.digest import Card, LatencyDigest
from discosim.traces.readers import openrouter
from discosim.traces.recipes.latency import METHOD, failures_by_code, latency_digest
from discosim.traces.recipes.recipe import Recipe

_MODELS = {
    "gpt-5.4": "openai/gpt-5.4",
    "gpt-5.5": "openai/gpt-5.5",
    "deepseek-v3.2": "deepseek/deepseek-v3.2",
}
_TROUBLED_HOURS = (10, 14)
_CLIENT_FAULT = "error_client_dns"


def _recipe(short: str, model: str) -> Recipe:
    name = f"openrouter-{short}"

    def build(path: Path, sha256: str) -> LatencyDigest:
        held = openrouter.read(path)[model]
        assert held.hour is not None
        usable = ~np.isin(held.hour, _TROUBLED_HOURS)
        failures = failures_by_code(held, but=_CLIENT_FAULT)
        card = Card(
            title=f"{model} through OpenRouter, probed hourly on 12 May 2026",
            origin="https://github.com/Jwrede/llm-bench-data/blob/main/data/2026-05/2026-05-12.jsonl",
            commit="029b3e446c724f9c4ce13a9a887b00297562e54f",
            licence="CC0-1.0",
            citation="Jwrede, llm-bench-data, 2026",
            raw_file="probes_2026-05-12.csv (transcribed by hand from 2026-05-12.jsonl)",
            raw_sha256=sha256,
            method=(
                "hours 10 and 14 left out (name-service trouble at the probing client), as are probes that "
                "failed in "
                f"the client's own name service; {METHOD}"
            ),
            quirks=(
                f"Only {int(usable.sum())} values of one day: the tails are not known.",
                "One probe an hour: the autocorrelation is that of hours, with a standard error above 0.2.",
                'The prompt is "Hi" and the answer at most 20 tokens: TTFT of a longer prompt is longer.',
                "A gateway (openrouter.ai) stands between client and service.",
                "The sha256 is that of the transcription; the source's own is unknown.",
            ),
            contains=("inference", "queueing", "wide_area"),
        )
        return latency_digest(
            name,
            card,
            held.ttft_s[usable],
            held.tpot_s[usable],
            failures=failures,
            prompt_tok=1,
            spacing_s=3600.0,
        )

    return Recipe(name, "latency", "openrouter-probes-2026-05-12/probes_2026-05-12.csv", build)


RECIPES = tuple(_recipe(short, model) for short, model in _MODELS.items())
