"""Columns of a trace file with validation that names file, row and column."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from discosim.core.errors import UserError, close_match
from discosim.traces.readers.base import Bools, Floats, Ints, Words
from discosim.traces.readers.columns import ArrowColumn, Column, JsonColumn, TextColumn
from discosim.traces.readers.source import one_line


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
    """

    label: str
    columns: Mapping[str, Column]
    lines: Ints
    row_word: str = "row"

    def __len__(self) -> int:
        return int(self.lines.size)

    def has(self, name: str) -> bool:
        """Tell whether the file has this column."""
        return name in self.columns

    def error(self, i: int, name: str, message: str) -> UserError:
        """Return the error for cell ``name`` of row index ``i``."""
        return UserError(message, where=f"{self.label} {self.row_word} {self.lines[i]} column {name}")

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
            raise self.error(i, name, f"{expected}, got {column.cell(i)}")
        return values

    def counts(self, name: str, *, only: Bools | None = None) -> Ints:
        """Return a column of whole numbers >= 0; rows left out by ``only`` come back as 0.

        Raises
        ------
        UserError
            At the first cell that is no whole number >= 0.
        """
        column = self.columns[name]
        values = column.floats()
        good = np.isfinite(values) & (values >= 0) & (values < 2.0**53) & (np.floor(values) == values)
        wrong = ~good if only is None else only & ~good
        if wrong.any():
            i = int(np.argmax(wrong))
            raise self.error(i, name, f"expected a whole number of at least 0, got {column.cell(i)}")
        return np.where(good, values, 0).astype(np.int64)

    def words(self, name: str) -> Words:
        """Return a column as text."""
        return self.columns[name].words()

    def require_sorted(self, name: str, values: Ints | Floats) -> None:
        """Raise UserError at the first row whose value is below that of the row before."""
        steps = np.diff(values)
        if steps.size and steps.min() < 0:
            i = int(np.argmax(steps < 0)) + 1
            raise self.error(
                i,
                name,
                f"goes back in time ({self.columns[name].cell(i)} after {self.columns[name].cell(i - 1)}); "
                f"sort the file by {name} first",
            )


def header_of(head: bytes, delimiter: str = ",") -> list[str]:
    """Return the stripped column names in the first line of a CSV head."""
    line = head.split(b"\n", 1)[0].decode(errors="replace").rstrip("\r")
    try:
        return [name.strip() for name in next(csv.reader([line], delimiter=delimiter), [])]
    except csv.Error:
        return []


def require_columns(names: Iterable[str], present: Sequence[str], label: str) -> None:
    """Raise UserError for the first required column that is absent or named twice."""
    for name in names:
        if name not in present:
            raise UserError(f"no column {name!r}; {close_match(name, present)}", where=f"{label} row 1")
        if list(present).count(name) > 1:
            raise UserError(f"column {name!r} appears twice", where=f"{label} row 1")


def _plain_lines(raw: bytes, label: str) -> bytes:
    """Return UTF-8 text with plain line ends, or raise UserError where it is none."""
    raw = raw.replace(b"\r\n", b"\n")
    try:
        raw.decode()
        fault, message = raw.find(b"\r"), "holds a carriage return inside a line"
    except UnicodeDecodeError as error:
        fault, message = error.start, "holds bytes that are no UTF-8 text"
    if fault >= 0:
        line = raw.count(b"\n", 0, fault) + 1
        raise UserError(message, where=f"{label} row {line}")
    return raw


def _line_numbers(raw: bytes, n: int, first: int) -> Ints:
    """Return the line of each row, counting lines that the parser skipped because they are empty."""
    if b"\n\n" not in raw and not raw.startswith(b"\n"):
        return np.arange(first, first + n)
    filled = [i for i, line in enumerate(raw.split(b"\n"), 1) if line]
    return np.array(filled[first - 1 : first - 1 + n], dtype=np.int64)


def read_csv(
    raw: bytes,
    path: Path | str,
    required: Sequence[str],
    optional: Sequence[str] = (),
    *,
    delimiter: str = ",",
    headless: bool = False,
) -> Table:
    """Read named columns of a CSV file as text, to be converted by the methods of the table.

    Parameters
    ----------
    raw : bytes
        Decompressed content without a byte-order mark.
    path : Path or str
        Name for errors.
    required, optional : sequence of str
        Columns to keep; other columns are ignored. ``required`` lists all columns of a headless file.
    delimiter : str
        Cell separator.
    headless : bool
        The first line is data.

    Raises
    ------
    UserError
        If a required column is missing, a row has too many or too few cells, or there are no rows.
    """
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    label = str(path)
    raw = _plain_lines(raw, label)
    header = list(required) if headless else header_of(raw, delimiter)
    require_columns(required, header, label)
    wanted = [*required, *(name for name in optional if name in header)]
    unique = [name if header.index(name) == i else f"{name} #{i}" for i, name in enumerate(header)]
    ragged: list[Any] = []

    def on_ragged(row: Any) -> str:
        ragged.append(row)
        return "skip"

    try:
        table = arrow_csv.read_csv(
            pa.BufferReader(raw if headless else raw.partition(b"\n")[2] or b"\n"),
            read_options=arrow_csv.ReadOptions(column_names=unique, use_threads=False),
            parse_options=arrow_csv.ParseOptions(delimiter=delimiter, invalid_row_handler=on_ragged),
            convert_options=arrow_csv.ConvertOptions(
                include_columns=wanted,
                column_types=dict.fromkeys(wanted, pa.string()),
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        if "Empty CSV" in str(error):
            raise UserError("has a header but no rows", where=label) from None
        raise UserError(f"is not a readable CSV file ({one_line(error)})", where=label) from None
    first = 1 if headless else 2
    if ragged:
        row = ragged[0]
        line = int(_line_numbers(raw, int(row.number) + first, 1)[int(row.number) + first - 2])
        raise UserError(
            f"expected {row.expected_columns} cells, got {row.actual_columns}: {row.text[:80]!r}",
            where=f"{label} row {line}",
        )
    if table.num_rows == 0:
        raise UserError("has a header but no rows", where=label)
    columns = {name: TextColumn(table.column(name).combine_chunks()) for name in wanted}
    return Table(label, columns, _line_numbers(raw, table.num_rows, first))


def read_json_lines(raw: bytes, path: Path | str, required: Sequence[str], optional: Sequence[str] = ()) -> Table:
    """Read named keys of a file with one JSON object a line; empty lines are skipped.

    Raises
    ------
    UserError
        At the first line that is no JSON object or lacks a required key, or if there are no lines.
    """
    label = str(path)
    lines = raw.split(b"\n")
    numbers = np.flatnonzero([bool(line.strip()) for line in lines]) + 1
    try:
        # one call for the whole file is several times faster than one a line, but blind to where a fault is
        records = json.loads(b"[" + b",".join([lines[i - 1] for i in numbers]) + b"]")
    except (ValueError, RecursionError):
        records = []
    if len(records) != numbers.size:
        records = [_decoded(lines[i - 1], f"{label} row {i}") for i in numbers]
    return table_of_records(records, numbers.astype(np.int64), label, required, optional)


def _decoded(line: bytes, where: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UserError(f"is not JSON: {error}", where=where) from None


def read_json_records(raw: bytes, path: Path | str, required: Sequence[str], optional: Sequence[str] = ()) -> Table:
    """Read named keys of a file that holds one JSON array of objects; rows are its records, from 1.

    Raises
    ------
    UserError
        If the file is no JSON array of objects, is empty, or a record lacks a required key.
    """
    label = str(path)
    try:
        records = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise UserError(f"is not JSON: {error}", where=label) from None
    if not isinstance(records, list):
        raise UserError("expected a JSON array of objects", where=label)
    return table_of_records(records, np.arange(1, len(records) + 1), label, required, optional, "record")


def table_of_records(
    records: Sequence[Any],
    lines: Ints,
    label: str,
    required: Sequence[str],
    optional: Sequence[str],
    row_word: str = "row",
) -> Table:
    """Return named keys of decoded JSON records as columns.

    Raises
    ------
    UserError
        If there are no records, one is no object, or one lacks a required key.
    """
    if not records:
        raise UserError("holds no records", where=label)
    need = set(required)
    for line, record in zip(lines, records, strict=True):
        if type(record) is not dict:
            raise UserError("expected a JSON object", where=f"{label} {row_word} {line}")
        if not need <= record.keys():
            name = next(key for key in required if key not in record)
            raise UserError(f"no key {name!r}; {close_match(name, record)}", where=f"{label} {row_word} {line}")
    present = [*required, *(key for key in optional if any(key in record for record in records))]
    columns = {key: JsonColumn([record.get(key) for record in records]) for key in present}
    return Table(label, columns, lines, row_word)


def read_parquet(path: Path, required: Sequence[str], optional: Sequence[str] = ()) -> Table:
    """Read named columns of a Parquet file.

    Raises
    ------
    UserError
        If the file is no Parquet file, lacks a required column, or has no rows.
    """
    import pyarrow as pa
    from pyarrow import parquet

    label = str(path)
    try:
        names = parquet.read_schema(path).names
        require_columns(required, names, label)
        wanted = [*required, *(name for name in optional if name in names)]
        table = parquet.read_table(path, columns=wanted)
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"is not a readable Parquet file ({one_line(error)})", where=label) from None
    if table.num_rows == 0:
        raise UserError("has no rows", where=label)
    columns = {name: ArrowColumn(table.column(name).combine_chunks()) for name in wanted}
    return Table(label, columns, np.arange(1, table.num_rows + 1))
