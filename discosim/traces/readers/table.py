"""Columns of a trace file with validation that names file, row and column; import from here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from discosim.core.errors import UserError
from discosim.traces.readers.columns import ArrowColumn
from discosim.traces.readers.foreign import PARQUET
from discosim.traces.readers.head import first_keys
from discosim.traces.readers.source import one_line, read_bytes, read_head, read_raw
from discosim.traces.readers.table_base import Table, printable, require_columns
from discosim.traces.readers.table_csv import MARKDOWN, delimiter_of, header_of, is_markdown, read_csv
from discosim.traces.readers.table_json import read_json_lines, read_json_records, table_of_records

__all__ = [
    "MARKDOWN",
    "Table",
    "delimiter_of",
    "head_of_parquet",
    "header_of",
    "is_markdown",
    "names_in_order",
    "names_of_table",
    "parquet_names",
    "read_csv",
    "read_json_lines",
    "read_json_records",
    "read_parquet",
    "read_table",
    "require_columns",
    "table_of_records",
]

MOST_ROWS = 200_000_000
"""Rows of a Parquet file that are read; a few bytes of it can claim any number. Source: our choice."""


def parquet_names(path: Path) -> list[str]:
    """Return the names of the columns of a Parquet file; none where it cannot be read."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        return list(parquet.ParquetFile(pa.BufferReader(read_raw(path))).schema_arrow.names)
    except (pa.ArrowException, OSError, ValueError):
        return []


def head_of_parquet(path: Path) -> bytes:
    """Return what `names_of_table` takes for the head of a Parquet file: its mark and the names of its columns.

    Many formats ask for the names in turn, and a packed file has to be unpacked for each.
    """
    return PARQUET + b"\n" + json.dumps(parquet_names(path)).encode()


def names_in_order(head: bytes, path: Path) -> list[str]:
    """Return the names of the columns of a Parquet file or a CSV, in their order."""
    if not head.startswith(PARQUET):
        return header_of(head)
    if head.startswith(PARQUET + b"\n["):
        return [str(name) for name in json.loads(head.removeprefix(PARQUET))]
    return parquet_names(path)


def names_of_table(head: bytes, path: Path) -> frozenset[str]:
    """Return the names of a file's columns or keys: of Parquet, of the first records of JSON, or of a CSV's header."""
    if head.startswith(PARQUET):
        return frozenset(names_in_order(head, path))
    return first_keys(head) or frozenset(header_of(head))


def read_table(path: Path, required: Sequence[str], optional: Sequence[str] = ()) -> Table:
    """Read named columns of a table, whichever it is: Parquet, JSON lines, a JSON array or CSV.

    Raises
    ------
    UserError
        As the function for each.
    """
    head = read_head(path)
    if head.startswith(PARQUET):
        return read_parquet(path, required, optional)
    if head.lstrip()[:1] in {b"{", b"["}:
        return read_json_lines(read_bytes(path), path, required, optional)
    return read_csv(read_bytes(path), path, required, optional)


def read_parquet(path: Path, required: Sequence[str], optional: Sequence[str] = ()) -> Table:
    """Read named columns of a Parquet file.

    Raises
    ------
    UserError
        If the file is no Parquet file, lacks a required column, or has no rows.
    """
    import pyarrow as pa
    from pyarrow import parquet

    label, raw = str(path), read_raw(path)
    try:
        file = parquet.ParquetFile(pa.BufferReader(raw))
        names = file.schema_arrow.names
        missing = [name for name in required if name not in names]
        if missing:
            shown = ", ".join(printable(name)[:60] for name in names[:15]) + (", ..." if len(names) > 15 else "")
            lacks = ", ".join(missing)
            raise UserError(f"is a Parquet table with the columns {shown}; it lacks {lacks}", where=label)
        require_columns(required, names, label)
        if file.metadata.num_rows > MOST_ROWS:
            raise UserError(f"claims {file.metadata.num_rows:,} rows; at most {MOST_ROWS:,} are read", where=label)
        wanted = [*required, *(name for name in optional if name in names)]
        table = file.read(columns=wanted)
        table.validate(full=True)  # text that is no UTF-8 would show up only where it is used
    except MemoryError:
        raise UserError("its columns do not fit into memory", where=label) from None
    except (pa.ArrowException, OSError, ValueError) as error:
        raise UserError(f"is not a readable Parquet file ({one_line(error)[:200]})", where=label) from None
    if table.num_rows == 0:
        raise UserError("has no rows", where=label)
    columns = {name: ArrowColumn(table.column(name).combine_chunks()) for name in wanted}
    unread = tuple(name for name in names if name not in wanted)
    return Table(label, columns, np.arange(1, table.num_rows + 1), unread=unread)
