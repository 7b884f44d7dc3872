"""The three phone and model pairs of DiSCo, recollected."""

from __future__ import annotations

from pathlib import Path

from discosim.traces.devices import Figure, assemble, flops_energy, measured_range
from discosim.traces.digest import Card, DeviceDigest
from discosim.traces.recipes.recipe import Recipe

_PAIRS = (
    ("pixel-7-pro-bloom-1.1b", "Google Pixel 7 Pro", "bloom-1.1b", 31.32, 13.93),
    ("pixel-7-pro-bloom-560m", "Google Pixel 7 Pro", "bloom-560m", 51.80, 20.14),
    ("xiaomi-14-qwen1.5-0.5b", "Xiaomi 14", "qwen1.5-0.5b", 79.90, 21.47),
)
_RECOLLECTED = "DiSCo, evaluation set-up; recollected, not checked against the paper"


def _build(name: str, device: str, model: str, prefill_tok_per_s: float, decode_tok_per_s: float) -> DeviceDigest:
    return assemble(
        name=name,
        card=Card(
            title=f"{device} running {model}, as used by DiSCo",
            origin="",
            commit="",
            licence="facts-only",
            citation="DiSCo: Device-Server Collaborative LLM-Based Text Streaming Services (2025)",
            raw_file="",
            raw_sha256="",
            method="typed in; prefill time per token is the reciprocal of the prefill rate",
            quirks=(
                "The speeds are recollections of the paper's table and may be wrong.",
                "The paper's device TTFT is linear in the prompt; its intercept is not known and taken as 0.",
                (
                    "Energy is the paper's model, in which a prompt token costs what a decoded one costs; none of the "
                    "measured phones bears that out. The range is theirs, and the model's ratio of 1 lies outside it."
                ),
            ),
            status={"*": "recollection", "energy": "assumption"},
        ),
        device=device,
        model=model,
        prefill_s_per_tok=Figure(value=1 / prefill_tok_per_s, status="recollection", source=_RECOLLECTED),
        prefill_intercept_s=Figure(value=0.0, status="assumption", source="no figure known; taken as 0"),
        decode_tok_per_s=Figure(value=decode_tok_per_s, status="recollection", source=_RECOLLECTED),
        prefill_j_per_tok=flops_energy(model),
        decode_j_per_tok=flops_energy(model),
        energy_range=measured_range(model),
    )


def _recipe(name: str, device: str, model: str, prefill: float, decode: float) -> Recipe:
    def build(_folder: Path, _sha256: str) -> DeviceDigest:
        return _build(name, device, model, prefill, decode)

    return Recipe(name, "device", "", build)


RECIPES = tuple(_recipe(*pair) for pair in _PAIRS)
