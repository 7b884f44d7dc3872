"""Summaries as tidy tables: a row per policy and metric, or per point, policy and metric of a sweep."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from discosim.core.errors import UserError, close_match
from discosim.metrics.definitions import DEFINITIONS, definition, units_of
from discosim.metrics.stats import LEVEL, t_interval
from discosim.metrics.summary_definitions import SUMMARY_METRICS
from discosim.metrics.targets import TARGET_NUMBERS
from discosim.report.tables import PlainSummary, number

if TYPE_CHECKING:
    import pandas as pd

    from discosim.report.plots.inputs import Inputs

NO_AXES = frozenset({"run", "point", "seed", "status", "error", "requests_sha256", "discosim", "source_sha256"})
"""Columns of a sweep's table that are neither an axis, nor the policy, nor a metric."""
_SUMMARY = frozenset(metric.name for metric in SUMMARY_METRICS)


def chosen_policies(known: Sequence[str], wanted: Sequence[str] | None) -> list[str]:
    """Return the wanted policies, all where none are named; an unknown one raises ``UserError``."""
    for name in wanted or ():
        if name not in known:
            raise UserError(f"unknown policy '{name}'; {close_match(name, known)}", where="policies")
    return list(known if wanted is None else wanted)


def chosen_metrics(known: Sequence[str], wanted: Sequence[str] | None, where: str = "columns") -> list[str]:
    """Return the wanted metrics of a summary, each once; all where none are named. One that a run has not is undefined.

    Raises
    ------
    UserError
        For an unknown name, no name at all, or a number that needs targets where there are none.
    """
    if wanted is None:
        return list(known)
    if not wanted:
        raise UserError("name at least one metric, for example ttft_mean_s", where=where)
    for name in wanted:
        if name in known or name in _SUMMARY:
            continue
        if name in TARGET_NUMBERS:
            raise UserError(f"{name} needs targets: --slo ttft_s=0.5, or with_targets(ttft_s=0.5)", where=where)
        if name in DEFINITIONS and definition(name).level != "summary":
            raise UserError(f"'{name}' is no number of a summary; `discosim explain metric` lists them", where=where)
        near = [other for other in (*known, *TARGET_NUMBERS) if name and other.startswith(name)][:3]
        hint = f"did you mean {', '.join(near)}?" if near else close_match(name, known)
        raise UserError(f"unknown metric '{name}'; {hint}", where=where)
    return list(dict.fromkeys(wanted))


def summary_frame(
    summary: PlainSummary, metrics: Sequence[str] | None = None, policies: Sequence[str] | None = None
) -> pd.DataFrame:
    """Return a summary as a tidy table: one row per policy and metric.

    Returns
    -------
    pandas.DataFrame
        ``policy, metric, value, low, high, unit, n``, and the paired change against the baseline: ``diff, diff_low,
        diff_high`` in the same unit, ``change_pct, change_low_pct, change_high_pct``. Undefined numbers are NaN.
        ``attrs`` hold ``baseline``, ``level``, ``n_replications`` and the ``units`` of the metrics.
    """
    import pandas as pd

    names = chosen_metrics(list(summary["metrics"]), metrics)
    rows = []
    for policy in chosen_policies(list(summary["policies"]), policies):
        for name in names:
            row: dict[str, Any] = {"policy": policy, "metric": name}
            row |= _bounds(summary, policy, name, ("mean", "half_width"), ("value", "low", "high"))
            row |= {"unit": definition(name).unit, "n": int(summary["policies"][policy].get(name, {}).get("n", 0))}
            row |= _bounds(summary, policy, name, ("diff", "diff_half_width"), ("diff", "diff_low", "diff_high"))
            wide = ("change_pct", "change_low_pct", "change_high_pct")
            row |= _bounds(summary, policy, name, ("change_pct", "change_half_width_pct"), wide)
            rows.append(row)
    table = pd.DataFrame(rows)
    table.attrs |= {
        "baseline": str(summary["baseline"]),
        "level": float(summary.get("level", LEVEL)),
        "n_replications": int(summary["n_replications"]),
        "units": units_of(names),
    }
    return table


def _bounds(
    summary: PlainSummary, policy: str, metric: str, fields: tuple[str, str], names: tuple[str, str, str]
) -> dict[str, float]:
    middle, half = (number(summary, policy, metric, field) for field in fields)
    return dict(zip(names, (middle, middle - half, middle + half), strict=True))


def axes_of_table(table: pd.DataFrame) -> list[str]:
    """Return the columns of a sweep's table that were varied, in their order."""
    return [str(name) for name in table.columns if name not in NO_AXES | {"policy"} and name not in DEFINITIONS]


def headings_of_axes(table: pd.DataFrame) -> dict[str, str]:
    """Return the axes that a printed table shows, each with a short heading; of several that agree the first one."""
    found: dict[str, str] = {}
    for axis in axes_of_table(table):
        short = axis.rpartition(".")[2]
        twin = next((path for path, name in found.items() if name == short), None)
        if twin is None:
            found[axis] = short
        elif not (table[twin].astype(str) == table[axis].astype(str)).all():
            found[axis] = axis
    return found


def together(table: pd.DataFrame) -> list[list[str]]:
    """Return the axes in groups: those whose values change together, one to one, share a group."""
    groups: list[list[str]] = []
    for axis in axes_of_table(table):
        for group in groups:
            pairs = table[[group[0], axis]].astype(str).drop_duplicates()
            sizes = (table[group[0]].astype(str).nunique(), table[axis].astype(str).nunique())
            if sizes == (len(pairs), len(pairs)) and len(pairs) > 1:
                group.append(axis)
                break
        else:
            groups.append([axis])
    return groups


def metrics_of_table(table: pd.DataFrame) -> list[str]:
    """Return the summary metrics of a sweep's table, in their order."""
    return [str(name) for name in table.columns if name in _SUMMARY or name in TARGET_NUMBERS]


def sweep_frame(
    table: pd.DataFrame,
    metrics: Sequence[str] | None = None,
    policies: Sequence[str] | None = None,
    level: float = LEVEL,
    inputs: Inputs | None = None,
) -> pd.DataFrame:
    """Return a sweep's table as a tidy one: one row per point, policy and metric, over its finished runs.

    Parameters
    ----------
    table : DataFrame
        As ``load_results`` or ``SweepResult.table`` have it: one row per run and policy.
    metrics, policies : sequence of str, optional
        All where omitted.
    level : float
        Coverage of the intervals, Student's t over seeds.
    inputs : Inputs, optional
        What is known of the inputs behind the sweep. Intervals then take in what their few rows leave open, as pictures
        and reports do, at the usual level; they are by luck alone otherwise.

    Returns
    -------
    pandas.DataFrame
        The axes, then ``policy, metric, value, low, high, unit, n``. Undefined numbers are NaN. With ``inputs`` also
        ``is_by_luck``, where more is not known.
    """
    import pandas as pd

    names = chosen_metrics(metrics_of_table(table), metrics)
    done = table[(table["status"] == "finished") & table["policy"].notna()]
    kept = chosen_policies([str(name) for name in done["policy"].unique()], policies)
    axes = axes_of_table(table)
    rows = []
    for (_, policy), runs in done.groupby(["point", "policy"], sort=False):
        if str(policy) not in kept:
            continue
        for name in names:
            values = runs[name].to_numpy(dtype=float) if name in runs else np.full(len(runs), np.nan)
            found = t_interval(values, level)
            wide = math.nan if inputs is None or name not in runs else inputs.half_width(name, runs, found.half_width)
            half = found.half_width if math.isnan(wide) else wide
            row: dict[str, Any] = {**{axis: runs[axis].iloc[0] for axis in axes}, "policy": str(policy), "metric": name}
            row |= {"value": found.mean, "low": found.mean - half, "high": found.mean + half}
            row |= {"unit": definition(name).unit, "n": found.n, "is_by_luck": math.isnan(wide)}
            rows.append(row)
    columns = [*axes, "policy", "metric", "value", "low", "high", "unit", "n"]
    columns += [] if inputs is None else ["is_by_luck"]
    tidy = pd.DataFrame(rows).reindex(columns=columns)
    tidy.attrs |= {"level": level, "units": units_of(names)}
    return tidy


def blocks_of(tidy: pd.DataFrame, axes: Sequence[str]) -> Iterator[tuple[list[Any], str, list[dict[str, Any]]]]:
    """Yield the rows of a tidy table of a sweep that make one printed row: values of the axes, policy, its numbers."""
    records: list[dict[str, Any]] = [{str(k): v for k, v in row.items()} for row in tidy.to_dict("records")]
    n = max(1, len(tidy.attrs["units"]))
    for start in range(0, len(records), n):
        first = records[start]
        yield [first[axis] for axis in axes], str(first["policy"]), records[start : start + n]


def axis_text(value: Any) -> str:
    """Return a value of an axis as people write it."""
    return f"{value:g}" if isinstance(value, float) else str(value)
