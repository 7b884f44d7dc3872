"""What summary.json leaves out where a run has one replication: no interval is known, and every cell would say so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
