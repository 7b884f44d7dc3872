"""Iteration times of Llama-2-70B and BLOOM-176B on A100 and H100, from Splitwise's measured grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from discosim.traces.digest import Card
from discosim.traces.engine_digest import EngineDigest, GridFit
from discosim.traces.readers.source import read_bytes
from discosim.traces.readers.table import read_csv
from discosim.traces.recipes.kv_size import SHAPES
from discosim.traces.recipes.recipe import Recipe

Floats = NDArray[np.float64]
_RAW = "splitwise-perf-model/perf_model.csv.xz"
_COMMIT = "8f99e7dc9b407f4ce2488d03dd44c0b8b946dab0"
_SETUPS = (
    *(("llama2-70b", gpu, n) for gpu in ("a100", "h100") for n in (2, 4, 8)),
    ("bloom-176b", "a100", 8),
    ("bloom-176b", "h100", 8),
)
_MS = 1e-3
_BASE_PROMPT, _BASE_OUTPUT = 512.0, 128.0
_COLUMNS = ("model", "hardware", "prompt_size", "batch_size", "token_size", "prompt_time", "token_time")


def _medians(path: Path, model: str, gpu: str, n_gpus: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Return prompt size, batch, and median prompt and token time (s) of each measured point with 128 output tokens."""
    table = read_csv(read_bytes(path), path, (*_COLUMNS, "tensor_parallel"))
    mine = (table.words("model") == model) & (table.words("hardware") == f"{gpu}-80gb")
    mine &= (table.numbers("tensor_parallel") == n_gpus) & (table.numbers("token_size") == _BASE_OUTPUT)
    prompt, batch = table.numbers("prompt_size")[mine], table.numbers("batch_size")[mine]
    times = {name: table.numbers(name)[mine] * _MS for name in ("prompt_time", "token_time")}
    points = sorted({(p, b) for p, b in zip(prompt.tolist(), batch.tolist(), strict=True)})
    rows = [(prompt == p) & (batch == b) for p, b in points]
    medians = {name: np.array([float(np.median(values[row])) for row in rows]) for name, values in times.items()}
    grid = np.array(points)
    return grid[:, 0], grid[:, 1], medians["prompt_time"], medians["token_time"]


def _grid(prompt: Floats, batch: Floats, prompt_s: Floats, token_s: Floats) -> tuple[GridFit, list[str]]:
    quirks: list[str] = []
    sizes = np.unique(batch)
    column = {b: float(prompt_s[(batch == b) & (prompt == _BASE_PROMPT)][0]) for b in sizes}
    good = np.ones(batch.size, dtype=np.bool_)
    if column[sizes[-1]] < column[sizes[-2]]:  # more prompts in less time: the run did not do its work
        good = batch < sizes[-1]
        quirks.append(f"The rows with a batch of {sizes[-1]:g} are broken (their prompt time drops) and left out.")
    prompt, batch, prompt_s, token_s = prompt[good], batch[good], prompt_s[good], token_s[good]
    total = prompt * batch
    prefill_tok = np.unique(total)
    prefill_s = np.array([float(np.median(prompt_s[total == t])) for t in prefill_tok])
    alone = batch == 1
    middle = prompt[alone] + _BASE_OUTPUT / 2
    slope = max(0.0, float(np.polyfit(middle, token_s[alone], 1)[0]))
    base = prompt == _BASE_PROMPT
    order = np.argsort(batch[base])
    size = batch[base][order]
    fixed_s = token_s[base][order] - slope * size * (_BASE_PROMPT + _BASE_OUTPUT / 2)
    for name, values in (("prefill", prefill_s), ("decode", fixed_s)):
        if (np.diff(values) < 0).any():
            quirks.append(f"Where the {name} curve fell, the value before was kept: more work takes no less time.")
    return (
        GridFit(
            prefill_tok=tuple(prefill_tok.tolist()),
            prefill_times_s=tuple(np.maximum.accumulate(prefill_s).tolist()),
            decode_batch=tuple(size.tolist()),
            decode_times_s=tuple(np.maximum.accumulate(fixed_s).tolist()),
            s_per_context_tok=slope,
        ),
        quirks,
    )


def _recipe(model: str, gpu: str, n_gpus: int) -> Recipe:
    name = f"{model}-{gpu}-tp{n_gpus}"
    shape = SHAPES[model]

    def build(path: Path, sha256: str) -> EngineDigest:
        grid, quirks = _grid(*_medians(path, model, gpu, n_gpus))
        return EngineDigest(
            name=name,
            card=Card(
                title=f"{model} on {n_gpus} x {gpu.upper()}-80G: measured prefill and token times",
                origin="https://github.com/Mutinifni/splitwise-sim",
                commit=_COMMIT,
                licence="MIT",
                citation="Patel et al.: Splitwise (ISCA 2024), performance model",
                raw_file=_RAW.partition("/")[2],
                raw_sha256=sha256,
                method="medians of the repeated rows with 128 output tokens; prefill time over prompt * batch; decode "
                "time over the batch at 512 prompt tokens, less the KV part, whose slope is a straight line through "
                "the token times of single requests with 128 to 8192 prompt tokens; KV capacity by Vidur's memory rule",
                quirks=tuple(quirks),
                contains=("inference",),
                status={"*": "measured", "kv_tok": "assumption", "kv_bytes_per_tok": "recollection"},
            ),
            model=model,
            hardware=f"{gpu.upper()}-80G",
            n_gpus=n_gpus,
            kv_bytes_per_tok=shape.kv_bytes_per_tok(),
            kv_tok=shape.kv_tok(n_gpus),
            max_context_tok=shape.max_context_tok,
            grid=grid,
            moments={},
        )

    return Recipe(name, "engine", _RAW, build)


RECIPES = tuple(_recipe(*setup) for setup in _SETUPS)
