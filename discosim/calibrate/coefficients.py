"""What is to be found out about an engine, and what is thought of it before its log is looked at."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from discosim.traces.engine_digest import PhysicsFit
from discosim.traces.server_log import ServerLog
from discosim.world.engine.costs.physics import PhysicsCost

Floats = NDArray[np.float64]

MIX = "kv_mixed_over_kv"
MEMORY = "kv_tok"
TIGHT = {
    "weights_s": 0.1,
    "experts_s": 0.15,
    "compute_s_per_tok": 0.15,
    "kv_s_per_tok": 0.15,
    MIX: 0.4,
    "square_s": 0.5,
    "overhead_s": 1.0,
    "request_s": 1.0,
    "comm_s_per_tok": 1.0,
}
"""Spread (sigma of the log) of each prior where model and GPU are known. Source: our choice. What follows from bytes
and operations is tight: a GPU reaches 0.5 to 0.9 of its bandwidth and its arithmetic. What software adds is wide."""
WIDE = {
    "weights_s": 0.7,
    "compute_s_per_tok": 0.7,
    "kv_s_per_tok": 1.2,
    MIX: 0.4,
    "square_s": 1.0,
    "overhead_s": 1.5,
    "request_s": 1.5,
}
"""The same where nothing is known but the log."""
USUAL_OVERHEAD_S, USUAL_REQUEST_S, USUAL_MIX = 1e-3, 5e-6, 2.0
"""Where a sheet says 0 or nothing: launches and sampling of an iteration, what a decode adds, and how much slower KV is
read beside a prompt. Source: our choice, within what kernel profiles show (1.4 to 4.4 for the last)."""
UNITS = {MIX: "", MEMORY: "tok", "square_s": "s/tok^2", "request_s": "s", "overhead_s": "s", "weights_s": "s"}


@dataclass(frozen=True, kw_only=True)
class Coefficient:
    """One unknown of an engine, > 0.

    Parameters
    ----------
    name : str
        That of `PhysicsCost`; ``kv_mixed_over_kv`` for the ratio of the two times per KV token, and ``kv_tok`` for the
        size of the KV memory.
    prior : float
        Median of what is thought of it before.
    spread : float
        Sigma of its logarithm, > 0.
    """

    name: str
    prior: float
    spread: float

    @property
    def unit(self) -> str:
        """Its unit, for people."""
        return UNITS.get(self.name, "s" if self.name.endswith("_s") else "s/tok")


@dataclass(frozen=True, kw_only=True)
class Priors:
    """All unknowns, and what is taken as given.

    Parameters
    ----------
    coefficients : tuple of Coefficient
        What is fitted.
    expert_share : float
        Of the model, in (0, 1].
    source : str
        Where the priors come from, for people.
    kv_tok : int
        KV memory of a replica, where it is no unknown.
    n_gpus : int
        GPUs of one replica.
    """

    coefficients: tuple[Coefficient, ...]
    expert_share: float
    source: str
    kv_tok: int
    n_gpus: int = 1

    @property
    def spreads(self) -> Floats:
        """Spread of each."""
        return np.array([c.spread for c in self.coefficients])

    def values(self, at: Floats) -> dict[str, float]:
        """Return the coefficients at so many units of log beside their priors."""
        return {c.name: c.prior * math.exp(x) for c, x in zip(self.coefficients, at.tolist(), strict=True)}


def cost_of_values(values: Mapping[str, float], expert_share: float, name: str = "fit", n_gpus: int = 1) -> PhysicsCost:
    """Return iteration times of coefficients by name."""
    return PhysicsCost(**asdict(fit_of_values(values, expert_share)), name=name, n_gpus=n_gpus)


def fit_of_values(values: Mapping[str, float], expert_share: float) -> PhysicsFit:
    """Return the same as what a digest holds."""
    held = {key: value for key, value in values.items() if key not in {MIX, MEMORY}}
    return PhysicsFit(**held, kv_mixed_s_per_tok=held["kv_s_per_tok"] * values[MIX], expert_share=expert_share)


def priors_of_physics(fit: PhysicsFit, *, kv_tok: int, n_gpus: int, source: str, is_kv_known: bool) -> Priors:
    """Return priors around what a roofline or another digest says.

    Parameters
    ----------
    fit : PhysicsFit
        The medians.
    kv_tok : int
        KV memory of a replica.
    is_kv_known : bool
        Whether that is what the server itself said; else it is reckoned, and fitted within 5 %.
    n_gpus, source
        As in `Priors`.
    """
    medians = {
        "overhead_s": fit.overhead_s or USUAL_OVERHEAD_S,
        "weights_s": fit.weights_s,
        "compute_s_per_tok": fit.compute_s_per_tok,
        "square_s": fit.square_s or fit.compute_s_per_tok * 1e-5,
        "kv_s_per_tok": fit.kv_s_per_tok or fit.weights_s * 5e-6,
        MIX: fit.kv_mixed_s_per_tok / fit.kv_s_per_tok if fit.kv_s_per_tok else USUAL_MIX,
        "request_s": fit.request_s or USUAL_REQUEST_S,
    }
    medians |= {key: value for key in ("experts_s", "comm_s_per_tok") if (value := getattr(fit, key)) > 0.0}
    found = [Coefficient(name=name, prior=value, spread=TIGHT[name]) for name, value in medians.items()]
    if not is_kv_known:
        found.append(Coefficient(name=MEMORY, prior=float(kv_tok), spread=0.05))
    return Priors(coefficients=tuple(found), expert_share=fit.expert_share, source=source, kv_tok=kv_tok, n_gpus=n_gpus)


def priors_of_logs(
    ttft_s: Floats, tpot_s: Floats, prompt_tok: Floats, *, peak_tok: float, kv_tok: int | None, n_gpus: int
) -> Priors:
    """Return wide priors where nothing is known but times.

    The fastest tokens tell the weights, the fastest prompts the arithmetic; that reading 200,000 KV tokens takes as
    long as the weights is what models of 8 to 70 billion numbers do. Source: our choice.

    Parameters
    ----------
    ttft_s, tpot_s, prompt_tok : array of float
        Of all logs; NaN where not logged.
    peak_tok : float
        Most tokens that were in flight at once, an upper bound on what the KV memory had to hold.
    kv_tok : int or None
        KV memory, where it is known.
    n_gpus : int
        GPUs of one replica.
    """
    weights_s = 0.8 * float(np.nanquantile(tpot_s, 0.02))
    compute_s = 0.8 * float(np.nanquantile(ttft_s / prompt_tok, 0.05))
    medians = {
        "overhead_s": min(USUAL_OVERHEAD_S, weights_s / 4),
        "weights_s": weights_s,
        "compute_s_per_tok": compute_s,
        "square_s": compute_s * 1e-5,
        "kv_s_per_tok": weights_s / 2e5,
        MIX: USUAL_MIX,
        "request_s": USUAL_REQUEST_S,
    }
    found = [Coefficient(name=name, prior=value, spread=WIDE[name]) for name, value in medians.items()]
    if kv_tok is None:
        found.append(Coefficient(name=MEMORY, prior=peak_tok, spread=0.5))
    return Priors(
        coefficients=tuple(found),
        expert_share=1.0,
        source="the log alone (name --model and --gpu for narrower ones)",
        kv_tok=kv_tok or int(peak_tok),
        n_gpus=n_gpus,
    )


def peak_in_flight_tok(log: ServerLog) -> float:
    """Return the most tokens, prompts and whole answers, of requests that were there at once."""
    ends_s = log.arrival_s + np.where(np.isfinite(log.e2e_s), log.e2e_s, 0.0)
    tok = (log.prompt_tok + log.output_tok).astype(float)
    at_s = np.concatenate([log.arrival_s, ends_s])
    change = np.concatenate([tok, -tok])
    return float(np.cumsum(change[np.lexsort((change, at_s))]).max())
