"""Columns of a trace file with validation that names file, row and column."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from discosim.core.errors import UserError, close_match
from discosim.traces.readers.base import Bools, Floats, Ints, Words
from discosim.traces.readers.columns import Column

MOST_COLUMNS = 10_000
"""Columns or keys that a table may have. Source: our choice; the widest public trace has some fifty."""
EXACT = 2**53
"""Largest whole number to which a 64-bit float holds all that are smaller."""
_SHOWN = 80
_GROUPED = re.compile(r"[+-]?\d{1,3}([,'’  ]\d{3})+(\.\d+)?")
_POINTS = re.compile(r"[+-]?\d{1,3}(\.\d{3})+")
_DECIMAL_COMMA = re.compile(r"[+-]?\d+(\.\d{3})*,\d+")
_WITH_UNIT = re.compile(r"[+-]?\d+(\.\d+)?\s*[A-Za-zµ%]{1,8}")
_DIGITS = re.compile(r"\+?\d{16,}(\.0*)?")


@dataclass(frozen=True, eq=False)
class Table:
    """Rows of one file.

    Parameters
    ----------
    label : str
        How errors name the file.
    columns : mapping of str to Column
        Columns by name.
    lines : array of int, shape (n,)
        Line (or record) number of each row, from 1.
    row_word : str
        What a row is called: ``row`` or, in a JSON array, ``record``.
    unread : tuple of str
        Columns of the file that were not asked for, where the file names them once for all rows.
    is_point_unclear : bool
        A point may separate thousands: cells are separated by semicolons, as where the comma is the decimal mark.
    """

    label: str
    columns: Mapping[str, Column]
    lines: Ints
    row_word: str = "row"
    unread: tuple[str, ...] = ()
    is_point_unclear: bool = False

    def __len__(self) -> int:
        return int(self.lines.size)

    def has(self, name: str) -> bool:
        """Tell whether the file has this column."""
        return name in self.columns

    def take(self, rows: Ints) -> Table:
        """Return the rows of the given indices, in that order."""
        columns = {name: column.take(rows) for name, column in self.columns.items()}
        return Table(self.label, columns, self.lines[rows], self.row_word, self.unread, self.is_point_unclear)

    def place(self, i: int) -> str:
        """Return where row index ``i`` stands, as errors say it: ``row 7``."""
        return f"{self.row_word} {self.lines[i]}"

    def error(self, i: int, name: str, message: str) -> UserError:
        """Return the error for cell ``name`` of row index ``i``."""
        return UserError(message, where=f"{self.label} {self.place(i)} column {name}")

    def shown(self, name: str, i: int) -> str:
        """Return cell ``i`` of a column as a user would see it, cut where it is long, and why it may be no number."""
        cell = self.columns[name].cell(i)
        hint = why_no_number(cell.strip("'\"").strip())
        return f"{cell if len(cell) <= _SHOWN else cell[: _SHOWN - 3] + '...'}{hint}"

    def numbers(
        self, name: str, *, lowest: float | None = None, only: Bools | None = None, blank_ok: bool = False
    ) -> Floats:
        """Return a column of finite numbers.

        Parameters
        ----------
        name : str
            Column.
        lowest : float, optional
            Smallest value accepted.
        only : array of bool, optional
            Rows to check; the others may hold anything and come back as they are (NaN if no number).
        blank_ok : bool
            Let empty cells through as NaN.

        Raises
        ------
        UserError
            At the first cell that is no finite number, or below ``lowest``.
        """
        column = self.columns[name]
        values = column.floats()
        checked = np.ones(len(self), dtype=np.bool_) if only is None else only
        if blank_ok:
            checked = checked & ~column.blank()
        expected = "expected a finite number" + ("" if lowest is None else f" of at least {lowest:g}")
        wrong = checked & ~np.isfinite(values)
        if lowest is not None:
            wrong |= checked & (values < lowest)
        if wrong.any():
            i = int(np.argmax(wrong))
            raise self.error(i, name, f"{expected}, got {self.shown(name, i)}")
        return values

    def ticks(self, name: str) -> Ints | Floats:
        """Return a column of times >= 0: exact whole numbers where all cells are such, else floats.

        Raises
        ------
        UserError
            At the first cell that is no finite number of at least 0.
        """
        values = self.numbers(name, lowest=0.0)
        if np.any(values != np.floor(values)):
            return values
        if np.all(values < EXACT):
            return values.astype(np.int64)
        whole = self.columns[name].whole()
        return values if whole is None else whole

    def counts(self, name: str, *, only: Bools | None = None, highest: int = EXACT - 1) -> Ints:
        """Return a column of whole numbers >= 0; rows left out by ``only`` come back as 0.

        Parameters
        ----------
        name : str
            Column.
        only : array of bool, optional
            Rows to check.
        highest : int
            Largest value accepted.

        Raises
        ------
        UserError
            At the first cell that is no whole number >= 0, or above ``highest``.
        """
        values = self.columns[name].floats()
        good = np.isfinite(values) & (values >= 0) & (values <= highest) & (np.floor(values) == values)
        wrong = ~good if only is None else only & ~good
        if self.is_point_unclear:
            self._refuse_points(name, only)
        if wrong.any():
            i = int(np.argmax(wrong))
            is_large = values[i] > highest or _DIGITS.fullmatch(self.columns[name].cell(i).strip("'\""))
            bound = f"from 0 to {highest:,}" if is_large else "of at least 0"
            raise self.error(i, name, f"expected a whole number {bound}, got {self.shown(name, i)}")
        return np.where(good, values, 0).astype(np.int64)

    def _refuse_points(self, name: str, only: Bools | None) -> None:
        """Raise UserError at the first cell whose point may separate thousands or a fraction."""
        for i, word in enumerate(self.words(name).tolist()):
            if _POINTS.fullmatch(word) and (only is None or only[i]):
                plain = word.replace(".", "")
                raise self.error(
                    i,
                    name,
                    f"{word!r} is {plain} where a point separates thousands, and {float(word):g} where it begins a "
                    "fraction; write whole numbers without a point"
                    if word.count(".") == 1
                    else f"{word!r} separates thousands; write {plain}",
                )

    def words(self, name: str) -> Words:
        """Return a column as text without blanks around it, empty where the cell is."""
        return self.columns[name].words()

    def require_sorted(self, name: str, values: Ints | Floats) -> None:
        """Raise UserError at the first row whose value is below that of the row before."""
        back = values[1:] < values[:-1]
        if back.any():
            i = int(np.argmax(back)) + 1
            raise self.error(
                i,
                name,
                f"goes back in time ({self.columns[name].cell(i)} after {self.columns[name].cell(i - 1)}); "
                f"sort the file by {name} first",
            )


def why_no_number(cell: str) -> str:
    """Return a tail of an error that says what to change about a cell which nearly is a number, or ''."""
    if _GROUPED.fullmatch(cell):
        return "; write it without separators of thousands"
    if _DECIMAL_COMMA.fullmatch(cell):
        return "; write it with a decimal point"
    if _WITH_UNIT.fullmatch(cell):
        return "; write the number alone"
    return ""


def nearest(name: str, present: Iterable[str]) -> str:
    """Return the tail of an error about a missing column: the nearest that is there, and all where they are few."""
    return close_match(name, [printable(text) for text in list(present)[:1000] if len(text) <= _SHOWN])


def printable(text: str) -> str:
    """Return text of a file as one line that a terminal shows as it is."""
    return "".join(char if char.isprintable() else "?" for char in text)


def require_columns(names: Iterable[str], present: Sequence[str], label: str) -> None:
    """Raise UserError for the first required column that is absent or named twice, or where there are too many."""
    if len(present) > MOST_COLUMNS:
        raise UserError(f"has more than {MOST_COLUMNS:,} columns, which is no trace", where=f"{label} row 1")
    for name in names:
        if name not in present:
            raise UserError(f"no column {name!r}; {nearest(name, present)}", where=f"{label} row 1")
        if present.count(name) > 1:
            raise UserError(f"column {name!r} appears twice", where=f"{label} row 1")
