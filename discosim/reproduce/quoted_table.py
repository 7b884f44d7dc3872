"""A committed table as a Markdown table: one row per key, means with their intervals over seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from discosim.core.errors import UserError, close_match
from discosim.core.spec import spec
from discosim.reproduce.estimates import POLICY, SEED, Cell, cells_of, chosen
from discosim.reproduce.files import Statistic

if TYPE_CHECKING:
    import pandas as pd

HERE, THERE = "here", "there"
"""What the two settings of a comparison are called while they are compared."""
SIGNED = ("difference", "change_pct")
Kind = Literal["mean", "difference", "change_pct", "reduction_pct", "ratio"]


@dataclass(frozen=True, kw_only=True)
class QuotedColumn:
    """One column of numbers."""

    metric: str = spec(doc="Column of the table.", min_length=1)
    head: str = spec(doc="Heading, with the unit.", min_length=1)
    kind: Kind = spec("mean", doc="Of the policy alone, or beside the baseline on the same luck.")
    policy: str = spec("", doc="Policy; the row's own where `rows` has the column policy.")
    baseline: str = spec("", doc="Policy it is compared with.")
    beside: Mapping[str, Any] = spec(dict, doc="Column -> value: compare with the rows of another setting instead.")
    where: Mapping[str, Any] = spec(dict, doc="Column -> value, or list of values, beside the table's own `where`.")
    scale: float = spec(1.0, doc="Factor, for a unit that people use.", gt=0)


@dataclass(frozen=True, kw_only=True)
class QuotedTable:
    """What a page shows of a table."""

    table: str = spec(doc="Folder of the experiment and table, for example andes/overload.", min_length=1)
    where: Mapping[str, Any] = spec(dict, doc="Column -> value, or list of values: the rows that count.")
    rows: Mapping[str, str] = spec(doc="Column whose values make the rows -> heading.", min_length=1)
    names: Mapping[str, str] = spec(dict, doc="Value of such a column -> what the page calls it.")
    columns: tuple[QuotedColumn, ...] = spec(doc="Columns of numbers.", min_length=1)


def quoted_table(quote: QuotedTable, table: pd.DataFrame, where: str) -> str:
    """Return the Markdown table.

    Parameters
    ----------
    quote : QuotedTable
        What is shown.
    table : DataFrame
        One row per replication (``seed``) and ``policy``.
    where : str
        Place of the quote, for messages.

    Raises
    ------
    UserError
        If the table lacks a column, policy or row.
    """
    names = list(quote.rows)
    for column in (*names, SEED, *(column.metric for column in quote.columns)):
        if column not in table.columns:
            raise UserError(f"no column '{column}'; {close_match(column, list(table.columns))}", where=where)
    rows = chosen(table, quote.where, quote.table)
    if POLICY not in rows:
        rows = rows.assign(**{POLICY: ""})
    heads = [*quote.rows.values(), *(column.head for column in quote.columns)]
    lines = [_line(heads), _line(["---"] * len(heads))]
    for key in dict.fromkeys(zip(*(rows[name] for name in names), strict=True)):
        own = dict(zip(names, key, strict=True))
        shown = [quote.names.get(str(value), _shown(value)) for value in key]
        lines.append(_line([*shown, *(_figure(quote, column, rows, own) for column in quote.columns)]))
    return "\n".join(lines)


def _figure(quote: QuotedTable, column: QuotedColumn, rows: pd.DataFrame, own: Mapping[str, Any]) -> str:
    policy = str(own.get(POLICY, column.policy))
    here = {**own, POLICY: policy, **column.where}
    there = {**here, **column.beside, **({POLICY: column.baseline} if column.baseline else {})}
    if column.kind != "mean" and here == there:
        return ""
    parts = [_matching(rows, here).assign(**{POLICY: HERE})]
    if column.kind != "mean":
        parts.append(_matching(rows, there).assign(**{POLICY: THERE}))
    if any(part.empty for part in parts):
        return ""
    import pandas as pd

    baseline = "" if column.kind == "mean" else THERE
    statistic = Statistic(
        kind=column.kind, table=quote.table, metric=column.metric, policy=HERE, baseline=baseline, by=()
    )
    (cell,) = cells_of(statistic, pd.concat(parts, ignore_index=True))
    text = figure(cell, column.scale)
    return f"+{text}" if column.kind in SIGNED and cell.mean > 0.0 else text


def _matching(rows: pd.DataFrame, where: Mapping[str, Any]) -> pd.DataFrame:
    for name, value in where.items():
        rows = rows[rows[name].isin(list(value) if isinstance(value, list | tuple) else [value])]
    return rows


def figure(cell: Cell, scale: float = 1.0) -> str:
    """Return a mean with the half-width of its interval: two digits of the half-width, at most four of the mean.

    Examples
    --------
    >>> figure(Cell("", 0.47123, 0.42, 0.5224, 5))
    '0.471 ± 0.051'
    >>> figure(Cell("", 1234.5, 1200.0, 1269.0, 5)), figure(Cell("", 0.25, 0.25, 0.25, 5))
    ('1,234 ± 34', '0.25')
    >>> figure(Cell("", 46.31, 44.0, 48.6, 4)), figure(Cell("", 46.31, float("nan"), float("nan"), 1))
    ('46.3 ± 2.3', '46.3')
    >>> figure(Cell("", 2.82233, 2.82213, 2.82253, 10))
    '2.822 ± <0.001'
    """
    mean, half = scale * cell.mean, scale * (cell.high - cell.mean)
    if math.isnan(mean):
        return "n/a"
    if math.isnan(half) or half <= 1e-9 * abs(mean):
        return _shown(mean)
    digits = 1 - math.floor(math.log10(half))
    decimals = max(0, min(digits, 3 - math.floor(math.log10(abs(mean)))) if mean else digits)
    shown = f"{half:,.{decimals}f}"
    return f"{mean:,.{decimals}f} ± " + (shown if float(shown.replace(",", "")) else f"<{10.0**-decimals:.{decimals}f}")


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if 999.5 <= abs(value) < 1e9 else f"{value:.3g}"
    return str(value)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
