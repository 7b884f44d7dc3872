"""The summary of a run's folder as it was printed, with targets for its requests where somebody sets some."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from discosim.core.errors import UserError
from discosim.core.json_text import finite
from discosim.metrics.definitions import definition
from discosim.metrics.summary import SummaryTable
from discosim.metrics.targets import TARGET_NUMBERS, target_numbers, targets_text
from discosim.report.tables import PlainSummary, read_columns, read_summary
from discosim.runs.facts import FACTS
from discosim.runs.finished_targets import target_half_widths
from discosim.runs.whole import checked_facts

LUCK = "luck_"
"""Before the name of a half-width by luck alone, where the other one takes inputs in."""


def folder_summary(folder: Path, targets: Mapping[str, float] | None = None) -> PlainSummary:
    """Return summary.json with the intervals that were printed, and with the two numbers of the targets.

    Raises
    ------
    UserError
        If the folder holds no run, or a file of it is not as it was written.
    """
    if not folder.is_dir():
        raise UserError("is a file" if folder.exists() else "no such folder", where=str(folder))
    if not (folder / FACTS).is_file():
        raise UserError("holds neither a run nor a sweep", where=str(folder))
    checked_facts(folder)
    summary = read_summary(folder / "summary.json")
    if not targets:
        return summary
    requests = read_columns(folder / "requests.parquet", ["policy", "replication", "status", *targets])
    spans = read_columns(folder / "replications.parquet", ["policy", "replication", "span_s"])
    found: dict[str, list[dict[str, float]]] = {policy: [] for policy in summary["policies"]}
    for row in spans.sort_values(["policy", "replication"]).to_dict("records"):
        at = (requests["policy"] == row["policy"]) & (requests["replication"] == row["replication"])
        part = {name: requests.loc[at, name].to_numpy() for name in ("status", *targets)}
        found[str(row["policy"])].append(target_numbers(part, targets, float(row["span_s"])))
    added = SummaryTable.of(found, str(summary["baseline"]), TARGET_NUMBERS)
    numbers = added.to_json_dict()["policies"]
    wide = target_half_widths(folder, targets, added) if summary.get("inputs") else {}
    policies = {}
    for policy, cells in summary["policies"].items():
        is_thin = bool(summary.get("inputs", {}).get("asked", {}).get(policy))
        more = {
            name: _cell(numbers[policy][name], wide.get((policy, name)), is_thin=is_thin) for name in TARGET_NUMBERS
        }
        policies[policy] = {**cells, **more}
    units = {name: {"unit": definition(name).unit, "direction": "higher"} for name in TARGET_NUMBERS}
    said = f"{' and '.join(TARGET_NUMBERS)}: {targets_text(targets)}"
    notes = [*summary.get("notes", ()), said]
    return {**summary, "policies": policies, "metrics": {**summary["metrics"], **units}, "notes": notes}


def by_luck(summary: PlainSummary) -> PlainSummary:
    """Return a summary with its intervals by luck alone, as if the rows behind its inputs were the truth."""
    policies = {
        policy: {
            name: {**cell, **{key[len(LUCK) :]: value for key, value in cell.items() if key.startswith(LUCK)}}
            for name, cell in cells.items()
        }
        for policy, cells in summary["policies"].items()
    }
    return {**{key: value for key, value in summary.items() if key != "inputs"}, "policies": policies}


def _cell(cell: Mapping[str, Any], wide: Mapping[str, float] | None, *, is_thin: bool) -> dict[str, Any]:
    """Return numbers of a target with the half-widths with inputs, and those by luck beside them."""
    halves = [name for name in cell if "half_width" in name]
    narrow = {f"{LUCK}{name}": cell[name] for name in halves}
    if wide is not None:
        return {**cell, **narrow, **{name: finite(wide[name]) for name in halves if name in wide}}
    if not is_thin:
        return dict(cell)
    return {**cell, **narrow, **{name: None if cell[name] else cell[name] for name in halves}}
