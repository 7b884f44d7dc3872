"""What verbs print with ``--json``: one document each, of tidy rows, strict (no NaN, no infinity)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from discosim import __version__
from discosim.core.scenario import Scenario
from discosim.metrics.declare import MetricDefinition
from discosim.metrics.definitions import definition
from discosim.metrics.summary import HEADLINE
from discosim.report.frames import axes_of_table, summary_frame, sweep_frame
from discosim.report.tables import PlainSummary
from discosim.sweep.diff import FolderDiff
from discosim.sweep.run import SweepResult
from discosim.sweep.spent import of_rows, rivals_of, spent_at
from discosim.sweep.store import State, Store

if TYPE_CHECKING:
    import pandas as pd

    from discosim.report.plots.inputs import Inputs

Document = dict[str, Any]


class Result(Protocol):
    """What a document needs to know of a run."""

    @property
    def scenario(self) -> Scenario:
        """What was run."""
        ...

    @property
    def printed_summary(self) -> PlainSummary:
        """What came out."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """How the inputs are known."""
        ...

    @property
    def folder(self) -> Path | None:
        """Where the files are."""
        ...


def headed(verb: str, content: Mapping[str, Any]) -> Document:
    """Return a document with the two keys that all begin with."""
    return {"verb": verb, "discosim": __version__, **content}


def run_document(result: Result, columns: Sequence[str] | None = None) -> Document:
    """Return what `discosim run --json` prints."""
    head = {"name": result.scenario.name, "seed": result.scenario.seed, "folder": _place(result.folder)}
    return headed("run", {**head, **summary_content(result.printed_summary, columns), "notes": list(result.notes)})


def summary_content(
    summary: PlainSummary, columns: Sequence[str] | None = None, policies: Sequence[str] | None = None
) -> Document:
    """Return a summary as tidy rows: one per policy and metric, as ``to_frame`` has them."""
    table = summary_frame(
        summary, [n for n in HEADLINE if n in summary["metrics"]] if columns is None else columns, policies
    )
    keys = ("baseline", "level", "n_replications")
    return {**{key: table.attrs[key] for key in keys}, "rows": _records(table)}


def sweep_document(result: SweepResult, columns: Sequence[str] | None = None) -> Document:
    """Return what `discosim sweep --json` prints."""
    plan, table = result.plan, result.table
    content: Document = {"name": plan.file.name, "profile": plan.profile, "seeds": list(result.seeds)}
    content |= _standing(result.store, result.state)
    content["rows"] = [] if table is None else table_rows(table, columns)
    content["comparisons"] = []
    if table is not None and result.differences:
        sides = of_rows(plan, result.differences, spent_at(plan, table, result.seeds, result.differences))
        content["comparisons"] = [
            {**asdict(row), "unit": definition(row.metric).unit, "spent": [_spent(own), _spent(base)]}
            for row, (own, base) in zip(result.differences, sides, strict=True)
        ]
        content["spent_differently"] = [
            {"policy": r.policy.policy, "baseline": r.baseline.policy, "at": dict(r.row.values), "side": r.policy.side}
            for r in rivals_of(result.differences, sides)
            if r.spent_differently
        ]
    return headed("sweep", {**content, "notes": list(result.notes)})


def _spent(spent: Any) -> Document | None:
    if spent is None:
        return None
    used = {"used": spent.used.mean, "half_width": spent.used.half_width}
    return {"policy": spent.policy, "side": spent.side, "allowed": spent.allowed, **used}


def table_rows(
    table: pd.DataFrame,
    columns: Sequence[str] | None = None,
    policies: Sequence[str] | None = None,
    inputs: Inputs | None = None,
) -> list[Document]:
    """Return a sweep's table as tidy rows; the values of the axes stand under ``at``."""
    axes = axes_of_table(table)
    tidy = sweep_frame(table, HEADLINE if columns is None else columns, policies, inputs=inputs)
    return [
        {"at": {axis: row[axis] for axis in axes}, **{key: v for key, v in row.items() if key not in axes}}
        for row in _records(tidy)
    ]


def status_document(verb: str, store: Store, state: State, removed: Sequence[str] | None = None) -> Document:
    """Return what `discosim sweep status`, `collect` and `clean` print with ``--json``."""
    content = _standing(store, state)
    return headed(verb, content if removed is None else {**content, "removed": list(removed)})


def _standing(store: Store, state: State) -> Document:
    return {
        "folder": str(store.folder),
        "is_complete": state.is_complete,
        "runs": {name: len(getattr(state, name)) for name in ("finished", "failed", "missing")},
        "failed": [
            {
                "run": run.folder,
                "error": state.failures[run.folder]["error"],
                "tries": state.failures[run.folder].get("tries"),
            }
            for run in state.failed
        ],
        "damaged": dict(state.damaged),
        "of_another_plan": list(state.strangers),
    }


def diff_document(diff: FolderDiff) -> Document:
    """Return what `discosim diff --json` prints."""
    rows = [
        {
            "metric": row.metric,
            "unit": definition(row.metric).unit,
            "policy": row.policy,
            "at": dict(row.values),
            "n": row.diff.n,
            "a": row.a,
            "b": row.b,
            "diff": row.diff.mean,
            "half_width": row.diff.half_width,
            "few_rows": row.few_rows,
            "half_width_with_inputs": row.half_width_with_inputs,
        }
        for row in diff.rows
    ]
    content = {"a": str(diff.a), "b": str(diff.b), "differences": list(diff.config), "rows": rows, "note": diff.note}
    return headed("diff", content)


def definitions_document(metrics: Sequence[MetricDefinition]) -> Document:
    """Return what `discosim explain metric --json` prints: what the registry says of each."""
    return headed("explain metric", {"metrics": [asdict(metric) for metric in metrics]})


def _records(table: pd.DataFrame) -> list[Document]:
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


def _place(folder: Path | None) -> str | None:
    return None if folder is None else str(folder)
