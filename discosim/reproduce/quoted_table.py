"""A committed table as a Markdown table: one row per key, means with their intervals over seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
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
Kind = Literal["mean", "difference", "change_pct", "reduction_pct", "ratio", "function"]


@dataclass(frozen=True, kw_only=True)
class QuotedColumn:
    """One column of numbers."""

    metric: str = spec("", doc="Column of the table; none where a function of estimators.py counts.")
    head: str = spec(doc="Heading, with the unit.", min_length=1)
    kind: Kind = spec("mean", doc="Of the policy alone, beside the baseline on the same luck, or a function's.")
    policy: str = spec("", doc="Policy; the row's own where `rows` has the column policy.")
    baseline: str = spec("", doc="Policy it is compared with.")
    beside: Mapping[str, Any] = spec(dict, doc="Column -> value: compare with the rows of another setting instead.")
    where: Mapping[str, Any] = spec(dict, doc="Column -> value, or list of values, beside the table's own `where`.")
    by: tuple[str, ...] = spec(
        (), doc="Columns whose values make several cells, of which the least and largest are said."
    )
    pick: Literal["each", "largest", "smallest"] = spec("each", doc="All of these cells, or only the extreme one.")
    function: str = spec("", doc="With kind function: a function of estimators.py, given the rows and `options`.")
    options: Mapping[str, Any] = spec(dict, doc="Keyword arguments of the function.")
    is_signed: bool = spec(False, doc="Write a plus before what is above 0; differences and changes have it anyway.")
    scale: float = spec(1.0, doc="Factor, for a unit that people use.", gt=0)


@dataclass(frozen=True, kw_only=True)
class QuotedTable:
    """What a page shows of a table."""

    table: str = spec(doc="Folder of the experiment and table, for example andes/overload.", min_length=1)
    where: Mapping[str, Any] = spec(dict, doc="Column -> value, or list of values: the rows that count.")
    rows: Mapping[str, str] = spec(doc="Column whose values make the rows -> heading.", min_length=1)
    names: Mapping[str, str] = spec(dict, doc="Value of such a column -> what the page calls it.")
    columns: tuple[QuotedColumn, ...] = spec(doc="Columns of numbers.", min_length=1)


def quoted_table(quote: QuotedTable, table: pd.DataFrame, where: str, code: ModuleType | None = None) -> str:
    """Return the Markdown table.

    Parameters
    ----------
    quote : QuotedTable
        What is shown.
    table : DataFrame
        One row per replication (``seed``) and ``policy``.
    where : str
        Place of the quote, for messages.
    code : module, optional
        estimators.py, where a column is a function of it.

    Raises
    ------
    UserError
        If the table lacks a column, policy or row.
    """
    names = list(quote.rows)
    for column in (*names, SEED, *(column.metric for column in quote.columns if column.kind != "function")):
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
        lines.append(_line([*shown, *(_figure(quote, column, rows, own, code) for column in quote.columns)]))
    return "\n".join(lines)


def _figure(
    quote: QuotedTable, column: QuotedColumn, rows: pd.DataFrame, own: Mapping[str, Any], code: ModuleType | None
) -> str:
    if column.kind == "function":
        found = _matching(rows, {**own, **column.where})
        return (
            ""
            if found.empty
            else said(cells_of(_statistic(quote, column), found, code), column.scale, is_signed=column.is_signed)
        )
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

    cells = cells_of(_statistic(quote, column), pd.concat(parts, ignore_index=True))
    return said(cells, column.scale, is_signed=column.is_signed or column.kind in SIGNED)


def _statistic(quote: QuotedTable, column: QuotedColumn) -> Statistic:
    names: dict[str, Any] = (
        {} if column.kind == "function" else {"policy": HERE, "baseline": "" if column.kind == "mean" else THERE}
    )
    return Statistic(
        kind=column.kind,
        table=quote.table,
        metric=column.metric,
        by=column.by,
        pick=column.pick,
        function=column.function,
        options=column.options,
        **names,
    )


def _matching(rows: pd.DataFrame, where: Mapping[str, Any]) -> pd.DataFrame:
    for name, value in where.items():
        rows = rows[rows[name].isin(list(value) if isinstance(value, list | tuple) else [value])]
    return rows


def said(cells: Sequence[Cell], scale: float = 1.0, *, is_signed: bool = False) -> str:
    """Return one cell as :func:`figure` has it, or of several the least and the largest mean.

    Examples
    --------
    >>> said([Cell("", 0.471, 0.42, 0.522, 5)], is_signed=True)
    '+0.471 ± 0.051'
    >>> said([Cell("", 0.31, 0, 1, 5), Cell("", 0.2971, 0, 1, 5)]), said([Cell("", 2.0, 1, 3, 2)] * 2)
    ('0.297 to 0.31', '2')
    """
    plus = "+" if is_signed else ""
    if len(cells) == 1:
        return (plus if cells[0].mean > 0.0 else "") + figure(cells[0], scale)
    means = [scale * cell.mean for cell in cells if not math.isnan(cell.mean)]
    ends = [(plus if mean > 0.0 else "") + _shown(mean) for mean in (min(means), max(means))] if means else ["n/a"]
    return " to ".join(dict.fromkeys(ends))


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
    mean, half = scale * cell.mean + 0.0, scale * (cell.high - cell.mean)  # no minus before a zero
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
