"""A scenario's engine against the log of a real server."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discosim.calibrate.distance import Distances, distances, label, plain, table
from discosim.calibrate.engine_loop import Played, play
from discosim.calibrate.evidence import Part, load_of, series_doubts, to_the_microsecond
from discosim.calibrate.setup import engine_of
from discosim.core.errors import UserError
from discosim.core.files import write_whole
from discosim.core.scenario import Scenario
from discosim.runs.build_engine import engine_model, engine_notes
from discosim.traces.server_log import ServerLog, ServerSeries

Floats = NDArray[np.float64]
CHECKED = ("ttft_s", "tpot_s", "e2e_s")


@dataclass(frozen=True, eq=False, kw_only=True)
class Validation:
    """How far an engine is from a log.

    Parameters
    ----------
    log : ServerLog
        The real server.
    played : Played
        The simulated one; requests that filled up the log come last.
    all, holdout : Distances, Distances or None
        Over all requests, and over those that were held out.
    series : ServerSeries or None
        The real server by the second.
    series_mae : mapping of str to float
        Mean distance of ``running`` and ``waiting`` over the moments of a series, in requests, where it has them.
    per_request : mapping of str to float
        Median of the absolute relative error of single requests, by metric.
    doubts : tuple of str
        As sentences.
    """

    log: ServerLog
    played: Played
    all: Distances
    holdout: Distances | None
    series: ServerSeries | None
    series_mae: dict[str, float]
    per_request: dict[str, float]
    doubts: tuple[str, ...]


def validate(
    scenario: Scenario, log: ServerLog, *, series: ServerSeries | None = None, holdout: Part | None = None
) -> Validation:
    """Give the scenario's engine the log's load and compare.

    Raises
    ------
    UserError
        If the scenario has no engine, the engine refuses a request, or nothing is held out.
    """
    log = to_the_microsecond(log)
    held = None if holdout is None else holdout.of(log)
    if held is not None and not held.any():
        raise UserError(f"{log.name} has {len(log)} requests, and holds out none of them", where="--holdout")
    engine = engine_of(scenario)
    model = engine_model(engine)
    load, doubts = load_of(log, series)
    played = play(model, load)
    everything = np.ones(len(log), dtype=np.bool_)
    return Validation(
        log=log,
        played=played,
        all=distances(log, played, everything),
        holdout=None if held is None else distances(log, played, held),
        series=series,
        series_mae={} if series is None else _series_mae(series, played),
        per_request=_per_request(log, played),
        doubts=(
            *log.warnings,
            *series_doubts(series),
            *doubts,
            *engine_notes(engine)[1:],
        ),  # the first says what is being found out here
    )


def _per_request(log: ServerLog, played: Played) -> dict[str, float]:
    found = {}
    for metric in CHECKED:
        real = getattr(log, metric)
        error = np.abs(getattr(played, metric)[: len(log)] / real - 1.0)
        if np.isfinite(error).any():
            found[metric] = float(np.nanmedian(error))
    return found


def states_at(played: Played, at_s: Floats) -> tuple[Floats, Floats]:
    """Return how many requests run, and how many wait, at these moments."""
    arrived = np.searchsorted(np.sort(played.arrival_s), at_s, side="right")
    began = np.searchsorted(np.sort(played.arrival_s + played.queue_s), at_s, side="right")
    ended = np.searchsorted(np.sort(played.arrival_s + played.e2e_s), at_s, side="right")
    return (began - ended).astype(float), (arrived - began).astype(float)


def _series_mae(series: ServerSeries, played: Played) -> dict[str, float]:
    running, waiting = states_at(played, series.t_s)
    apart = {"running": np.abs(running - series.running), "waiting": np.abs(waiting - series.waiting)}
    return {name: float(np.nanmean(values)) for name, values in apart.items() if np.isfinite(values).any()}


def describe(found: Validation) -> str:
    """Return the tables as text."""
    lines = table(f"all {len(found.log)} requests", found.all)
    if found.holdout is not None:
        lines += ["", *table("held out", found.holdout)]
    lines += [
        "",
        "median error of single requests: "
        + ", ".join(f"{k[:-2].upper()} {v:.1%}" for k, v in found.per_request.items()),
    ]
    if found.series_mae:
        apart = ", ".join(f"{name} {mae:.1f}" for name, mae in found.series_mae.items())
        lines.append(f"over time, mean distance: {apart} requests")
    return "\n".join([*lines, *(f"note: {doubt}" for doubt in found.doubts)])


def to_json(found: Validation) -> dict[str, Any]:
    """Return ``all`` and ``holdout``: metric to statistic to real, simulated and error_pct."""
    held = {"all": plain(found.all)}
    if found.holdout is not None:
        held["holdout"] = plain(found.holdout)
    return held


def parse_checks(text: str) -> dict[str, float]:
    """Read ``p50=5,p99=10``: limits in percent by statistic.

    Raises
    ------
    UserError
        For anything else.
    """
    found: dict[str, float] = {}
    for item in text.split(","):
        stat, sign, number = item.partition("=")
        try:
            limit = float(number)
        except ValueError:
            limit = float("nan")
        if stat not in {"mean", "p50", "p90", "p99"} or not sign or not 0.0 < limit < float("inf"):
            raise UserError(
                f"expected mean, p50, p90 or p99 with a limit in percent, as p50=5,p99=10 (got {item!r})",
                where="--check",
            )
        if stat in found:
            raise UserError(f"{stat} is limited twice", where="--check")
        found[stat] = limit
    return found


def write_requests(found: Validation, path: Path) -> None:
    """Write real and simulated times of each request as CSV."""
    names = ("queue_s", "ttft_s", "tpot_s", "e2e_s")
    head = [
        "request",
        "arrival_s",
        "prompt_tok",
        "output_tok",
        *(f"{who}_{name}" for name in names for who in ("real", "simulated")),
    ]
    n = len(found.log)
    columns = [np.arange(n), found.log.arrival_s, found.log.prompt_tok, found.log.output_tok]
    for name in names:
        columns += [getattr(found.log, name), getattr(found.played, name)[:n]]
    rows = (
        ",".join(f"{value:.9g}" for value in row) for row in zip(*(column.tolist() for column in columns), strict=True)
    )
    write_whole(path, "\n".join([",".join(head), *rows]) + "\n")


def to_page(found: Validation, engine: str) -> dict[str, Any]:
    """Return what ``discosim report`` shows of a comparison: :func:`to_json`, and what it is of."""
    return {
        "engine": engine,
        "log": Path(found.log.name).name,
        "requests": len(found.log),
        "median_error_of_single_requests": {label(metric): value for metric, value in found.per_request.items()},
        "over_time": {name: value for name, value in found.series_mae.items() if np.isfinite(value)},
        "notes": list(found.doubts),
        **to_json(found),
    }
