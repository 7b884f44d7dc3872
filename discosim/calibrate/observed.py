"""What was seen of a real server, and how far a simulated one is from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from discosim.calibrate.engine_loop import Load, Played
from discosim.traces.server_log import ServerLog

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

SIGMA = {"ttft_s": 0.1, "tpot_s": 0.02, "e2e_s": 0.02}
"""How far a good simulation is from a request, as sigma of the log. A TTFT hangs on when an iteration began, so it is
told less sharply. Source: our choice; the fit estimates one common factor on top."""
AT = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


class Observed(Protocol):
    """One run of a real server."""

    @property
    def name(self) -> str:
        """Name for messages."""
        ...

    @property
    def load(self) -> Load:
        """What to give the simulated one."""
        ...

    def misses(self, played: Played) -> tuple[Floats, Floats]:
        """Return simulated over real as logs, and the sigma of each."""
        ...


@dataclass(frozen=True, eq=False, kw_only=True)
class Requests:
    """Single requests of a log, of which some count.

    Parameters
    ----------
    log : ServerLog
        What was seen.
    load : Load
        Its requests first; more may follow that fill up the load behind a log that was cut off.
    counts : array of bool, shape (len(log),)
        Whose times are compared.
    """

    log: ServerLog
    load: Load
    counts: Bools

    @property
    def name(self) -> str:
        """Name for messages."""
        return self.log.name

    def misses(self, played: Played) -> tuple[Floats, Floats]:
        """Return simulated over real as logs, request by request, and the sigma of each."""
        found, sigmas = [], []
        n = len(self.log)
        for metric, sigma in SIGMA.items():
            real, simulated = getattr(self.log, metric), getattr(played, metric)[:n]
            kept = self.counts & np.isfinite(real) & (real > 0.0) & np.isfinite(simulated) & (simulated > 0.0)
            found.append(np.log(simulated[kept] / real[kept]))
            sigmas.append(np.full(int(kept.sum()), sigma))
        return np.concatenate(found), np.concatenate(sigmas)


@dataclass(frozen=True, eq=False, kw_only=True)
class Summary:
    """Means and quantiles of a test at one concurrency.

    Parameters
    ----------
    name : str
        Name for messages.
    concurrency : int
        Requests in flight.
    load : Load
        A closed loop of so many users.
    real : mapping of str to mapping of str to float
        Metric (``ttft_s``, ``tpot_s``, ``e2e_s``) to statistic (``mean``, ``p50``, ``p90``, ``p99``) to s.
    """

    name: str
    concurrency: int
    load: Load
    real: Mapping[str, Mapping[str, float]]

    FITTED = ("mean", "p50")

    def misses(self, played: Played) -> tuple[Floats, Floats]:
        """Return simulated over real as logs, of means and medians, and the sigma of each.

        Of a test both are told as sharply as of a single request.
        """
        found = [
            (np.log(statistic(getattr(played, metric), stat) / value), SIGMA[metric])
            for metric, stats in self.real.items()
            for stat, value in stats.items()
            if stat in self.FITTED
        ]
        return np.array([miss for miss, _ in found]), np.array([sigma for _, sigma in found])


def statistic(values: Floats, stat: str) -> float:
    """Return ``mean`` or a quantile of the finite values; NaN where there is none."""
    kept = values[np.isfinite(values)]
    if not kept.size:
        return float("nan")
    return float(kept.mean()) if stat == "mean" else float(np.quantile(kept, AT[stat]))
