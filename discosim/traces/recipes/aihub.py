"""Snapdragon NPU profiles from Qualcomm AI Hub's published performance files."""

from __future__ import annotations

from pathlib import Path

from discosim.core.errors import UserError
from discosim.traces.devices import Figure, assemble
from discosim.traces.digest import Card, DeviceDigest
from discosim.traces.readers import aihub
from discosim.traces.recipes.recipe import Recipe

CHUNK_TOK = 128
_COMMIT = "52c080d245d2d20c634459208ff2548ce10b3c9f"
_DEVICES = {
    "galaxy-s24": "Samsung Galaxy S24",
    "snapdragon-8-elite": "Snapdragon 8 Elite QRD",
    "snapdragon-8-elite-gen5": "Snapdragon 8 Elite Gen 5 QRD",
    "snapdragon-x-elite": "Snapdragon X Elite CRD",
}
_MODELS = {
    "llama-3.2-1b": ("llama_v3_2_1b_instruct", "w4a16", ("snapdragon-8-elite", "snapdragon-8-elite-gen5")),
    "llama-3.2-3b": (
        "llama_v3_2_3b_instruct",
        "w4a16",
        ("snapdragon-8-elite", "snapdragon-8-elite-gen5", "snapdragon-x-elite"),
    ),
    "phi-3.5-mini": (
        "phi_3_5_mini_instruct",
        "w4a16",
        ("galaxy-s24", "snapdragon-8-elite", "snapdragon-x-elite"),
    ),
    "qwen2.5-1.5b": ("qwen2_5_1_5b_instruct", "w4", ("snapdragon-8-elite", "snapdragon-x-elite")),
    "qwen2.5-7b": ("qwen2_5_7b_instruct", "w4a16", ("snapdragon-8-elite", "snapdragon-x-elite")),
    "llama-3.1-8b": (
        "llama_v3_1_8b_instruct",
        "w4a16",
        ("snapdragon-8-elite", "snapdragon-8-elite-gen5", "snapdragon-x-elite"),
    ),
    "llama-2-7b": (
        "llama_v2_7b_chat",
        "w4a16",
        ("galaxy-s24", "snapdragon-8-elite", "snapdragon-x-elite"),
    ),
}


def _recipe(device: str, model: str, component: str, precision: str) -> Recipe:
    name = f"{device}-{model}"
    raw_file = f"{component}.perf.yaml"

    def build(path: Path, sha256: str) -> DeviceDigest:
        fitting = [p for p in aihub.read(path) if p.device == _DEVICES[device] and p.precision == precision]
        if len(fitting) != 1:
            raise UserError(f"expected one row for {_DEVICES[device]} in {precision}", where=str(path))
        perf = fitting[0]
        is_whole_context = perf.ttft_min_s == perf.ttft_max_s
        prompt_tok = perf.context_length if is_whole_context else CHUNK_TOK
        source = f"Qualcomm AI Hub, {raw_file}, {precision}, {perf.runtime}"
        card = Card(
            title=f"{model} ({precision}) on the NPU of {_DEVICES[device]}",
            origin=f"https://github.com/quic/ai-hub-models/blob/main/qai_hub_models/models/{component}/perf.yaml",
            commit=_COMMIT,
            licence="BSD-3-Clause",
            citation="Qualcomm AI Hub Models",
            raw_file=raw_file,
            raw_sha256=sha256,
            method=(
                f"prefill: the published TTFT over {prompt_tok} prompt tokens, the whole context"
                if is_whole_context
                else (
                    f"prefill: the smaller published TTFT is read as the time of one chunk of {CHUNK_TOK} prompt tokens"
                )
            ),
            quirks=(
                "That prompts run in chunks of 128 tokens is inferred from the figures, not stated.",
                "One number per device and model, no variance; QRD and CRD are reference boards.",
                "No energy published: the stand-in is used.",
            ),
            status={
                "*": "published-figure",
                "chunk_tok": "assumption",
                "prefill_intercept_s": "assumption",
                "energy": "assumption",
            },
        )
        return assemble(
            name=name,
            card=card,
            device=_DEVICES[device],
            model=model,
            prefill_s_per_tok=Figure(
                value=perf.ttft_min_s / prompt_tok, status="published-figure", source=f"{source}; see method"
            ),
            prefill_intercept_s=Figure(value=0.0, status="assumption", source="none published; taken as 0"),
            chunk_tok=Figure(value=CHUNK_TOK, status="assumption", source="inferred from the figures"),
            decode_tok_per_s=Figure(value=perf.decode_tok_per_s, status="published-figure", source=source),
            max_context_tok=Figure(value=perf.context_length, status="published-figure", source=source),
        )

    return Recipe(name, "device", f"qualcomm-aihub-llm/{raw_file}", build)


RECIPES = tuple(
    _recipe(device, model, component, precision)
    for model, (component, precision, devices) in _MODELS.items()
    for device in devices
)
