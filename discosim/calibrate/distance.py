"""How far a simulated server is from the real one, in the figures that people quote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discosim.calibrate.engine_loop import Played
from discosim.calibrate.observed import Observed, Requests, Summary, statistic
from discosim.traces.server_log import ServerLog

Bools = NDArray[np.bool_]
Distances = dict[str, dict[str, dict[str, float]]]
"""Metric to statistic to ``real``, ``simulated`` and ``error_pct``."""
STATS = ("mean", "p50", "p90", "p99")
METRICS = ("ttft_s", "queue_s", "tpot_s", "e2e_s")
LEAST_S = 1e-3
"""A relative error of less time than this says nothing: it is within one iteration."""
WARN_PCT = {"p50": 5.0, "p99": 10.0}


def distances(log: ServerLog, played: Played, counts: Bools) -> Distances:
    """Return real, simulated and error of each metric over the requests that count.

    A metric that was not logged is left out. ``makespan_s`` runs from the first arrival to the last token of these
    requests, ``tok_per_s`` is their answers' tokens over it.
    """
    found: Distances = {}
    n = len(log)
    for metric in METRICS:
        real, simulated = getattr(log, metric), getattr(played, metric)[:n]
        kept = counts & np.isfinite(real) & np.isfinite(simulated)
        if kept.any():
            found[metric] = {
                stat: _pair(statistic(real[kept], stat), statistic(simulated[kept], stat)) for stat in STATS
            }
    kept = counts & np.isfinite(log.e2e_s)
    if kept.any():
        spans = [
            float((log.arrival_s + e2e_s)[kept].max() - log.arrival_s[kept].min())
            for e2e_s in (log.e2e_s, played.e2e_s[:n])
        ]
        tok = float(log.output_tok[kept].sum())
        found["makespan_s"] = {"value": _pair(*spans)}
        found["tok_per_s"] = {"value": _pair(*(tok / span_s for span_s in spans))}
    return found


def of_summary(seen: Summary, played: Played) -> Distances:
    """Return the same of figures by concurrency."""
    return {
        metric: {stat: _pair(value, statistic(getattr(played, metric), stat)) for stat, value in stats.items()}
        for metric, stats in seen.real.items()
    }


def of_observed(seen: Observed, played: Played) -> Distances:
    """Return the distances of either."""
    if isinstance(seen, Summary):
        return of_summary(seen, played)
    assert isinstance(seen, Requests)
    return distances(seen.log, played, seen.counts)


def _pair(real: float, simulated: float) -> dict[str, float]:
    error = 100.0 * (simulated / real - 1.0) if real >= LEAST_S else float("nan")
    return {"real": real, "simulated": simulated, "error_pct": error}


def too_far(found: Distances, limits: Mapping[str, float], where: str) -> list[str]:
    """Return one sentence for each TTFT, TPOT and E2E that is further away than its limit."""
    return [
        f"{where}: {label(metric)} {stat} is {found[metric][stat]['error_pct']:+.1f} % off (limit {limit:g} %)"
        for metric in ("ttft_s", "tpot_s", "e2e_s")
        for stat, limit in limits.items()
        if metric in found and stat in found[metric] and abs(found[metric][stat]["error_pct"]) > limit
    ]


def label(metric: str) -> str:
    """Return a metric's name for people."""
    return {"queue_s": "queue", "makespan_s": "makespan", "tok_per_s": "tokens/s"}.get(metric, metric[:-2].upper())


def table(title: str, found: Distances) -> list[str]:
    """Return lines of text: real, simulated and error."""
    lines = [f"{title:<34} {'real':>10} {'simulated':>10} {'error':>8}"]
    for metric, stats in found.items():
        for stat, held in stats.items():
            name = label(metric) if stat == "value" else f"{label(metric)} {stat}"
            name += "" if metric == "tok_per_s" else ", s"
            error = "-" if not np.isfinite(held["error_pct"]) else f"{held['error_pct']:+.1f} %"
            lines.append(f"  {name:<32} {held['real']:>10.4g} {held['simulated']:>10.4g} {error:>8}")
    return lines


def plain(found: Distances) -> Any:
    """Return what JSON can hold: no NaN."""
    return {
        metric: {
            stat: {key: value if np.isfinite(value) else None for key, value in held.items()}
            for stat, held in stats.items()
        }
        for metric, stats in found.items()
    }


def worst(of: Sequence[float]) -> float:
    """Return the error that is furthest from 0."""
    return max(of, key=abs) if of else float("nan")
