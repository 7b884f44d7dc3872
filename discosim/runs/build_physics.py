"""From a scenario's `physics` section to coefficients, KV memory and context limit."""

from __future__ import annotations

from dataclasses import asdict, replace

from discosim.core.errors import UserError
from discosim.core.scenario import PhysicsIterations, Scale
from discosim.traces.digest import Card
from discosim.traces.engine_digest import EngineDigest, PhysicsFit
from discosim.traces.gpu_sheet import Gpu, find_gpu
from discosim.traces.model_config import ModelConfig, find_model, read_model
from discosim.traces.roofline import ERROR_BAND, Shares, exchange_s_per_tok, kv_copies, kv_tok, roofline

SECTION = "server.iterations"


def scaled_fit(spec: PhysicsIterations) -> PhysicsFit:
    """Return the coefficients of a section, those it gives or those of its model on its GPU, times its factors.

    Raises
    ------
    UserError
        If the model cannot be shared out as the section says.
    """
    if spec.coefficients is not None:
        return scaled(PhysicsFit(**asdict(spec.coefficients)), spec.scale)
    model, gpu = _model_and_gpu(spec)
    try:
        held = roofline(model, gpu, tp=spec.tp, ep=spec.ep, shares=_shares(spec))
    except UserError as error:
        raise UserError(error.message, where=SECTION) from None
    return scaled(held, spec.scale)


def scaled(held: PhysicsFit, by: Scale) -> PhysicsFit:
    """Return coefficients times factors."""
    return replace(
        held,
        overhead_s=held.overhead_s * by.overhead,
        weights_s=held.weights_s * by.weights,
        experts_s=held.experts_s * by.weights,
        compute_s_per_tok=held.compute_s_per_tok * by.compute,
        square_s=held.square_s * by.compute,
        comm_s_per_tok=held.comm_s_per_tok * by.comm,
        kv_s_per_tok=held.kv_s_per_tok * by.kv,
        kv_mixed_s_per_tok=held.kv_mixed_s_per_tok * by.kv,
        request_s=held.request_s * by.request,
    )


def physics_digest(spec: PhysicsIterations) -> EngineDigest:
    """Return what arithmetic says of a model on a GPU, as an engine digest.

    Raises
    ------
    UserError
        If the memory cannot hold the model, or it cannot be shared out as the section says.
    """
    model, gpu = _model_and_gpu(spec)
    fit = scaled_fit(spec)
    try:
        tokens = kv_tok(model, gpu, tp=spec.tp, ep=spec.ep, shares=_shares(spec))
    except UserError as error:
        raise UserError(error.message, where=SECTION) from None
    return EngineDigest(
        name=f"{model.name} on {spec.tp} x {gpu.name}",
        card=Card(
            title=f"{model.name} on {spec.tp} x {gpu.name}, by arithmetic alone",
            origin="",
            commit="",
            licence="facts-only",
            citation=gpu.source,
            raw_file="",
            raw_sha256="",
            method="bytes over bandwidth, operations over their rate",
            quirks=(error_band(),),
            contains=("inference",),
            status={"*": "assumption"},
        ),
        model=model.name,
        hardware=gpu.name,
        n_gpus=spec.tp,
        kv_bytes_per_tok=model.kv_bytes_per_tok * kv_copies(model, spec.tp),
        kv_tok=tokens,
        max_context_tok=model.max_context_tok,
        physics=fit,
        moments={},
        n_expert_ranks=spec.ep if spec.ep > 1 else None,
        exchange_s_per_tok=exchange_s_per_tok(model, gpu, ep=spec.ep) * spec.scale.comm if spec.ep > 1 else None,
    )


def error_band() -> str:
    """Return how far arithmetic alone may be off, as a sentence."""
    return (
        f"No server was measured: means of TTFT, TPOT and E2E may be off by {ERROR_BAND:.0%} for a dense model, and by "
        "more for one with experts."
    )


def physics_notes(spec: PhysicsIterations) -> list[str]:
    """Return what a reader of the results must know of where the iteration times are from."""
    if spec.coefficients is not None:
        return ["iterations: coefficients chosen in the scenario"]
    model, gpu = _model_and_gpu(spec)
    split = f"tp {spec.tp}" + (f", ep {spec.ep}" if spec.ep > 1 else "")
    known = f"iterations: {model.name} on {gpu.name} ({split}), by arithmetic alone; GPU: {gpu.status}"
    return [f"{known} ({gpu.source}). {error_band()}", *(f"model: {doubt}" for doubt in model.warnings)]


def _model_and_gpu(spec: PhysicsIterations) -> tuple[ModelConfig, Gpu]:
    if spec.gpu is None or (spec.model is None and spec.model_file is None):
        raise UserError("needs gpu and one of model and model_file, or coefficients", where=SECTION)
    model = read_model(spec.model_file) if spec.model_file is not None else find_model(str(spec.model))
    return model, find_gpu(spec.gpu)


def _shares(spec: PhysicsIterations) -> Shares:
    return Shares(mfu=spec.mfu, mbu=spec.mbu, memory_share=spec.memory_share)
