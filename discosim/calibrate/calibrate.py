"""From logs of a real server to an engine digest that says how well it does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from discosim.calibrate.coefficients import (
    MEMORY,
    Priors,
    cost_of_values,
    fit_of_values,
    peak_in_flight_tok,
    priors_of_logs,
    priors_of_physics,
)
from discosim.calibrate.distance import WARN_PCT, Distances, of_observed, plain, table, too_far, worst
from discosim.calibrate.engine_loop import play
from discosim.calibrate.evidence import Evidence
from discosim.calibrate.fit import Fitted, MakeModel, fit
from discosim.calibrate.observed import Observed, Requests, Summary
from discosim.core.errors import UserError
from discosim.traces.catalogue import load_digest
from discosim.traces.digest import Card
from discosim.traces.digest_file import read_own_digest
from discosim.traces.engine_digest import EngineDigest, in_step
from discosim.traces.gpu_sheet import find_gpu
from discosim.traces.model_config import ModelConfig, find_model, read_model
from discosim.traces.roofline import exchange_s_per_tok, roofline
from discosim.traces.roofline import kv_tok as kv_tok_of
from discosim.world.engine.costs.physics import PhysicsCost

UNKNOWN = 0.5
"""A coefficient of whose prior variance the log has taken less than this share is called not identified."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is known of model and machine beside the log.

    Parameters
    ----------
    priors : Priors
        Of the coefficients.
    model, hardware : str
        Names.
    kv_bytes_per_tok : float
        Size of a token's cache.
    max_context_tok : int
        Context limit.
    """

    priors: Priors
    model: str
    hardware: str
    kv_bytes_per_tok: float
    max_context_tok: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Calibration:
    """A fit, and what came of it on what it had not seen.

    Parameters
    ----------
    known : Known
        What it began with.
    fitted : Fitted
        The coefficients.
    train, held_out : tuple of (Observed, Distances)
        How far the simulated server is from the real one.
    doubts : tuple of str
        Sentences: what was not identified, what is too far off, what the readers said.
    """

    known: Known
    fitted: Fitted
    train: tuple[tuple[Observed, Distances], ...]
    held_out: tuple[tuple[Observed, Distances], ...]
    doubts: tuple[str, ...]


def known_of_sheet(model: str, gpu: str, *, tp: int, ep: int, lockstep: bool, kv_tok: int | None) -> Known:
    """Return the roofline of a model (a `config.json`, or a name) on a GPU (a name of the sheet).

    Raises
    ------
    UserError
        If one is unknown, or the model does not fit.
    """
    config = _model(model)
    card = find_gpu(gpu)
    held = roofline(config, card, tp=tp, ep=ep)
    if lockstep:
        held = in_step(held, ep, exchange_s_per_tok(config, card, ep=ep))
    room = kv_tok or kv_tok_of(config, card, tp=tp, ep=ep)
    return Known(
        priors=priors_of_physics(
            held,
            kv_tok=room,
            n_gpus=tp,
            source=f"roofline of {config.name} on {tp} x {card.name}",
            is_kv_known=kv_tok is not None,
        ),
        model=config.name,
        hardware=card.name,
        kv_bytes_per_tok=config.kv_bytes_per_tok,
        max_context_tok=config.max_context_tok,
    )


def _model(name: str) -> ModelConfig:
    return read_model(name) if Path(name).suffix == ".json" or Path(name).exists() else find_model(name)


def known_of_digest(name: str, kv_tok: int | None, *, lockstep: bool = False) -> Known:
    """Return what another digest says, one of the user's or a shipped one; it must hold physics."""
    digest = read_own_digest(name, "engine") if Path(name).suffix == ".json" else load_digest(name, "engine")
    assert isinstance(digest, EngineDigest)
    if digest.physics is None:
        raise UserError(f"{name} holds lines or curves; only a digest with physics can be calibrated", where="--from")
    fit = digest.physics
    if lockstep and digest.n_expert_ranks is not None:
        fit = in_step(fit, digest.n_expert_ranks, digest.exchange_s_per_tok or 0.0)
    return Known(
        priors=priors_of_physics(
            fit,
            kv_tok=kv_tok or digest.kv_tok,
            n_gpus=digest.n_gpus,
            source=f"digest {digest.name}",
            is_kv_known=kv_tok is not None,
        ),
        model=digest.model,
        hardware=digest.hardware,
        kv_bytes_per_tok=digest.kv_bytes_per_tok,
        max_context_tok=digest.max_context_tok,
    )


def known_of_logs(seen: Sequence[Observed], *, n_gpus: int, kv_tok: int | None) -> Known:
    """Return wide priors from the times alone."""
    ttft, tpot, prompt, peak = [], [], [], []
    for one in seen:
        if isinstance(one, Summary):
            ttft.append(np.array([one.real["ttft_s"]["mean"]]))
            tpot.append(np.array([one.real["tpot_s"]["mean"]]))
            prompt.append(one.load.prompt_tok[:1].astype(float))
            peak.append(float((one.load.prompt_tok[0] + one.load.output_tok[0]) * one.concurrency))
        else:
            assert isinstance(one, Requests)
            ttft.append(one.log.ttft_s[one.counts])
            tpot.append(one.log.tpot_s[one.counts])
            prompt.append(one.log.prompt_tok[one.counts].astype(float))
            peak.append(peak_in_flight_tok(one.log))
    first, each = np.concatenate(ttft), np.concatenate(tpot)
    if not (np.isfinite(first).any() and np.isfinite(each).any()):
        raise UserError("the logs hold no TTFT or no time per token; name --model and --gpu")
    priors = priors_of_logs(first, each, np.concatenate(prompt), peak_tok=max(peak), kv_tok=kv_tok, n_gpus=n_gpus)
    return Known(priors=priors, model="unnamed", hardware="unnamed", kv_bytes_per_tok=131072.0, max_context_tok=131072)


def calibrate(evidence: Evidence, known: Known, model: MakeModel) -> Calibration:
    """Fit, and try the fit on what it has not seen."""
    fitted = fit(known.priors, model, evidence.train)
    train = tuple((one, of_observed(one, ran)) for one, ran in zip(evidence.train, fitted.played, strict=True))
    ran = dict(zip((id(one.load) for one in evidence.train), fitted.played, strict=True))  # logs are parted, not loads
    values = fitted.values
    engine = model(_cost(fitted), values.get(MEMORY, float(known.priors.kv_tok)))
    held_out = tuple(
        (one, of_observed(one, ran.get(id(one.load)) or play(engine, one.load))) for one in evidence.held_out
    )
    doubts = [*evidence.doubts, *_unknown(fitted), *_batches(fitted)]
    for one, found in held_out or train:
        doubts += too_far(found, WARN_PCT, f"{'held out' if held_out else 'fitted'}, {one.name}")
    if not held_out:
        doubts.append("Nothing was held out, so nothing is known of how well it predicts; see --train.")
    return Calibration(known=known, fitted=fitted, train=train, held_out=held_out, doubts=tuple(doubts))


def _cost(fitted: Fitted) -> PhysicsCost:
    return cost_of_values(fitted.values, fitted.priors.expert_share, n_gpus=fitted.priors.n_gpus)


def _unknown(fitted: Fitted) -> list[str]:
    names = [c.name for c, share in zip(fitted.priors.coefficients, fitted.identified, strict=True) if share < UNKNOWN]
    said = [f"Not identified, prior only: {', '.join(names)}."] if names else []
    if MEMORY in names:
        said.append(
            "KV memory that is never full is not seen: give --kv-tok, or the engine may preempt where yours does not."
        )
    return said


def _batches(fitted: Fitted) -> list[str]:
    """Return which batches the logs have hardly shown: below 5 % of their decode time."""
    low = min(played.batches[0] for played in fitted.played)
    high = max(played.batches[1] for played in fitted.played)
    found = f"Batches below {low:.0f} and above {high:.0f} were hardly seen: there the priors speak."
    return [found]


def headline(found: Calibration) -> str:
    """Return how well it does, in one sentence for the card and for every later run."""
    shown = found.held_out or found.train
    logs = ", ".join(dict.fromkeys(one.name for one, _ in found.train))
    parts = []
    for metric, stat, name in (
        ("ttft_s", "p50", "TTFT p50"),
        ("tpot_s", "mean", "TPOT mean"),
        ("e2e_s", "p50", "E2E p50"),
        ("e2e_s", "p99", "p99"),
    ):
        errors = [d[metric][stat]["error_pct"] for _, d in shown if metric in d and stat in d[metric]]
        if errors:
            parts.append(f"{name} {worst(errors):+.1f} %")
    return f"calibrated on {logs}, {'held-out' if found.held_out else 'fitted'} {', '.join(parts)}"


def digest_of(found: Calibration, name: str, raw_file: str, raw_sha256: str) -> EngineDigest:
    """Return the digest of a calibration."""
    fitted, known = found.fitted, found.known
    values = fitted.values
    moments = {
        f"{kind}_{metric[:-2]}_{stat}_error": worst(
            [d[metric][stat]["error_pct"] for _, d in parts if stat in d.get(metric, {})]
        )
        / 100
        for kind, parts in (("train", found.train), ("held_out", found.held_out))
        for metric in ("ttft_s", "tpot_s", "e2e_s")
        for stat in ("mean", "p50", "p99")
        if any(stat in d.get(metric, {}) for _, d in parts)
    }
    moments |= {
        f"identified_{c.name}": float(share)
        for c, share in zip(fitted.priors.coefficients, fitted.identified, strict=True)
    }
    return EngineDigest(
        name=name,
        card=Card(
            title=f"{known.model} on {known.priors.n_gpus} x {known.hardware}, calibrated",
            origin="the user's own log",
            commit="",
            licence="unstated",
            citation="own measurements",
            raw_file=raw_file,
            raw_sha256=raw_sha256,
            method=f"simulator in the loop; priors: {known.priors.source}",
            quirks=found.doubts,
            contains=("inference",),
        ),
        model=known.model,
        hardware=known.hardware,
        n_gpus=known.priors.n_gpus,
        kv_bytes_per_tok=known.kv_bytes_per_tok,
        kv_tok=int(values.get(MEMORY, known.priors.kv_tok)),
        max_context_tok=known.max_context_tok,
        physics=fit_of_values(values, known.priors.expert_share),
        moments={key: value for key, value in moments.items() if np.isfinite(value)},
        validated=headline(found),
    )


def describe(found: Calibration) -> str:
    """Return coefficients with prior, fit and interval, the tables and the doubts, for people."""
    fitted = found.fitted
    intervals = fitted.intervals()
    lines = [
        f"priors: {fitted.priors.source}",
        "",
        f"{'coefficient':<20} {'prior':>10} {'fit':>10}   {'95 % interval':<22} from the log",
    ]
    for c, share in zip(fitted.priors.coefficients, fitted.identified, strict=True):
        low, high = intervals[c.name]
        said = f"{100 * share:.0f} %" if share >= UNKNOWN else f"{100 * share:.0f} %  not identified: prior only"
        lines.append(
            f"{c.name:<20} {c.prior:>10.3g} {fitted.values[c.name]:>10.3g}   {f'{low:.3g} to {high:.3g}':<22} {said}"
        )
    for kind, parts in (("fitted", found.train), ("held out", found.held_out)):
        for one, distance in parts:
            lines += ["", *table(f"{kind}: {one.name}", distance)]
    lines += ["", *(f"note: {doubt}" for doubt in found.doubts), f"engine {headline(found)}"]
    return "\n".join(lines)


def to_json(found: Calibration) -> dict[str, Any]:
    """Return coefficients with prior, fit, interval and the share that the log tells, distances, and doubts."""
    fitted = found.fitted
    intervals = fitted.intervals()
    coefficients = [
        {
            "name": c.name,
            "prior": c.prior,
            "fit": fitted.values[c.name],
            "low": intervals[c.name][0],
            "high": intervals[c.name][1],
            "share_from_log": share,
            "is_identified": bool(share >= UNKNOWN),
        }
        for c, share in zip(fitted.priors.coefficients, fitted.identified, strict=True)
    ]
    parts = {
        name: [{"log": one.name, "distances": plain(distance)} for one, distance in held]
        for name, held in (("train", found.train), ("held_out", found.held_out))
    }
    return {"priors": fitted.priors.source, "coefficients": coefficients, **parts, "doubts": list(found.doubts)}
