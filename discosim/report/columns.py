"""Columns of numbers with half-widths, set side by side in fixed-width text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

DIGITS = 3
MAX_DECIMALS = 6
MAX_CHARACTERS = 7
LONGEST_NAME = 24


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column.

    Parameters
    ----------
    group : str
        Heading shared with neighbours.
    head, unit : str
        Own heading, in two lines.
    values, half_widths : tuple of float
        One per row; NaN where undefined.
    worth : int
        How much the half-widths are worth; the least worthy are dropped first if the line is too long, and at 0
        they are never shown.
    decimals : int, optional
        Digits after the point; such that the values have about three digits where omitted.
    is_signed : bool
        Whether positive values carry a sign.
    marks : tuple of str
        A mark behind the value of each row, '' for none; no entry at all for none in any.
    """

    group: str
    head: str
    unit: str
    values: tuple[float, ...]
    half_widths: tuple[float, ...]
    worth: int
    decimals: int | None = None
    is_signed: bool = False
    marks: tuple[str, ...] = ()

    def cells(self) -> list[str]:
        """Return the text of each row, all equally wide."""
        decimals = decimals_for(self.values) if self.decimals is None else self.decimals
        means = [_number(value, decimals, is_signed=self.is_signed) for value in self.values]
        if any(self.marks):
            wide = max(map(len, self.marks))
            means = [f"{mean}{mark:<{wide}}" for mean, mark in zip(means, self.marks, strict=True)]
        width = max(map(len, means), default=0)
        if self.worth == 0 or all(math.isnan(half) for half in self.half_widths):
            return [mean.rjust(width) for mean in means]
        halves = [
            "" if math.isnan(value) else f"±{_number(half, decimals)}"
            for value, half in zip(self.values, self.half_widths, strict=True)
        ]
        half_width = max(map(len, halves))
        return [f"{mean:>{width}}{half:<{half_width}}" for mean, half in zip(means, halves, strict=True)]


def decimals_for(values: Sequence[float]) -> int:
    """Return how many decimals give the median of the non-zero sizes three digits, and none too many characters.

    Examples
    --------
    >>> decimals_for([0.912, 4.512, 13.6]), decimals_for([0.0, 0.0623]), decimals_for([12345.6])
    (2, 4, 0)
    """
    sizes = sorted(abs(value) for value in values if value and math.isfinite(value))
    if not sizes:
        return DIGITS - 1
    wanted = DIGITS - 1 - math.floor(math.log10(sizes[(len(sizes) - 1) // 2]))
    before_point = max(1, 1 + math.floor(math.log10(sizes[-1])))
    return max(0, min(wanted, MAX_DECIMALS, MAX_CHARACTERS - 1 - before_point))


def _number(value: float, decimals: int, *, is_signed: bool = False) -> str:
    """Return a number, ``n/a`` for NaN, and ``<`` the last digit's unit for what would be rounded to zero."""
    if math.isnan(value):
        return "n/a"
    if round(value, decimals) == 0.0:
        is_lost = value > 0.0 and not is_signed
        return f"<{10.0**-decimals:.{decimals}f}" if is_lost else f"{0.0:.{decimals}f}"
    return f"{value:{'+' if is_signed else ''},.{decimals}f}"


def lay_out(name: str, rows: Sequence[str], columns: Sequence[Column], width: int) -> list[str]:
    """Return the lines of a table: headings, a rule, one line per row.

    Parameters
    ----------
    name : str
        Heading of the rows.
    rows : sequence of str
        Their names; very long ones are cut in the middle.
    columns : sequence of Column
        Columns; neighbours of one group share its heading.
    width : int
        Longest line allowed; half-widths are dropped, the least worthy first, until it is kept.
    """
    names = [_cut(row) for row in rows]
    chosen = list(columns)
    while True:
        lines = _lines(name, names, chosen)
        worth = [column.worth for column in chosen if column.worth]
        if not worth or max(map(len, lines)) <= width:
            return lines
        chosen = [replace(column, worth=0) if column.worth == min(worth) else column for column in chosen]


def _lines(name: str, rows: Sequence[str], columns: Sequence[Column]) -> list[str]:
    first = max(map(len, [name, *rows]))
    parts = [[" " * first, " " * first, name.ljust(first), *(row.ljust(first) for row in rows)]]
    start = 0
    while start < len(columns):
        end = start + 1
        while end < len(columns) and columns[end].group == columns[start].group:
            end += 1
        parts.append(_group(columns[start:end]))
        start = end
    lines = ["   ".join(row).rstrip() for row in zip(*parts, strict=True)]
    rule = "   ".join("-" * len(part[0]) for part in parts)
    headings = [line for line in lines[:3] if line]
    return [*headings, rule, *lines[3:]]


def _group(columns: Sequence[Column]) -> list[str]:
    """Return a group's lines, equally wide: its heading centred over its columns."""
    blocks = []
    for column in columns:
        cells = column.cells()
        block = [column.head, column.unit, *cells]
        width = max(map(len, block))
        blocks.append([line.rjust(width) for line in block])
    body = ["  ".join(row) for row in zip(*blocks, strict=True)]
    heading = columns[0].group
    width = max(len(heading), len(body[0]))
    return [heading.center(width), *(line.rjust(width) for line in body)]


def _cut(name: str) -> str:
    if len(name) <= LONGEST_NAME:
        return name
    half = (LONGEST_NAME - 1) // 2
    return f"{name[:half]}…{name[-(LONGEST_NAME - 1 - half) :]}"
