"""Single published figures: iPhones, an Android CPU, single-board computers, laptops and a Mac mini."""

from __future__ import annotations

import csv
from pathlib import Path

from discosim.core.errors import UserError
from discosim.traces.devices import Figure, assemble, power_over_rate
from discosim.traces.digest import Card, DeviceDigest
from discosim.traces.recipes.recipe import Recipe

_FACTS = "device-facts/device_speed_energy_facts.csv"
_GEERLING = "geerling-ai-benchmarks/results.csv"
_NO_INTERCEPT = Figure(value=0.0, status="assumption", source="none published; taken as 0")
_EXECUTORCH = "pytorch/executorch, examples/models/llama/README.md at 00748569"
_MAC = "singhh5050/on-device-lm-benchmarking at 0bce97b5, cold runs"
_IPHONE_SOURCE = "singhh5050/ios-llm-benchmarking-results at b59857bb, 1,000 LMSYS prompts (Gemma: 971)"

# slope ms/tok, intercept ms of TTFT = slope x prompt tokens + intercept; decode tok/s is the median
_IPHONE = {
    "llama-3.2-3b": (6.68, 148.0, 11.70, "llama.cpp, Q4_K_M, r = 0.92"),
    "phi-3-mini": (6.27, 306.0, 9.055, "llama.cpp, Q4_K_M, r = 0.89"),
    "qwen3-4b": (7.08, 349.0, 9.555, "llama.cpp, Q4_K_M, r = 0.88"),
    "gemma-3n-e4b": (15.6, 763.0, 8.253, "MediaPipe, 4 bit, r = 0.98"),
}


def _card(title: str, origin: str, method: str, *quirks: str, **rest: str) -> Card:
    return Card(
        title=title,
        origin=origin,
        commit=rest.get("commit", ""),
        licence=rest.get("licence", "facts-only"),
        citation=rest["citation"],
        raw_file=rest.get("raw_file", ""),
        raw_sha256=rest.get("sha256", ""),
        method=method,
        quirks=quirks,
        status={"*": "published-figure", "energy": rest.get("energy", "assumption")},
    )


def _published(value: float, source: str) -> Figure:
    return Figure(value=value, status="published-figure", source=source)


def _iphone(model: str) -> Recipe:
    name = f"iphone-{model}"
    slope_ms, intercept_ms, decode, how = _IPHONE[model]
    source = f"{_IPHONE_SOURCE}, {how}"

    def build(_folder: Path, _sha256: str) -> DeviceDigest:
        return assemble(
            name=name,
            card=_card(
                f"iPhone (type not stated) running {model}",
                "https://github.com/singhh5050/ios-llm-benchmarking-results",
                "typed in: least-squares line of TTFT over prompt tokens, and the median decode speed",
                "The source carries no licence and is not copied; only these figures are quoted.",
                "The phone is not named. Its context is 512 tokens, so nothing is known above.",
                "Decode speed wandered between about 8 and 14 tok/s over hours (thermal state).",
                "No energy published: the stand-in is used.",
                citation=_IPHONE_SOURCE,
                commit="b59857bb",
            ),
            device="iPhone (type not stated)",
            model=model,
            prefill_s_per_tok=_published(slope_ms / 1000, source),
            prefill_intercept_s=_published(intercept_ms / 1000, source),
            decode_tok_per_s=_published(decode, source),
            max_context_tok=_published(512, source),
        )

    return Recipe(name, "device", "", build)


Row = dict[str, str]


def _row(path: Path, **wanted: str) -> Row:
    with path.open(encoding="utf-8", newline="") as lines:
        fitting = [row for row in csv.DictReader(lines) if all(row.get(k) == v for k, v in wanted.items())]
    if len(fitting) != 1:
        raise UserError(f"expected one row with {wanted}, found {len(fitting)}", where=str(path))
    return fitting[0]


def _fact(name: str, model: str, source: str, /, **wanted: str) -> Recipe:
    def build(path: Path, sha256: str) -> DeviceDigest:
        row = _row(path, **wanted)
        prefill, decode = float(row["prefill_tok_s"]), float(row["decode_tok_s"])
        how = ", ".join(part for part in (row["quant"], row["runtime"]) if part)
        has_power = bool(row["power_w"])
        return assemble(
            name=name,
            card=_card(
                f"{row['device']} running {row['model']} ({how})",
                "",
                "typed in from the source; prefill time per token is the reciprocal of the prefill rate at "
                f"{row['prompt_tokens']} prompt tokens",
                "A single published speed for each phase: the intercept of the prefill is not known.",
                "Energy: published power over speed; see the figures' sources."
                if has_power
                else "No energy published: the stand-in is used.",
                citation=source,
                raw_file=Path(_FACTS).name,
                sha256=sha256,
            ),
            device=row["device"],
            model=model,
            prefill_s_per_tok=_published(1 / prefill, source),
            prefill_intercept_s=_NO_INTERCEPT,
            decode_tok_per_s=_published(decode, source),
            prefill_j_per_tok=_prefill_energy(row, prefill, source),
            decode_j_per_tok=_decode_energy(row, decode, source),
        )

    return Recipe(name, "device", _FACTS, build)


def _prefill_energy(row: Row, rate: float, source: str) -> Figure | None:
    return power_over_rate(float(row["power_w"]), rate, source=source) if row["power_w"] else None


def _decode_energy(row: Row, rate: float, source: str) -> Figure | None:
    """Return the published J per output token, or power over speed where that counts whole requests."""
    if not row["power_w"]:
        return None
    if row["runtime"] == "Ollama":
        return power_over_rate(float(row["power_w"]), rate, source=source)
    return _published(float(row["j_per_output_token"]), source)


def _wall_power(name: str, system: str, ratio: float, ratio_source: str) -> Recipe:
    """Return the recipe of a machine with known decode speed and peak wall power, prefill speed assumed."""

    def build(path: Path, sha256: str) -> DeviceDigest:
        row = _row(path, model="Llama 3.2:3b", system=system)
        decode, power_w = float(row["decode_tokens_per_s"]), float(row["peak_wall_power_w"])
        source = f"geerlingguy/ai-benchmarks at bdf94413, {row['source']}"
        return assemble(
            name=name,
            card=_card(
                f"{system} running llama-3.2-3b",
                "https://github.com/geerlingguy/ai-benchmarks",
                "decode speed and peak wall power as published; energy = peak power over speed; "
                f"prefill = {ratio:g} x the decode speed, an assumption",
                f"The prefill speed is not published; the ratio is that of {ratio_source}.",
                "Energy is an upper bound: peak power of the whole machine at the wall.",
                citation="Geerling, AI Benchmarks",
                commit="bdf94413f5f273c985c164ac0abfafa312c4390f",
                licence="MIT",
                raw_file=Path(_GEERLING).name,
                sha256=sha256,
                energy="published-figure",
            ),
            device=system,
            model="llama-3.2-3b",
            prefill_s_per_tok=Figure(
                value=1 / (ratio * decode),
                status="assumption",
                source=f"{ratio:g} x the decode speed, as {ratio_source}",
            ),
            prefill_intercept_s=_NO_INTERCEPT,
            decode_tok_per_s=_published(decode, source),
            prefill_j_per_tok=power_over_rate(power_w, ratio * decode, source=source),
            decode_j_per_tok=_published(power_w / decode, f"{source}; upper bound"),
        )

    return Recipe(name, "device", _GEERLING, build)


RECIPES = (
    *(_iphone(model) for model in _IPHONE),
    _fact(
        "oneplus-12-llama-3.2-1b",
        "llama-3.2-1b",
        _EXECUTORCH,
        device="OnePlus 12",
        model="Llama-3.2-1B",
        quant="4bit SpinQuant",
    ),
    _fact(
        "oneplus-12-llama-3.2-3b",
        "llama-3.2-3b",
        _EXECUTORCH,
        device="OnePlus 12",
        model="Llama-3.2-3B",
        quant="4bit SpinQuant",
    ),
    _fact(
        "rpi5-hailo-10h-qwen2.5-1.5b",
        "qwen2.5-1.5b",
        "arXiv 2603.23640, Table 6",
        device="RPi 5 + Hailo-10H",
        model="Qwen2.5-1.5B",
    ),
    _fact(
        "rtx4050-laptop-qwen2.5-1.5b",
        "qwen2.5-1.5b",
        "arXiv 2603.23640, Table 5",
        device="RTX 4050 laptop (battery)",
        model="Qwen2.5-1.5B",
    ),
    _fact(
        "mac-tinyllama-1.1b",
        "tinyllama-1.1b",
        _MAC,
        device="Apple Silicon Mac (chip not stated)",
        model="TinyLlama-1.1B",
    ),
    _fact("mac-mistral-7b", "mistral-7b", _MAC, device="Apple Silicon Mac (chip not stated)", model="Mistral-7B"),
    _wall_power(
        "rpi5-llama-3.2-3b",
        "Pi 5 - 16GB",
        4.55,
        "the OnePlus 12's CPU with the same model (89.7 over 19.7 tok/s)",
    ),
    _wall_power(
        "m4-mac-mini-llama-3.2-3b",
        "M4 Mac mini (10 core - 32GB)",
        10.8,
        "an iPhone's GPU with the same model (126.3 over 11.7 tok/s, medians)",
    ),
)
