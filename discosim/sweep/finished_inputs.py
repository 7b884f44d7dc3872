"""Scenarios and inputs behind finished runs, where both are still to be had as they were."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from discosim.config import load_scenario
from discosim.core.errors import UserError
from discosim.core.scenario import Scenario
from discosim.metrics.stats import LEVEL, t_interval
from discosim.runs.facts import read_facts
from discosim.runs.finished import Finished, Side, finished, part_of, version_half_width
from discosim.runs.provenance import fingerprints, measured
from discosim.sweep.axes import key_of
from discosim.sweep.compare import Difference
from discosim.sweep.input_intervals import with_inputs_at
from discosim.sweep.store import Store

if TYPE_CHECKING:
    import pandas as pd

MOST_REQUESTS = 400_000
"""Requests whose luck is drawn again for a reader who waits. Source: our choice; a second is worth some 10,000."""


def finished_of(
    runs: Mapping[int, Path], names: Collection[str], targets: Mapping[str, float] | None = None
) -> Finished | None:
    """Return finished runs of one setting; None where their inputs, or own code, are not to be had any more.

    Parameters
    ----------
    runs : mapping of int to Path
        Seed -> folder.
    names : collection of str
        Numbers of the summary that will be asked for.
    targets : mapping of str to float, optional
        Targets for requests, where their numbers are among them.
    """
    first = next(iter(runs.values()))
    try:
        scenario = load_scenario(first / "config.yaml", runs_own=False)
        if measured(read_facts(first)["inputs_sha256"]) != measured(fingerprints(scenario)):
            return None
        return finished(scenario, runs, names, targets)
    except UserError:
        return None


def widened_of(
    differences: Sequence[Difference], plan: Mapping[str, Any], results: pd.DataFrame, store: Store
) -> tuple[Sequence[Difference], str]:
    """Return comparisons with their bounds with inputs, and why they have none if so.

    Parameters
    ----------
    differences : sequence of Difference
        Comparisons by luck alone.
    plan : mapping
        Content of plan.json.
    results : DataFrame
        As :func:`discosim.sweep.load_results` gives it.
    store : Store
        Where the runs are.
    """
    if results["n_requests"].sum() > MOST_REQUESTS:
        return differences, "there are too many requests; `discosim sweep` computes them and writes comparisons.csv"
    first = results[results["status"] == "finished"].groupby("point")["run"].first()
    scenarios: dict[int, Scenario] = {}
    for key, run in first.items():
        point = int(str(key))
        try:
            scenario = load_scenario(store.folder / "runs" / str(run) / "config.yaml", runs_own=False)
            if measured(plan["points"][point]["inputs_sha256"]) != measured(fingerprints(scenario)):
                return differences, "an input has changed since the runs were made"
        except UserError as error:
            return differences, error.message
        scenarios[point] = scenario
    points = {key_of(dict(point["values"])): i for i, point in enumerate(plan["points"])}
    known = [row for row in differences if row.n]
    wide = with_inputs_at(known, scenarios, points, store, results)
    found = {id(row): one for row, one in zip(known, wide, strict=True)}
    return [found.get(id(row), row) for row in differences], ""


def value_half_widths(
    store: Store, results: pd.DataFrame, metrics: Sequence[str], targets: Mapping[str, float] | None = None
) -> dict[tuple[int, str, str], float]:
    """Return the half-widths with inputs of numbers of a sweep, where inputs of few rows are behind them.

    Parameters
    ----------
    store : Store
        Where the runs are.
    results : DataFrame
        As :func:`discosim.sweep.load_results` gives it.
    metrics : sequence of str
        Numbers of the summary.
    targets : mapping of str to float, optional
        Targets for requests, where their numbers are among them.

    Returns
    -------
    dict
        (point, policy, metric) -> half-width by luck and inputs. Empty where the runs are so many that a reader would
        wait; what is not known is not there.
    """
    whole = results[results["status"] == "finished"]
    if whole["n_requests"].sum() > MOST_REQUESTS // 2:
        return {}
    found: dict[tuple[int, str, str], float] = {}
    for key, rows in whole.groupby("point"):
        point = int(str(key))
        folders = {
            int(seed): store.folder / "runs" / str(run) for seed, run in zip(rows["seed"], rows["run"], strict=True)
        }
        runs = finished_of(folders, metrics, targets)
        if runs is None or not runs.inputs:
            continue
        for policy, mine in rows.groupby("policy"):
            for metric in metrics:
                sample = mine.sort_values("seed")[metric].to_numpy(dtype=float)
                half = _half_width(runs, str(policy), metric, sample)
                if math.isfinite(half):
                    found[point, str(policy), metric] = half
    return found


def _half_width(runs: Finished, policy: str, metric: str, sample: NDArray[np.float64]) -> float:
    if policy not in runs.columns or sample.size < 2:
        return math.nan
    side = Side(runs, policy)
    if runs.is_resampled:
        return version_half_width(metric, sample.tolist(), side, None, LEVEL)
    return math.hypot(t_interval(sample).half_width, part_of(metric, side).half_width())
