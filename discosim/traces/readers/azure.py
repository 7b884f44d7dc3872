"""Azure LLM inference traces, 2023 and 2024 (CSV).

Format: ``TIMESTAMP,ContextTokens,GeneratedTokens``, one request a row, sorted by wall-clock time.
Origin: github.com/Azure/AzurePublicDataset (CC BY 4.0; Patel et al., Splitwise, ISCA 2024).
Quirks: up to seven fractional digits (100 ns), one more than ``datetime.fromisoformat`` keeps, so stamps
are read as whole 100 ns ticks; 2024 rows carry a UTC offset. Time starts at the first request.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from discosim.core.errors import UserError
from discosim.traces.readers.base import Ints, Reader, RequestTrace, TimeUnit
from discosim.traces.readers.columns import ArrowColumn, TextColumn
from discosim.traces.readers.requests import build_requests
from discosim.traces.readers.table import Table, names_of_table, read_table

COLUMNS = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
_STAMP = (
    r"^(?P<date>\d{4}-\d\d-\d\d)[ T](?P<clock>\d\d:\d\d:\d\d)(?:\.(?P<fraction>\d{1,7}))?"
    r"(?P<zone>Z|[+-]\d\d:\d\d)?$"
)
_EXPECTED = "expected a time like 2023-11-16 18:17:03.9799600 (at most seven fractional digits)"
_TICKS_PER_S = 10_000_000


def _offset_s(zone: str) -> int:
    if zone in {"", "Z"}:
        return 0
    hours, minutes = zone[1:].split(":")
    return (1 if zone[0] == "+" else -1) * (int(hours) * 3600 + int(minutes) * 60)


def ticks_of(table: Table, name: str) -> Ints:
    """Return wall-clock stamps as exact whole numbers of 100 ns since 1970.

    Raises
    ------
    UserError
        At the first cell that is no such stamp, or where stamps with and without an offset are mixed.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    column = table.columns[name]
    if isinstance(column, ArrowColumn) and (since_1970 := column.moments_ns()) is not None:
        return since_1970 // (1_000_000_000 // _TICKS_PER_S)
    if not isinstance(column, TextColumn):
        column = TextColumn(pa.array(column.words().tolist(), pa.string()))
    parts = pc.extract_regex(pc.utf8_trim_whitespace(column.cells), pattern=_STAMP)
    missing = parts.is_null().to_numpy(zero_copy_only=False)
    if missing.any():
        i = int(np.argmax(missing))
        raise table.error(i, name, f"{_EXPECTED}, got {column.cell(i)}")
    date, clock, fraction, zone = (parts.field(i) for i in range(4))
    text = pc.binary_join_element_wise(date, clock, "T").to_numpy(zero_copy_only=False)
    try:
        seconds = text.astype("datetime64[s]").astype(np.int64)
    except ValueError:
        i = next(i for i, stamp in enumerate(text) if not _is_moment(stamp))
        raise table.error(i, name, f"{_EXPECTED}, got {column.cell(i)}") from None
    digits = pc.utf8_rpad(pc.coalesce(fraction, ""), width=7, padding="0")
    ticks = seconds * _TICKS_PER_S + pc.cast(digits, pa.int64()).to_numpy()
    zones = pc.coalesce(zone, "").dictionary_encode()
    names, codes = zones.dictionary.to_pylist(), zones.indices.to_numpy()
    if "" in names and len(names) > 1:
        i = int(np.argmax(codes != codes[0]))
        raise table.error(i, name, "times with and without a UTC offset are mixed")
    offsets = np.array([_offset_s(z) for z in names], dtype=np.int64)
    return np.asarray(ticks - offsets[codes] * _TICKS_PER_S, dtype=np.int64)


def _is_moment(stamp: str) -> bool:
    try:
        np.datetime64(stamp, "s")
    except ValueError:
        return False
    return True


def matches(head: bytes, path: Path) -> bool:
    """Recognise the three column names."""
    return names_of_table(head, path).issuperset(COLUMNS)


def read(path: Path, time_unit: TimeUnit = "auto") -> RequestTrace:
    """Read the trace; ``notes['first_arrival']`` keeps the wall-clock time of the first request."""
    if time_unit != "auto":
        raise UserError(
            f"TIMESTAMP holds dates, which have no unit; leave workload.time_unit at auto (got {time_unit})",
            where=str(path),
        )
    table = read_table(path, COLUMNS)
    ticks = ticks_of(table, "TIMESTAMP")
    return build_requests(
        table,
        ticks,
        arrival="TIMESTAMP",
        prompt="ContextTokens",
        output="GeneratedTokens",
        per_s=_TICKS_PER_S,
        notes={"format": "azure", "first_arrival": str(table.words("TIMESTAMP")[0])},
    )


READER = Reader("azure", "Azure LLM inference trace 2023/2024 (CSV)", "requests", matches, read, COLUMNS)
