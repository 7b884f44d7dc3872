"""Tables of chosen columns as fixed-width text: of a run a row per policy, of a sweep a row per point and policy."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from discosim.metrics.definitions import definition
from discosim.metrics.summary import HEADLINE
from discosim.metrics.summary_definitions import SUMMARY_METRICS
from discosim.metrics.targets import TARGET_NUMBERS
from discosim.report.cells import few_replications
from discosim.report.columns import Column, decimals_for, lay_out
from discosim.report.frames import axis_text, blocks_of, chosen_metrics, headings_of_axes, sweep_frame
from discosim.report.input_rows import BEYOND, MARK, by_what, mark, with_inputs
from discosim.report.tables import PlainSummary, number, readable

if TYPE_CHECKING:
    import pandas as pd

    from discosim.report.plots.inputs import Inputs

WIDTH = 120
ALL = "all"


def parse_columns(text: str | None, *, has_targets: bool) -> list[str] | None:
    """Return the names of ``a,b,c``, checked against the registry before anything is run; None where none were given.

    ``all`` stands for every number of a summary. With targets and no names, their two numbers follow the headline's.

    Raises
    ------
    UserError
        For an unknown name, or a number that needs targets where there are none.
    """
    known = [metric.name for metric in SUMMARY_METRICS] + list(TARGET_NUMBERS if has_targets else ())
    if text is None:
        return [*HEADLINE, *TARGET_NUMBERS] if has_targets else None
    if text.strip() == ALL:
        return known
    return chosen_metrics(known, [name for part in text.split(",") if (name := part.strip())], where="--columns")


def run_table(summary: PlainSummary, names: Sequence[str], title: str = "") -> str:
    """Return chosen columns of a run, several tables below one another where they do not fit side by side."""
    policies = list(summary["policies"])
    columns = []
    for name in names:
        factor, unit = readable(definition(name))
        values, halves = (
            tuple(factor * number(summary, policy, name, field) for policy in policies)
            for field in ("mean", "half_width")
        )
        marks = tuple(mark(summary, name, policy) for policy in policies)
        columns.append(_column(name, unit, values, halves, marks))
    n = int(summary["n_replications"])
    said = f"mean ± half-width of the 95 % interval over {n} replications{with_inputs(summary)}"
    first = f"{title}: " if title else ""
    first += said if n > 1 else "one replication, so there are no intervals"
    first += f" ({few})" if (few := few_replications(n)) else ""
    tables = ["\n".join(lay_out("policy", policies, part, WIDTH)) for part in _fitting("policy", policies, columns)]
    return "\n\n".join(["\n".join(textwrap.wrap(first, WIDTH)), *tables])


def sweep_table(
    table: pd.DataFrame,
    names: Sequence[str],
    title: str = "",
    policies: Sequence[str] | None = None,
    inputs: Inputs | None = None,
) -> str:
    """Return chosen columns of a sweep; intervals are over its finished seeds, with ``inputs`` by them as well."""
    tidy = sweep_frame(table, names, policies, inputs=inputs)
    if tidy.empty:
        return f"{title}: no run is finished" if title else "no run is finished"
    names = list(tidy.attrs["units"])
    axes = headings_of_axes(table)
    blocks = list(blocks_of(tidy, list(axes)))
    heads = [*axes.values(), "policy"]
    cells = [[*map(axis_text, values), policy] for values, policy, _ in blocks]
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    head, *rows = ("  ".join(t.ljust(w) for t, w in zip(row, widths, strict=True)).rstrip() for row in (heads, *cells))
    columns, is_starred = [], False
    for i, name in enumerate(names):
        factor, unit = readable(definition(name))
        values = tuple(factor * records[i]["value"] for _, _, records in blocks)
        halves = tuple(factor * (records[i]["high"] - records[i]["value"]) for _, _, records in blocks)
        marks = tuple(MARK if inputs and inputs.rests_on_no_row(name, policy) else "" for _, policy, _ in blocks)
        is_starred |= any(marks)
        columns.append(_column(name, unit, values, halves, marks))
    n = int(tidy["n"].max())
    first = f"{title}: " if title else ""
    is_partly = inputs is not None and bool((tidy["is_by_luck"] & tidy["value"].notna()).any())
    by = by_what("" if inputs is None else inputs.rows_text(), is_partly=is_partly)
    first += f"mean ± half-width of the 95 % interval over {n} seeds, {by}" if n > 1 else "one seed, no intervals"
    first += f" ({few})" if (few := few_replications(n)) else ""
    first += f". {MARK} {BEYOND}" if is_starred else ""
    tables = ["\n".join(lay_out(head, rows, part, WIDTH, cut=False)) for part in _fitting(head, rows, columns)]
    return "\n\n".join(["\n".join(textwrap.wrap(first, WIDTH)), *tables])


def _column(
    name: str, unit: str, values: tuple[float, ...], halves: tuple[float, ...], marks: tuple[str, ...] = ()
) -> Column:
    return Column(
        group="", head=name, unit=unit, values=values, half_widths=halves, worth=1, marks=marks,
        decimals=decimals_for(values),
    )  # fmt: skip


def _fitting(name: str, rows: Sequence[str], columns: Sequence[Column]) -> Iterator[list[Column]]:
    """Yield the columns in as few parts as fit the width with all their half-widths, in their order."""
    room = WIDTH - max(map(len, (name, *rows)))
    part: list[Column] = []
    taken = 1
    for column in columns:
        width = 2 + max(len(column.head), len(column.unit), *map(len, column.cells()))
        if part and taken + width > room:
            yield part
            part, taken = [], 1
        part.append(column)
        taken += width
    if part:
        yield part
