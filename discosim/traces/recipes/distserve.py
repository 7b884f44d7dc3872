"""Iteration times of OPT-13B and OPT-66B on A100, from DistServe's published coefficients."""

from __future__ import annotations

from pathlib import Path

from discosim.traces.digest import Card
from discosim.traces.engine_digest import EngineDigest, LinesFit
from discosim.traces.recipes.kv_size import SHAPES
from discosim.traces.recipes.recipe import Recipe

_MS = 1e-3
_FITS = {
    ("opt-13b", 1): ((18.10, 0.10191, 7.12e-6), (19.93, 6.27e-4, 0.0385), (7.17, 5.80e-4, 0.1583)),
    ("opt-13b", 2): ((14.74, 0.06858, 2.45e-6), (13.29, 3.41e-4, 0.0630), (10.64, 3.12e-4, 0.0856)),
    ("opt-13b", 4): ((12.06, 0.03808, 5.23e-7), (10.26, 1.88e-4, 0.0327), (10.48, 1.71e-4, 0.0457)),
    ("opt-66b", 2): ((43.06, 0.27423, 2.25e-5), (48.29, 9.42e-4, 0.1276), (28.73, 4.74e-4, 0.2962)),
    ("opt-66b", 4): ((29.44, 0.15135, 8.32e-6), (30.76, 4.52e-4, 0.0633), (27.47, 4.05e-4, 0.1248)),
    ("opt-66b", 8): ((25.49, 0.10659, 3.39e-6), (23.16, 2.27e-4, 0.0480), (21.72, 3.76e-4, 0.0898)),
}
"""Prefill, decode up to a batch of 95, decode above; milliseconds."""

_KV_TOK = {("opt-13b", 1): 66_144, ("opt-13b", 2): 163_008}
"""KV capacities that the profiles name; the others follow from the models' shape."""


def _recipe(model: str, n_gpus: int) -> Recipe:
    name = f"{model}-a100-tp{n_gpus}"
    shape = SHAPES[model]
    published = (model, n_gpus) in _KV_TOK
    prefill, small, large = (tuple(value * _MS for value in line) for line in _FITS[model, n_gpus])

    def build(_folder: Path, _sha256: str) -> EngineDigest:
        return EngineDigest(
            name=name,
            card=Card(
                title=f"{model.upper()} on {n_gpus} x A100-80G: fitted iteration times",
                origin="https://github.com/LLMServe/DistServe",
                commit="",
                licence="facts-only",
                citation="Zhong et al.: DistServe (OSDI 2024), simulator profiles",
                raw_file="",
                raw_sha256="",
                method="coefficients typed in, milliseconds to seconds; KV capacity "
                + ("as published" if published else "by Vidur's memory rule from the model's shape"),
                quirks=(
                    "The large-batch line (above 95 requests) can lie below the small-batch line where they meet.",
                    "Overhead of the Python engine (2 ms an iteration in the authors' simulator) is not included.",
                ),
                contains=("inference",),
                status={
                    "*": "published-figure",
                    "kv_tok": "published-figure" if published else "assumption",
                    "kv_bytes_per_tok": "published-figure",
                },
            ),
            model=model,
            hardware="A100-80G",
            n_gpus=n_gpus,
            kv_bytes_per_tok=shape.kv_bytes_per_tok(),
            kv_tok=_KV_TOK.get((model, n_gpus), shape.kv_tok(n_gpus)),
            max_context_tok=shape.max_context_tok,
            lines=LinesFit(prefill=prefill, decode_small=small, decode_large=large),
            moments={},
        )

    return Recipe(name, "engine", "", build)


RECIPES = tuple(_recipe(*key) for key in _FITS)
