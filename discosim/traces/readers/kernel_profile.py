"""Kernel times of a model's layers, as LLMServingSim's profiler writes them: a folder for a model on a GPU.

Format: ``meta.yaml``, and for each degree of tensor parallelism a folder ``tp<N>`` with ``dense.csv`` (layer, tokens,
time_us: one call of a layer), ``per_sequence.csv`` (layer, sequences, time_us), ``attention.csv`` (prefill_chunk,
kv_prefill, n_decode, kv_decode, time_us: a layer's attention for one chunk of a prompt beside decodes of equal context)
and, for a mixture of experts, ``moe.csv`` (tokens, activated_experts, time_us).
Origin: github.com/casys-kaist/LLMServingSim, ``profiler/perf`` (MIT).
Quirks: the profile holds one layer; how many there are is the model's own. Communication, the CPU, and batches of
unlike contexts are not in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from discosim.core.errors import UserError, close_match
from discosim.traces.readers.source import read_bytes
from discosim.traces.readers.table import read_csv
from discosim.traces.readers.table_base import Table

Floats = NDArray[np.float64]
ONCE = ("embedding", "final_layernorm")
TWICE = ("layernorm",)
EACH = ("qkv_proj", "o_proj", "rotary_emb", "qk_norm", "gate_up_proj", "act_fn", "down_proj")
_US = 1e-6


@dataclass(frozen=True)
class Curve:
    """A time over a size, both rising with it; continued along its upper half.

    Parameters
    ----------
    at, time_s : array of float, shape (m,)
        Sizes, rising, and times in s.
    """

    at: Floats
    time_s: Floats

    def __call__(self, x: Floats) -> Floats:
        """Return the time at each size."""
        middle = self.at.size // 2
        slope = (self.time_s[-1] - self.time_s[middle]) / max(self.at[-1] - self.at[middle], 1.0)
        beyond = self.time_s[-1] + slope * (x - self.at[-1])
        return np.where(x > self.at[-1], beyond, np.interp(x, self.at, self.time_s))


@dataclass(frozen=True, kw_only=True)
class KernelProfile:
    """Kernel times of one model on one kind of GPU at one degree of tensor parallelism.

    Parameters
    ----------
    model, hardware : str
        As ``meta.yaml`` names them.
    tp : int
        GPUs that share a layer.
    layer, once, sequences : Curve
        Over tokens: a whole layer without attention and experts, and what an iteration does once; over sequences: the
        sampler and the output layer.
    chunk_tok, before_tok, n_decode, kv_decode_tok, attention_s : array of float, shape (n,)
        Attention of a layer: tokens of the chunk, tokens before it, decodes, context of each, and time in s.
    expert_tok, experts, expert_s : array of float, shape (m,)
        Experts of a layer: tokens, experts touched, time in s; empty for a dense model.
    """

    model: str
    hardware: str
    tp: int
    layer: Curve
    once: Curve
    sequences: Curve
    chunk_tok: Floats
    before_tok: Floats
    n_decode: Floats
    kv_decode_tok: Floats
    attention_s: Floats
    expert_tok: Floats
    experts: Floats
    expert_s: Floats

    def experts_s(self, tok: Floats, touched: Floats) -> Floats:
        """Return a layer's time for tokens that touch so many experts, in s: linear between measured points."""
        sizes = np.unique(self.expert_tok)
        by_size = np.array([self._of_size(size, touched) for size in sizes])
        at = np.clip(np.searchsorted(sizes, tok, side="right") - 1, 0, sizes.size - 2)
        share = (tok - sizes[at]) / (sizes[at + 1] - sizes[at])
        each = np.arange(tok.size)
        return np.asarray(by_size[at, each] * (1.0 - share) + by_size[at + 1, each] * share)

    def _of_size(self, size: float, touched: Floats) -> Floats:
        mine = self.expert_tok == size
        experts, time_s = self.experts[mine], self.expert_s[mine]
        if experts.size == 1:
            return np.full(touched.size, time_s[0])
        at = np.clip(np.searchsorted(experts, touched) - 1, 0, experts.size - 2)
        share = (touched - experts[at]) / (experts[at + 1] - experts[at])
        return np.asarray(time_s[at] + share * (time_s[at + 1] - time_s[at]))


def read_profile(folder: Path, tp: int = 1) -> KernelProfile:
    """Read the folder with ``meta.yaml`` at one degree of tensor parallelism.

    Raises
    ------
    UserError
        If a file is missing or is no such table, or the degree was not profiled.
    """
    meta = _meta(folder)
    place = folder / f"tp{tp}"
    if not place.is_dir():
        held = sorted(path.name for path in folder.glob("tp*") if path.is_dir())
        raise UserError(f"has no folder tp{tp}; profiled: {', '.join(held) or 'none'}", where=str(folder))
    dense = _table(place / "dense.csv", ("layer", "tokens", "time_us"))
    layer, once = _layers(dense)
    seen = _table(place / "per_sequence.csv", ("layer", "sequences", "time_us"))
    names = ("prefill_chunk", "kv_prefill", "n_decode", "kv_decode")
    attention = _table(place / "attention.csv", (*names, "time_us"))
    chunk, before, n_decode, kv_decode = (attention.numbers(name, lowest=0.0) for name in names)
    experts = (np.empty(0),) * 3
    if (place / "moe.csv").is_file():
        moe = _table(place / "moe.csv", ("tokens", "activated_experts", "time_us"))
        order = np.lexsort((moe.numbers("activated_experts"), moe.numbers("tokens")))
        experts = (moe.numbers("tokens")[order], moe.numbers("activated_experts")[order], _seconds(moe)[order])
        if np.unique(experts[0]).size < 2:
            raise UserError("needs at least two numbers of tokens", where=str(place / "moe.csv"))
    return KernelProfile(
        model=meta["model"],
        hardware=meta["hardware"],
        tp=tp,
        layer=layer,
        once=once,
        sequences=_sum(seen, "sequences", dict.fromkeys(seen.words("layer").tolist(), 1.0)),
        chunk_tok=chunk,
        before_tok=before,
        n_decode=n_decode,
        kv_decode_tok=kv_decode,
        attention_s=_seconds(attention),
        expert_tok=experts[0],
        experts=experts[1],
        expert_s=experts[2],
    )


def _meta(folder: Path) -> dict[str, str]:
    path = folder / "meta.yaml"
    try:
        content = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror or error})", where=str(path)) from None
    except yaml.YAMLError as error:
        raise UserError(f"is no YAML ({' '.join(str(error).split())[:100]})", where=str(path)) from None
    held = content if isinstance(content, dict) else {}
    missing = [key for key in ("model", "hardware") if not isinstance(held.get(key), str)]
    if missing:
        raise UserError(f"names no {' and no '.join(missing)}", where=str(path))
    return {key: held[key] for key in ("model", "hardware")}


def _table(path: Path, columns: Sequence[str]) -> Table:
    return read_csv(read_bytes(path), path, tuple(columns))


def _seconds(table: Table) -> Floats:
    return np.asarray(table.numbers("time_us", lowest=1e-6) * _US)


def _layers(table: Table) -> tuple[Curve, Curve]:
    weights = {**dict.fromkeys(EACH, 1.0), **dict.fromkeys(TWICE, 2.0)}
    for i, name in enumerate(table.words("layer").tolist()):
        if name not in weights and name not in ONCE:
            raise table.error(i, "layer", f"unknown layer {name!r}; {close_match(name, (*weights, *ONCE))}")
    return _sum(table, "tokens", weights), _sum(table, "tokens", dict.fromkeys(ONCE, 1.0))


def _sum(table: Table, size: str, weights: dict[str, float]) -> Curve:
    """Add up the curves of layers, each as often as it is called."""
    names, at, time_s = table.words("layer"), table.numbers(size, lowest=1.0), _seconds(table)
    every = np.unique(at)
    if every.size < 2:
        raise table.error(0, size, "needs at least two sizes")
    total = np.zeros(every.size)
    for name, weight in weights.items():
        mine = names == name
        if mine.any():
            order = np.argsort(at[mine], kind="stable")
            total += weight * np.interp(every, at[mine][order], time_s[mine][order])
    return Curve(every, total)
