"""Columns of numbers with half-widths, set side by side in fixed-width text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from discosim.report.cells import aligned, alone, cell, half_width

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
        Digits after the point of values without an interval; such that they have about three digits where omitted.
        Where there is an interval, its own width says how many.
    is_signed : bool
        Whether positive values carry a sign.
    marks : tuple of str
        A mark behind the value of each row, '' for none; no entry at all for none in any.
    is_half_width : bool
        Whether the values are themselves half-widths, which have two digits each.
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
    is_half_width: bool = False

    def cells(self) -> list[str]:
        """Return the text of each row, all equally wide."""
        if self.is_half_width:
            return aligned([half_width(value) for value in self.values])
        decimals = decimals_for(self.values) if self.decimals is None else self.decimals
        pairs = list(zip(self.values, self.half_widths, strict=True))
        is_shown = self.worth > 0 and not all(math.isnan(half) for half in self.half_widths)
        if is_shown:
            texts = [cell(value, half, decimals, is_signed=self.is_signed) for value, half in pairs]
        else:
            texts = [(alone(value, half, decimals, is_signed=self.is_signed), "") for value, half in pairs]
        marks = self.marks or ("",) * len(texts)
        means = aligned([f"{mean}{mark}" for (mean, _), mark in zip(texts, marks, strict=True)])
        if not any(half for _, half in texts):
            return means
        halves = [f"±{half}" if half else "" for _, half in texts]
        widest = max(map(len, halves))
        return [f"{mean}{half:<{widest}}" for mean, half in zip(means, halves, strict=True)]


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


def lay_out(name: str, rows: Sequence[str], columns: Sequence[Column], width: int, *, cut: bool = True) -> list[str]:
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
    cut : bool
        Whether very long names are cut.
    """
    names = [_cut(row) for row in rows] if cut else list(rows)
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
