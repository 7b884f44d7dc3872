"""Results as a notebook shows them: one HTML table, escaped, with the digits of each cell's own interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from discosim.core.printable import printable
from discosim.metrics.labels import factor_of, metric_label
from discosim.report.cells import cell, few_replications, lone
from discosim.report.frames import axis_text, blocks_of, headings_of_axes, sweep_frame
from discosim.report.input_rows import MARK, beyond_sentence, mark, with_inputs
from discosim.report.latex import DEFAULT
from discosim.report.tables import PlainSummary, number

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (*DEFAULT, "budget_used_device", "budget_used_server")
MOST_ROWS = 60


def run_html(summary: PlainSummary, title: str, columns: Sequence[str] = COLUMNS) -> str:
    """Return the table of a run: a row per policy, each number with its half-width."""
    names = [name for name in columns if name in summary["metrics"]]
    rows = []
    for policy in summary["policies"]:
        cells = []
        for name in names:
            fields = (number(summary, policy, name), number(summary, policy, name, "half_width"))
            cells.append(_cell(*fields, name, mark(summary, name, policy)))
        rows.append([_text(policy), *cells])
    n = int(summary["n_replications"])
    said = (
        f"mean ± half-width over {n} replications{with_inputs(summary)}" if n > 1 else "one replication, no intervals"
    )
    notes = [said, few_replications(n), f"{MARK} {beyond}" if (beyond := beyond_sentence(summary)) else ""]
    return _table(title, ["policy", *map(metric_label, names)], rows, notes, n_text=1)


def sweep_html(table: pd.DataFrame, title: str, columns: Sequence[str] = COLUMNS) -> str:
    """Return the table of a sweep: a row per point and policy, the axes first; the first sixty rows."""
    tidy = sweep_frame(table, [name for name in columns if name in table.columns])
    names, axes = list(tidy.attrs["units"]), headings_of_axes(table)
    rows = [
        [*(_text(axis_text(value)) for value in values), _text(policy), *(_numbers(record) for record in records)]
        for values, policy, records in blocks_of(tidy, list(axes))
    ]
    n = int(tidy["n"].max()) if len(tidy) else 0
    notes = [f"mean ± half-width of the 95 % interval over {n} seeds, by luck alone", few_replications(n)]
    if len(rows) > MOST_ROWS:
        notes.append(f"the first {MOST_ROWS} of {len(rows)} rows; to_frame() has all")
    return _table(
        title, [*axes.values(), "policy", *map(metric_label, names)], rows[:MOST_ROWS], notes, n_text=len(axes) + 1
    )


def _numbers(record: Mapping[str, Any]) -> str:
    return _cell(record["value"], record["high"] - record["value"], record["metric"])


def _cell(value: float, half: float, name: str, star: str = "") -> str:
    factor = factor_of(name)
    mean, beside = cell(factor * value, factor * half, 3)
    if not beside and mean not in {"0", "n/a"}:
        mean = lone(factor * value)
    return f"{mean}{star}{f' ± {beside}' if beside else ''}"


def _text(text: str) -> str:
    return printable(text)


def _table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str], n_text: int) -> str:
    def row(cells: Sequence[str], kind: str) -> str:
        sides = ["left" if i < n_text else "right" for i in range(len(cells))]
        inside = "".join(
            f'<{kind} style="text-align:{side};white-space:nowrap">{escape(text)}</{kind}>'
            for text, side in zip(cells, sides, strict=True)
        )
        return f"<tr>{inside}</tr>"

    body = "".join(row(cells, "td") for cells in rows)
    foot = "".join(f"<div><small>{escape(note)}</small></div>" for note in notes if note)
    return (
        f'<div style="overflow-x:auto"><strong>{escape(_text(title))}</strong>'
        f"<table><thead>{row(heads, 'th')}</thead><tbody>{body}</tbody></table>{foot}</div>"
    )
