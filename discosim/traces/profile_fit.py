"""From kernel times to the coefficients of an iteration: no run of a server is needed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from discosim.core.errors import UserError
from discosim.traces.digest import Card
from discosim.traces.engine_digest import EngineDigest, PhysicsFit
from discosim.traces.gpu_sheet import Gpu
from discosim.traces.model_config import ModelConfig
from discosim.traces.readers.kernel_profile import KernelProfile, read_profile
from discosim.traces.readers.source import fingerprint
from discosim.traces.roofline import OVERHEAD_S, comm_s_per_tok, exchange_s_per_tok, group_share, kv_copies, kv_tok

Floats = NDArray[np.float64]
HELD_OUT = 10
"""One row in so many is held out: those whose position leaves no remainder. Source: our choice."""
KNEES = np.geomspace(16.0, 1024.0, 25)
"""Tokens at which arithmetic begins to take longer than reading the weights, to choose from."""
NEVER_REACHED = 1e-4
"""Share of a token's arithmetic that may be hidden where none is (mixtures of experts)."""
DIGITS = 5
KINDS = ("decode", "prefill", "mixed")
BAD_ERROR = 0.1


@dataclass(frozen=True)
class Iterations:
    """Iterations put together from kernels, as columns of equal length.

    Layers x (dense + attention + experts), what is done once, and what each sequence adds.

    Parameters
    ----------
    tok, square_tok, kv_tok, n_decode, time_s : array of float, shape (n,)
        Tokens, squares of prompts, KV tokens that decodes read, decodes, and seconds.
    kind : array of int, shape (n,)
        Place in `KINDS`.
    """

    tok: Floats
    square_tok: Floats
    kv_tok: Floats
    n_decode: Floats
    time_s: Floats
    kind: NDArray[np.int64]


def iterations_of(profile: KernelProfile, model: ModelConfig, most_kv_tok: int, *, ep: int = 1) -> Iterations:
    """Return every profiled mixture that fits into ``most_kv_tok`` tokens of KV memory, as an iteration."""
    chunk, n = profile.chunk_tok, profile.n_decode
    tok, kv = chunk + n, n * profile.kv_decode_tok
    time_s = model.n_layers * (profile.layer(tok) + profile.attention_s) + profile.once(tok)
    time_s = time_s + profile.sequences(n + (chunk > 0))
    if model.n_experts:
        touched = model.n_experts / ep * (1.0 - (1.0 - group_share(model, ep)) ** tok)
        time_s = time_s + model.n_expert_layers * profile.experts_s(tok, touched)
    square = (chunk + profile.before_tok) ** 2 - profile.before_tok**2
    kind = np.where(chunk == 0, 0, np.where(n == 0, 1, 2))
    fits = (kv + profile.before_tok + chunk <= most_kv_tok) & (tok > 0) & (tok <= profile.layer.at[-1])
    return Iterations(tok[fits], square[fits], kv[fits], n[fits], time_s[fits], kind[fits])


def fit_physics(rows: Iterations, share: float, *, has_experts: bool) -> tuple[PhysicsFit, dict[str, float]]:
    """Fit the coefficients by least squares on the relative error, each kind of iteration with equal weight.

    Parameters
    ----------
    rows : Iterations
        One in ten is held out.
    share : float
        Share of the experts that a token touches.
    has_experts : bool
        Whether the model has any.

    Returns
    -------
    fit : PhysicsFit
        Coefficients >= 0. What is not hidden of a token, communication or not, is in ``comm_s_per_tok``.
    moments : dict
        By kind: rows held out, and mean and largest of their absolute relative error.
    """
    held_out = np.arange(rows.tok.size) % HELD_OUT == 0
    counts = np.bincount(rows.kind[~held_out], minlength=len(KINDS))
    if counts.min() < HELD_OUT:
        missing = KINDS[int(np.argmin(counts))]
        raise UserError(f"too few {missing} rows to fit: {counts.min()}, and at least {HELD_OUT} are needed")
    weight = (1.0 / np.sqrt(counts))[rows.kind] / rows.time_s
    best: tuple[float, Floats, float] | None = None
    for knee in [np.inf] if has_experts else KNEES:
        form = _form(rows, knee, share if has_experts else 0.0)
        loss, found = _least_squares(form[~held_out], weight[~held_out], rows.time_s[~held_out])
        if best is None or loss < best[0]:
            best = loss, found, float(knee)
    assert best is not None
    _, found, knee = best
    error = np.abs(_form(rows, knee, share if has_experts else 0.0) @ found / rows.time_s - 1.0)
    moments: dict[str, float] = {}
    for place, kind in enumerate(KINDS):
        mine = held_out & (rows.kind == place)
        moments[f"{kind}_held_out_n"] = int(mine.sum())
        moments[f"{kind}_held_out_error_mean"] = float(error[mine].mean()) if mine.any() else 0.0
        moments[f"{kind}_held_out_error_max"] = float(error[mine].max()) if mine.any() else 0.0
    overhead, read, token, square, kv, kv_mixed, request, experts = (float(f"{value:.{DIGITS}g}") for value in found)
    # where nothing is hidden the two constants cannot be told apart: reading takes it all
    weights = read if read > 0.0 else max(overhead, 1e-9)
    fit = PhysicsFit(
        overhead_s=overhead if read > 0.0 else 0.0,
        weights_s=weights,
        experts_s=experts,
        expert_share=share if has_experts else 1.0,
        compute_s_per_tok=weights / knee if np.isfinite(knee) else max(NEVER_REACHED * token, 1e-12),
        comm_s_per_tok=token,
        square_s=square,
        kv_s_per_tok=kv,
        kv_mixed_s_per_tok=kv_mixed,
        request_s=request,
    )
    return fit, moments


def _form(rows: Iterations, knee: float, share: float) -> Floats:
    one = np.ones(rows.tok.size)
    is_mixed = rows.kind == KINDS.index("mixed")
    reading = np.maximum(one, rows.tok / knee) if np.isfinite(knee) else np.zeros(rows.tok.size)
    experts = 1.0 - (1.0 - share) ** rows.tok
    return np.column_stack(
        [
            one,
            reading,
            rows.tok,
            rows.square_tok,
            np.where(is_mixed, 0.0, rows.kv_tok),
            np.where(is_mixed, rows.kv_tok, 0.0),
            rows.n_decode,
            experts,
        ]
    )


def _least_squares(form: Floats, weight: Floats, time_s: Floats) -> tuple[float, Floats]:
    from scipy.optimize import nnls

    scaled = form * weight[:, None]
    size = np.maximum(scaled.max(axis=0), 1e-300)
    found, loss = nnls(scaled / size, time_s * weight)
    return float(loss), np.where(scaled.max(axis=0) > 0.0, found / size, 0.0)


def fit_profile(
    folder: Path,
    model: ModelConfig,
    gpu: Gpu,
    *,
    name: str,
    tp: int = 1,
    ep: int = 1,
    overhead_s: float = OVERHEAD_S,
    origin: str = "",
    commit: str = "",
    licence: str = "unstated",
) -> EngineDigest:
    """Return an engine digest from a folder of kernel times; see `read_profile` and `fit_physics`.

    Parameters
    ----------
    folder : Path
        With ``meta.yaml``.
    model, gpu : ModelConfig, Gpu
        What was profiled: the profile knows neither the number of layers nor the memory.
    name : str
        Of the digest.
    tp, ep : int
        GPUs that share a layer, and data-parallel ranks that share the routed experts.
    overhead_s : float
        What an iteration takes beyond its kernels, in s.
    origin, commit, licence : str
        For the card.
    """
    profile = read_profile(folder, tp)
    if bool(model.n_experts) != bool(profile.expert_tok.size):
        said = "has experts" if model.n_experts else "has no experts"
        raise UserError(f"{model.name} {said}, and the profile says otherwise", where=str(folder))
    most_kv_tok = kv_tok(model, gpu, tp=tp, ep=ep)
    rows = iterations_of(profile, model, most_kv_tok, ep=ep)
    fit, moments = fit_physics(rows, group_share(model, ep), has_experts=bool(model.n_experts))
    added = {
        "overhead_s": fit.overhead_s + overhead_s,
        "comm_s_per_tok": fit.comm_s_per_tok + comm_s_per_tok(model, gpu, tp=tp, ep=ep),
    }
    raw = folder / f"tp{tp}" / "attention.csv"
    worst = max(moments[f"{kind}_held_out_error_mean"] for kind in KINDS)
    quirks = [
        f"Kernels know no CPU and no batches of unlike contexts; {overhead_s * 1000:g} ms an iteration stand for them.",
        "That addition is an assumption, within what one real run on an RTX PRO 6000 shows.",
        f"Rows that were held out: mean error {worst:.1%} in the worst kind of iteration. No run of a server was used.",
    ]
    if tp > 1 or ep > 1:
        quirks.append("Communication between GPUs is arithmetic: activations over the link of the GPU's sheet.")
    if worst > BAD_ERROR:
        quirks.append(bad_fit(worst))
    return EngineDigest(
        name=name,
        card=Card(
            title=f"{model.name} on {tp} x {gpu.name}: kernel times put together",
            origin=origin,
            commit=commit,
            licence=licence,
            citation="LLMServingSim, profiler",
            raw_file=f"{profile.hardware}/{profile.model}/{raw.parent.parent.name}/{raw.parent.name}/{raw.name}",
            raw_sha256=fingerprint(raw).raw_sha256,
            method="iterations as layers x (dense + attention + experts) + once + per sequence, those that fit into "
            "the KV memory; least squares on the relative error, coefficients >= 0, one row in ten held out; KV "
            "memory: 0.9 of the GPU's less weights and 1.5 GiB",
            quirks=tuple(quirks),
            contains=("inference",),
            status={"*": "measured", "kv_tok": "assumption", "kv_bytes_per_tok": "recollection"},
        ),
        model=model.name,
        hardware=gpu.name,
        n_gpus=tp,
        kv_bytes_per_tok=model.kv_bytes_per_tok * kv_copies(model, tp),
        kv_tok=most_kv_tok,
        max_context_tok=model.max_context_tok,
        physics=PhysicsFit(**{**{key: getattr(fit, key) for key in fit.__dataclass_fields__}, **added}),
        moments=moments,
        n_expert_ranks=ep if ep > 1 else None,
        exchange_s_per_tok=exchange_s_per_tok(model, gpu, ep=ep) if ep > 1 else None,
    )


def bad_fit(error: float) -> str:
    """Return the sentence about a fit that is bad."""
    return f"The fit is bad: its mean error is {error:.1%}, above {BAD_ERROR:.0%}; results will be off by as much."
