"""Four phones with two models each, prefill and decode measured apart: speed, and joules per token."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from discosim.core.errors import UserError
from discosim.traces.devices import PARAMS_B, Figure, assemble
from discosim.traces.digest import Card, DeviceDigest
from discosim.traces.readers.source import fingerprint
from discosim.traces.recipes.recipe import Recipe

RAW_FILE = "llm-profiler-phones/phones.csv"
_COMMIT = "028302ab80a8a4da2afe20d3475cca2405fd8487"
_SOURCE = f"LLM-Profiler at {_COMMIT[:8]}, MNN on the CPU, int4"
_RUNS = 9
_PHONES = {
    "mate40pro": "Huawei Mate 40 Pro",
    "meizu21": "Meizu 21",
    "v30pro": "phone named v30pro (maker not stated)",
    "xiaomi15pro": "Xiaomi 15 Pro",
}
_MODELS = {"llama3_2-1b": "llama-3.2-1b", "qwen2_5-1_5b": "qwen2.5-1.5b"}
_ENGINES = {
    "mnn": ("", "MNN as it is"),
    "ours": ("-aecs", "MNN-AECS, which chooses cores so as to save energy while decoding"),
}
_DIGITS = 6

Row = dict[str, str]
Floats = NDArray[np.float64]


def _rows(path: Path, **wanted: str) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as lines:
        return [row for row in csv.DictReader(lines) if all(row.get(k) == v for k, v in wanted.items())]


def _column(rows: Sequence[Row], name: str) -> Floats:
    return np.array([float(row[name]) for row in rows])


def prefill_line(prompt_tok: Floats, time_s: Floats) -> tuple[float, float, float]:
    """Return fixed time in s, s per token, and the worst relative error of the line through the medians per length.

    Parameters
    ----------
    prompt_tok, time_s : array of float, shape (n,)
        Prompt lengths and prefill times of single runs; several runs a length.

    Notes
    -----
    Least squares of the relative error, so that the short prompt counts like the long one; a fixed time below 0 is
    taken as 0 (our choice). Phones are slower per token at 1,024 than at 256 tokens, so a straight line misses some.
    """
    lengths = np.unique(prompt_tok)
    medians = np.array([np.median(time_s[prompt_tok == n]) for n in lengths])
    design = np.column_stack([1.0 / medians, lengths / medians])
    fixed_s, per_tok_s = np.linalg.lstsq(design, np.ones(lengths.size), rcond=None)[0]
    if fixed_s < 0.0:
        slope = lengths / medians
        fixed_s, per_tok_s = 0.0, slope.sum() / (slope**2).sum()
    errors = (fixed_s + per_tok_s * lengths) / medians - 1.0
    return float(fixed_s), float(per_tok_s), float(np.abs(errors).max())


def _by_length(rows: Sequence[Row], column: str) -> str:
    """Return medians by prompt length in mJ, in words."""
    lengths = sorted({float(row["prefill_len"]) for row in rows})
    return ", ".join(
        f"{np.median(_column([r for r in rows if float(r['prefill_len']) == n], column)):.3g} at {n:.0f}"
        for n in lengths
    )


def _spread(values: Floats) -> str:
    return f"{values.min():.3g} to {values.max():.3g}"


def _measured(value: float, what: str) -> Figure:
    return Figure(value=float(value), status="measured", source=f"{_SOURCE}; {what}")


def _recipe(phone: str, raw_model: str, engine: str) -> Recipe:
    suffix, how = _ENGINES[engine]
    model, device = _MODELS[raw_model], _PHONES[phone]
    name = f"{phone}-{model}{suffix}"

    def build(path: Path, sha256: str) -> DeviceDigest:
        rows = _rows(path, device=phone, model=raw_model, engine=engine)
        if len(rows) != _RUNS:
            what = f"{_RUNS} runs of {phone}, {raw_model}, {engine}"
            raise UserError(f"expected {what}, found {len(rows)}", where=str(path))
        prompt_tok = _column(rows, "prefill_len")
        prefill_mj, decode_mj = _column(rows, "prefill_energy"), _column(rows, "decode_energy")
        speeds = _column(rows, "decode_token_speed")
        fixed_s, per_tok_s, error = prefill_line(prompt_tok, prompt_tok / _column(rows, "prefill_token_speed"))
        card = Card(
            title=f"{model} (int4) on the CPU of the {device}; {how}",
            origin="https://github.com/huangzhengxiang/LLM-Profiler",
            commit=_COMMIT,
            licence="Apache-2.0",
            citation="Huang et al., MNN-AECS and its LLM-Profiler",
            raw_file=Path(RAW_FILE).name,
            raw_sha256=sha256,
            method=(
                f"{_RUNS} runs, prompts of {_in_words(prompt_tok)} tokens x answers of 128, 256 and 512; prefill: line "
                "through the median time of each prompt length, least relative error, fixed time at least 0; decode "
                "rate and both energies: medians over the runs"
            ),
            quirks=(
                f"The prefill line misses a median by up to {error:.0%}.",
                (
                    f"Single runs: decode {_spread(speeds)} tok/s, prompt token {_spread(prefill_mj)} mJ, decoded "
                    f"token {_spread(decode_mj)} mJ, their ratio {_spread(decode_mj / prefill_mj)}."
                ),
                (
                    f"Median mJ of a prompt token by prompt length: {_by_length(rows, 'prefill_energy')}; of a decoded "
                    f"token after it: {_by_length(rows, 'decode_energy')}. The profile has one figure for all lengths."
                ),
                "Energy from the battery's counter, unplugged: the whole phone is in it, screen included.",
                "CPU only, no NPU and no GPU; one phone of each kind.",
                "A test began below 40 C; long ones are partly throttled (CPU zones up to 92 C).",
            ),
        )
        return assemble(
            name=name,
            card=card,
            device=device,
            model=model,
            prefill_s_per_tok=_measured(per_tok_s, "slope of the line"),
            prefill_intercept_s=_measured(fixed_s, "fixed time of the line"),
            decode_tok_per_s=_measured(np.median(speeds), "median"),
            prefill_j_per_tok=_measured(np.median(prefill_mj) / 1000, "median; whole phone"),
            decode_j_per_tok=_measured(np.median(decode_mj) / 1000, "median; whole phone"),
        )

    return Recipe(name, "device", RAW_FILE, build)


def _in_words(prompt_tok: Floats) -> str:
    *first, last = [f"{n:.0f}" for n in np.unique(prompt_tok)]
    return f"{', '.join(first)} and {last}"


def sheet_text(raw_folder: Path) -> str:
    """Return the text of the sheet ``discosim/traces/sheets/phone_energy.json``, computed from the raw rows.

    All runs count alike, those of both engines included: the range is to hold what phones do, not what one does.
    """
    path = raw_folder / RAW_FILE
    rows = _rows(path)
    decode_j = _column(rows, "decode_energy") / 1000
    params_b = np.array([PARAMS_B[_MODELS[row["model"]]] for row in rows])
    sheet = {
        "source": f"{_SOURCE}, all runs of both engines; https://github.com/huangzhengxiang/LLM-Profiler, Apache-2.0",
        "raw_sha256": fingerprint(path).raw_sha256,
        "n_runs": len(rows),
        "decode_j_per_tok_per_b": _summary(decode_j / params_b),
        "decode_over_prefill": _summary(1000 * decode_j / _column(rows, "prefill_energy")),
    }
    return json.dumps(sheet, indent=2) + "\n"


def _summary(values: Floats) -> dict[str, float]:
    figures = {"median": np.median(values), "least": values.min(), "most": values.max()}
    return {name: float(f"{value:.{_DIGITS}g}") for name, value in figures.items()}


RECIPES = tuple(_recipe(phone, model, engine) for phone in _PHONES for model in _MODELS for engine in _ENGINES)
