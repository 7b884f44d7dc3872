"""What summary.json leaves out where a run has one replication: no interval is known, and every cell would say so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discosim.metrics.summary import SummaryTable

Plain = Mapping[str, Any]
_ORDER = ("mean", "half_width", "diff", "diff_half_width", "change_pct", "change_half_width_pct", "n", "n_missing")
_NO_HALVES = {"half_width": None, "diff_half_width": None, "change_half_width_pct": None}


def slim_summary(summary: Plain) -> dict[str, Any]:
    """Return the content of summary.json; of one replication without half-widths and counts, which say nothing.

    A sweep leaves thousands of such runs, and these keys are two thirds of the file. A cell that would not be the same
    again for :func:`full_summary` stays whole.
    """
    if summary["n_replications"] != 1:
        return dict(summary)
    return {**summary, "policies": _cells(summary, _slim)}


def slim_table(table: SummaryTable) -> dict[str, Any]:
    """Return `slim_summary` of a table; of one replication straight from its numbers, without cells on the way.

    Every run of a sweep has hundreds of cells, and an object for each takes as long as a tenth of a small run.
    """
    if table.n_replications != 1:
        return slim_summary(table.to_json_dict())
    numbers = {policy: runs[0] for policy, runs in table.summaries.items()}
    base = np.array([numbers[table.baseline][name] for name in table.metrics], dtype=float)
    return {**table.head(), "policies": {policy: _beside(own, base, table) for policy, own in numbers.items()}}


def _beside(own: Mapping[str, float], base: NDArray[np.float64], table: SummaryTable) -> dict[str, Any]:
    """Return the cells of a policy, as `slim_summary` leaves them: the operations are those of `metrics.stats`."""
    mine = np.array([own[name] for name in table.metrics], dtype=float)
    with np.errstate(all="ignore"):
        change = np.where(base == 0.0, np.nan, 100.0 * (mine / base - 1.0))
        numbers = 0.0 + np.array([mine, mine - base, change])  # as a mean, never minus zero
    plain = numbers.astype(object)
    plain[~np.isfinite(numbers)] = None
    cells: dict[str, dict[str, Any]] = {
        name: {"mean": mean, "diff": diff, "change_pct": pct}
        for name, mean, diff, pct in zip(table.metrics, *plain.tolist(), strict=True)
    }
    for i in np.flatnonzero(np.isinf(mine)).tolist():  # null, but not missing: such a cell stays whole
        cells[table.metrics[i]] = _full(cells[table.metrics[i]]) | {"n": 1, "n_missing": 0}
    return cells


def full_summary(summary: Plain) -> dict[str, Any]:
    """Return what `slim_summary` left out, back in its place; a summary that was written whole stays as it is."""
    if summary["n_replications"] != 1:
        return dict(summary)
    return {**summary, "policies": _cells(summary, _full)}


def _cells(summary: Plain, change: Any) -> dict[str, Any]:
    return {
        policy: {name: change(cell) for name, cell in cells.items()} for policy, cells in summary["policies"].items()
    }


def _slim(cell: Plain) -> dict[str, Any]:
    left = {name: cell[name] for name in ("mean", "diff", "change_pct")}
    return left if {**cell, **_silent(cell)} == cell and len(cell) == len(_ORDER) else dict(cell)


def _full(cell: Plain) -> dict[str, Any]:
    held = {**dict.fromkeys(_ORDER), **_silent(cell), **cell}
    return {name: held[name] for name in (*_ORDER, *(name for name in cell if name not in _ORDER))}


def _silent(cell: Plain) -> dict[str, Any]:
    """Return what is the same in every cell, or follows from its mean."""
    has = cell.get("mean") is not None
    return {**_NO_HALVES, "n": int(has), "n_missing": int(not has)}
