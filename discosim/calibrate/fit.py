"""The simulator in the loop: the coefficients under which a simulated engine does what the real one did.

A simulated run is no smooth function of its coefficients (a slightly longer iteration lets one more request in), so
derivatives are not taken at a point: around an estimate a cloud of runs is made, and what the runs have in common with
their coefficients, a regression, is the Jacobian of a Gauss-Newton step with priors. The cloud shrinks when
no step helps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from discosim.calibrate.coefficients import MEMORY, Priors, cost_of_values
from discosim.calibrate.engine_loop import Played, play
from discosim.calibrate.observed import Observed
from discosim.world.engine.costs.base import CostModel
from discosim.world.engine.engine import EngineModel

Floats = NDArray[np.float64]
MakeModel = Callable[[CostModel, float], EngineModel]
"""An engine of iteration times and of a size of the KV memory, in tokens."""

BEND = 3.0
"""From how many sigmas on a miss counts linearly, no longer by its square. Source: our choice (pseudo-Huber loss)."""
WIDEST, NARROWEST, MOST_STEPS = 0.5, 0.03, 40
"""Of the cloud: its first and last size, in spreads of the priors of at most `FAR`; and steps in all."""
FAR = 0.3
STEPS = (1.5, 1.0, 0.5, 0.25, 0.1)
LEAST_MISS = 0.1
"""What misses are taken to be at least, in sigmas: a log that fits by chance does not tell all digits."""
SEED = 20


@dataclass(frozen=True, eq=False, kw_only=True)
class Fitted:
    """What a log says of the coefficients.

    Parameters
    ----------
    priors : Priors
        What was thought before.
    at : array of float, shape (k,)
        Estimate, in units of log beside the priors' medians.
    covariance : array of float, shape (k, k)
        Of the estimate, priors included.
    played : tuple of Played
        The runs of the estimate, one per log.
    n_runs : int
        Simulated runs in all.
    losses : array of float
        What each miss adds to the misfit, in the order of the logs, the prior's share spread evenly over all.
    """

    priors: Priors
    at: Floats
    covariance: Floats
    played: tuple[Played, ...]
    n_runs: int
    losses: Floats

    @property
    def values(self) -> dict[str, float]:
        """The estimate, by name."""
        return self.priors.values(self.at)

    @property
    def sigmas(self) -> Floats:
        """Sigma of the log of each."""
        sigmas: Floats = np.sqrt(np.diag(self.covariance))
        return sigmas

    @property
    def identified(self) -> Floats:
        """Share of the prior's variance that the log has taken away, 0 to 1, of each."""
        share: Floats = np.clip(1.0 - (self.sigmas / self.priors.spreads) ** 2, 0.0, 1.0)
        return share

    def intervals(self, z: float = 1.96) -> dict[str, tuple[float, float]]:
        """Return 95 % intervals, by name."""
        low, high = self.priors.values(self.at - z * self.sigmas), self.priors.values(self.at + z * self.sigmas)
        return {name: (low[name], high[name]) for name in low}


class _Misfit:
    """How far the engine of given coefficients is from all logs."""

    def __init__(self, priors: Priors, model: MakeModel, seen: Sequence[Observed]) -> None:
        self.priors, self.model, self.seen = priors, model, seen
        self.n_runs = 0
        self.sigma: Floats = np.ones(0)
        self.sizes: list[int] = []

    def play(self, at: Floats) -> tuple[Played, ...]:
        values = self.priors.values(at)
        cost = cost_of_values(values, self.priors.expert_share)
        model = self.model(cost, values.get(MEMORY, float(self.priors.kv_tok)))
        self.n_runs += len(self.seen)
        return tuple(play(model, one.load) for one in self.seen)

    def misses(self, at: Floats) -> Floats:
        """Return the misses of all logs, in sigmas."""
        found, sigmas = zip(
            *(one.misses(played) for one, played in zip(self.seen, self.play(at), strict=True)), strict=True
        )
        self.sizes = [part.size for part in found]
        miss: Floats = np.concatenate(found) / np.concatenate(sigmas)
        return miss

    def losses(self, at: Floats, miss: Floats) -> Floats:
        data: Floats = 2.0 * BEND**2 * (np.sqrt(1.0 + (miss / BEND) ** 2) - 1.0)
        return data + np.sum((at / self.priors.spreads) ** 2) / miss.size

    def loss(self, at: Floats, miss: Floats) -> float:
        data = 2.0 * BEND**2 * np.sum(np.sqrt(1.0 + (miss / BEND) ** 2) - 1.0)
        return float(data + np.sum((at / self.priors.spreads) ** 2))


def fit(priors: Priors, model: MakeModel, seen: Sequence[Observed], tick: Callable[[], None] | None = None) -> Fitted:
    """Find the coefficients; the same log gives the same answer.

    Cost: some 300 to 500 runs of each log.
    """
    rng = np.random.default_rng(SEED)
    misfit = _Misfit(priors, model, seen)
    k = len(priors.coefficients)
    at = np.zeros(k)
    miss = misfit.misses(at)
    best = misfit.loss(at, miss)
    size = WIDEST
    scale = np.minimum(priors.spreads, FAR)
    slopes = np.zeros((miss.size, k))
    for _ in range(MOST_STEPS):
        if size < NARROWEST:
            break
        half = rng.normal(size=(k + 4, k)) * scale * size
        cloud = np.concatenate([half, -half])
        runs = np.array([misfit.misses(at + step) for step in cloud])
        slopes = np.linalg.lstsq(cloud, runs - miss, rcond=None)[0].T
        step = _step(at, miss, slopes, priors.spreads)
        tried = [at + far * step for far in STEPS]
        found = [*((at + one, run) for one, run in zip(cloud, runs, strict=True))]
        found += [(place, misfit.misses(place)) for place in tried]
        losses = [misfit.loss(*one) for one in found]
        i = int(np.argmin(losses))
        gain = (best - losses[i]) / best
        if gain > 0.0:
            best, at, miss = losses[i], found[i][0], found[i][1]
        if gain < 0.005:
            size /= 2.0
        if tick is not None:
            tick()
    return Fitted(
        priors=priors,
        at=at,
        covariance=_covariance(misfit, at, miss, rng, scale),
        played=misfit.play(at),
        n_runs=misfit.n_runs,
        losses=misfit.losses(at, miss),
    )


def _weights(miss: Floats) -> Floats:
    weights: Floats = 1.0 / np.sqrt(1.0 + (miss / BEND) ** 2)
    return weights


def _step(at: Floats, miss: Floats, slopes: Floats, spreads: Floats) -> Floats:
    weights = _weights(miss)
    curvature = slopes.T @ (weights[:, None] * slopes) + np.diag(spreads**-2.0)
    return np.asarray(-np.linalg.solve(curvature, slopes.T @ (weights * miss) + at / spreads**2), dtype=np.float64)


def _covariance(misfit: _Misfit, at: Floats, miss: Floats, rng: np.random.Generator, scale: Floats) -> Floats:
    """Return the covariance of the estimate: priors, and misses as large and as alike as they are.

    Misses of neighbouring requests are alike (they met the same queue), so they tell less than as many independent
    ones: their number is divided by (1 + r) / (1 - r), with r their correlation from one request to the next. A cloud
    of its own, twice as many runs, tells the slopes.
    """
    half = rng.normal(size=(2 * scale.size + 8, scale.size)) * scale * 0.15
    cloud = np.concatenate([half, -half])
    runs = np.array([misfit.misses(at + step) for step in cloud])
    slopes, *_ = np.linalg.lstsq(cloud, runs - runs.mean(axis=0), rcond=None)
    noise = runs - runs.mean(axis=0) - cloud @ slopes  # what a run does beyond what its coefficients explain
    weights = _weights(miss)
    chance = (noise**2).sum(axis=0) / (cloud.shape[0] - scale.size - 1)
    spread = np.average(miss**2, weights=weights) + chance.mean()
    alike = np.clip(np.corrcoef(miss[:-1], miss[1:])[0, 1] if miss.size > 2 and miss.std() > 0.0 else 0.0, 0.0, 0.95)
    scatter = max(float(spread), LEAST_MISS**2) * (1.0 + alike) / (1.0 - alike)
    # noise alone makes slopes, too, and so many misses of them would look like knowledge
    known = (slopes * weights) @ slopes.T - float(weights @ chance) * np.linalg.inv(cloud.T @ cloud)
    size, axes = np.linalg.eigh(known)
    known = (axes * np.maximum(size, 0.0)) @ axes.T / scatter
    return np.asarray(np.linalg.inv(known + np.diag(misfit.priors.spreads**-2.0)), dtype=np.float64)
