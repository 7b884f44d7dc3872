"""Tables of text: comma-, tab-, semicolon- or bar-separated, with or without quotes, any line ends."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from discosim.core.errors import UserError
from discosim.traces.readers.base import Ints
from discosim.traces.readers.columns import TextColumn
from discosim.traces.readers.table_base import MOST_COLUMNS, Table, require_columns
from discosim.traces.readers.text import require_utf8
from discosim.traces.readers.unpack import one_line

MARKDOWN = "a table of Markdown; write it as CSV, without the line of dashes and the bars at the ends"
_DASHES = re.compile(rb"\|?[ \t]*:?-+:?[ \t]*(\|[ \t]*:?-+:?[ \t]*)*\|?")
_DELIMITERS = (",", "\t", ";", "|")
_LINE_END = b"\n"
_QUOTE, _NEWLINE = ord('"'), ord("\n")
_LARGEST_BLOCK = 2**31 - 1
_TEXT = 80
_LONGEST_QUOTED = 2**16


def header_of(head: bytes, delimiter: str | None = None) -> list[str]:
    """Return the stripped column names in the first line of a table's head that is not blank.

    Parameters
    ----------
    head : bytes
        The table, or its beginning.
    delimiter : str, optional
        Cell separator; None takes the one that splits the line into most names.
    """
    line = _header_line(head.lstrip(b"\r\n"))
    if "\0" in line:  # an archive or another file that is no text
        return []
    candidates = [mark for mark in _DELIMITERS if mark in line] if delimiter is None else [delimiter]
    return max((_cells(line, mark) for mark in candidates or [","]), key=len)


def delimiter_of(head: bytes) -> str:
    """Return the separator that splits the header into most names; the comma where none does."""
    line = _header_line(head.lstrip(b"\r\n"))
    candidates = [mark for mark in _DELIMITERS if mark in line] or [","]
    return max(candidates, key=lambda mark: len(_cells(line, mark)))


def is_markdown(head: bytes) -> bool:
    """Tell whether a table is one of Markdown: under its header stands a line of dashes between bars."""
    lines = head.lstrip().split(b"\n", 2)
    return len(lines) > 1 and b"|" in lines[0] and _DASHES.fullmatch(lines[1].strip()) is not None


def _header_line(head: bytes) -> str:
    """Return the first record: to the first newline outside quotes, within the first 64 KiB where there are quotes."""
    at = seen = quotes = 0
    while True:
        end = head.find(b"\n", at)
        quotes += head.count(b'"', seen, len(head) if end < 0 else end)
        if end < 0 or quotes % 2 == 0 or end > _LONGEST_QUOTED:
            break
        at, seen = end + 1, end
    return head[: len(head) if end < 0 else end].decode(errors="replace").rstrip("\r")


def _cells(line: str, delimiter: str) -> list[str]:
    if line.count(delimiter) >= MOST_COLUMNS:
        return [
            name.strip(' "') for name in line.split(delimiter, MOST_COLUMNS)
        ]  # enough to see that they are too many
    try:
        return [" ".join(name.split()) for name in next(csv.reader([line], delimiter=delimiter), [])]
    except csv.Error:  # a name longer than any is
        return [name.strip(' "') for name in line.split(delimiter)]


def _plain_lines(raw: bytes, label: str) -> bytes:
    """Return UTF-8 text with plain line ends, or raise UserError where it is none."""
    raw = raw.replace(b"\r\n", b"\n")
    require_utf8(raw, label)
    for byte, words in ((b"\r", "a carriage return inside a line"), (b"\0", "a NUL byte")):
        fault = raw.find(byte)
        if fault >= 0:
            raise UserError(f"holds {words}", where=f"{label} row {raw.count(_LINE_END, 0, fault) + 1}")
    return raw


def _spans_lines(raw: bytes) -> bool:
    """Tell whether a quoted cell goes on in the next line; quotes that do not pair are no quoting."""
    if raw.count(b'"') % 2 or b'"' not in raw:
        return False
    text = np.frombuffer(raw, dtype=np.uint8)
    quotes, ends = np.flatnonzero(text == _QUOTE), np.flatnonzero(text == _NEWLINE)
    return bool(np.any(np.searchsorted(quotes, ends) % 2))


def _record_lines(raw: bytes, n: int, first: int, *, spans_lines: bool) -> Ints:
    """Return the line of each of ``n`` records from the ``first`` on, counting lines that hold none."""
    if not spans_lines and b"\n\n" not in raw and not raw.startswith(b"\n"):
        return np.arange(first, first + n)
    text = np.frombuffer(raw, dtype=np.uint8)
    ends = np.flatnonzero(text == _NEWLINE)
    starts = np.concatenate([[0], ends + 1])
    lines = np.arange(1, starts.size + 1)
    if spans_lines:
        quotes = np.flatnonzero(text == _QUOTE)
        outside = np.concatenate([[True], np.searchsorted(quotes, ends) % 2 == 0])
        starts, lines = starts[outside], lines[outside]
    stops = np.concatenate([starts[1:] - 1, [text.size]])
    found = lines[stops > starts][first - 1 : first - 1 + n]
    # where a cell quotes oddly, our count of records may differ from the parser's
    return found if found.size == n else np.arange(first, first + n)


def read_csv(
    raw: bytes,
    path: Path | str,
    required: Sequence[str],
    optional: Sequence[str] = (),
    *,
    delimiter: str | None = None,
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
    delimiter : str, optional
        Cell separator; None takes the one that splits the header into most names (headless: the comma).
    headless : bool
        The first line is data.

    Raises
    ------
    UserError
        If a required column is missing, a row has too many or too few cells, or there are no rows.
    """
    label = str(path)
    raw = _plain_lines(raw, label)
    if is_markdown(raw[: 2**20]):
        raise UserError(f"is {MARKDOWN}", where=label)
    mark = delimiter or ("," if headless else delimiter_of(raw[: 2**20]))
    skipped = len(raw) - len(raw.lstrip(b"\n"))
    header = list(required) if headless else header_of(raw, mark)
    require_columns(required, header, label)
    wanted = [*required, *(name for name in optional if name in header)]
    body_at = 0 if headless else skipped + len(_header_line(raw[skipped:]).encode()) + 1
    first, spans_lines = 1 if headless else 2, _spans_lines(raw)
    table, ragged = _parsed(raw[body_at:] or b"\n", header, wanted, mark, label, spans_lines=spans_lines)
    if ragged is not None:
        number, text = int(ragged.number or 1), str(ragged.text)
        line = int(_record_lines(raw, number + first - 1, 1, spans_lines=spans_lines)[-1])
        raise UserError(
            f"expected {ragged.expected_columns} cells, got {ragged.actual_columns}: {text[:_TEXT]!r}",
            where=f"{label} row {line}",
        )
    if table is None or table.num_rows == 0:
        raise UserError("has a header but no rows", where=label)
    columns = {name: TextColumn(table.column(name).combine_chunks()) for name in wanted}
    lines = _record_lines(raw, table.num_rows, first, spans_lines=spans_lines)
    unread = tuple(name for name in header if name not in wanted)
    return Table(label, columns, lines, unread=unread, is_point_unclear=mark == ";")


def _parsed(
    body: bytes, header: Sequence[str], wanted: Sequence[str], delimiter: str, label: str, *, spans_lines: bool
) -> tuple[Any, Any]:
    """Return the Arrow table of the wanted columns, or the first row of another width than the header."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    places = {name: i for i, name in reversed(list(enumerate(header)))}
    unique = [name if places[name] == i else f"{name} #{i}" for i, name in enumerate(header)]
    ragged: list[Any] = []

    def on_ragged(row: Any) -> str:
        ragged.append(row)
        return "error"

    block = 2**20
    while True:
        try:
            table = arrow_csv.read_csv(
                pa.BufferReader(body),
                read_options=arrow_csv.ReadOptions(column_names=unique, use_threads=False, block_size=block),
                parse_options=arrow_csv.ParseOptions(
                    delimiter=delimiter, invalid_row_handler=on_ragged, newlines_in_values=spans_lines
                ),
                convert_options=arrow_csv.ConvertOptions(
                    include_columns=wanted,
                    column_types=dict.fromkeys(wanted, pa.string()),
                    strings_can_be_null=False,
                ),
            )
        except pa.ArrowInvalid as error:
            if ragged:
                return None, ragged[0]
            if "Empty CSV" in str(error):
                return None, None
            if "straddling" in str(error) and block < min(len(body) + 1, _LARGEST_BLOCK):
                block = min(len(body) + 1, _LARGEST_BLOCK)  # a line longer than a block
                continue
            raise UserError(f"is not a readable CSV file ({one_line(error)[:200]})", where=label) from None
        else:
            return table, None
