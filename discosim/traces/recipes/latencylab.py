"""How chunks of six public endpoints arrived (LatencyLab, April 2024)."""

from __future__ import annotations

from pathlib import Path

from discosim.core.errors import UserError
from discosim.traces.chunk_digest import ChunkDigest
from discosim.traces.digest import Card
from discosim.traces.readers import latencylab
from discosim.traces.readers.streams import Arrivals
from discosim.traces.recipes.chunks import METHOD, THRESHOLD_S, chunk_digest, events_of
from discosim.traces.recipes.recipe import Recipe

_ENDPOINTS = {
    "openai-gpt-3.5-0613": "OpenAI_gpt-3.5-turbo-0613",
    "openai-gpt-3.5-0125": "OpenAI_gpt-3.5-turbo-0125",
    "openai-gpt-4-1106": "OpenAI_gpt-4-1106-preview",
    "openai-gpt-4-0125": "OpenAI_gpt-4-0125-preview",
    "azure-gpt-3.5-0613": "Azure_gpt-3.5-turbo-0613",
    "azure-gpt-4-1106": "Azure_gpt-4-1106-preview",
}
_WITHOUT_TEXT = {"OpenAI": 1, "Azure": 2}
"""Chunks before the first that holds text: what `first_token_time_seconds` points at."""


def _recipe(short: str, endpoint: str) -> Recipe:
    name = f"{short}-chunks"
    provider, model = endpoint.split("_")

    def build(path: Path, sha256: str) -> ChunkDigest:
        held = latencylab.read(path, endpoint)
        lead = _WITHOUT_TEXT[provider]
        streams = [Arrivals(gaps_s[lead:]) for gaps_s in held]
        n_at_once = sum(events_of(stream) is None for stream in streams)
        at_once = (f"{n_at_once} streams came in one event: they are left out.",) if n_at_once else ()
        card = Card(
            title=f"{model} at {provider}, {len(held)} streams within an hour of 12 April 2024",
            origin="https://github.com/ScaleVoice/LatencyLab",
            commit="01a24a3f4553539c591024a80e4b5f6b1e542f86",
            licence="MIT",
            citation="ScaleVoice, LatencyLab, 2024",
            raw_file="prompt.csv",
            raw_sha256=sha256,
            method=(
                f"successes only; chunks before the first text left out ({lead} of each stream); "
                f"{METHOD.format(threshold_ms=1e3 * THRESHOLD_S)}"
            ),
            quirks=(
                *at_once,
                "A chunk is taken for a token: about 4.7 to 5 characters each; the last, which ends the stream, too.",
                "The last event of a stream is larger than others; the law has no end of its own.",
                "Whether a burst comes from the server, a proxy or the client's socket cannot be told.",
                "One hour, one client (a cloud machine in France), models of 2024, answers of 8 to 350 chunks.",
            ),
            contains=("inference", "queueing", "wide_area"),
        )
        digest = chunk_digest(name, card, streams)
        if digest is None:
            raise UserError(f"no stream of {endpoint} has two events", where=str(path))
        return digest

    return Recipe(name, "chunks", "latencylab-chunks-2024/prompt.csv", build)


RECIPES = tuple(_recipe(short, endpoint) for short, endpoint in _ENDPOINTS.items())
