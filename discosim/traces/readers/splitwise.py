"""Request traces of splitwise-sim (CSV).

Format: ``request_id,request_type,application_id,arrival_timestamp,batch_size,prompt_size,token_size``,
seconds.
Origin: github.com/Mutinifni/splitwise-sim (MIT).
Quirks: time starts at the first request; ``token_size`` is the output length; ``batch_size`` is always 1, and is
doubted where it is not; ``application_id`` names a service, not a user, and is ignored.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from discosim.traces.readers.base import Reader, RequestTrace, TimeUnit
from discosim.traces.readers.requests import build_requests
from discosim.traces.readers.table import Table, names_of_table, read_table

COLUMNS = ("arrival_timestamp", "prompt_size", "token_size")
_BATCH = "batch_size"


def matches(head: bytes, path: Path) -> bool:
    """Recognise the three column names that matter."""
    return names_of_table(head, path).issuperset(COLUMNS)


def read(path: Path, time_unit: TimeUnit = "auto") -> RequestTrace:
    """Read the trace."""
    table = read_table(path, COLUMNS, [_BATCH])
    trace = build_requests(
        table,
        table.ticks("arrival_timestamp"),
        arrival="arrival_timestamp",
        prompt="prompt_size",
        output="token_size",
        time_unit=time_unit,
        notes={"format": "splitwise"},
    )
    return replace(trace, warnings=(*trace.warnings, *_batches(table)))


def _batches(table: Table) -> tuple[str, ...]:
    """Return what to doubt where a row may stand for several requests."""
    if not table.has(_BATCH):
        return ()
    sizes = table.columns[_BATCH].floats()
    n = int((sizes > 1).sum())
    if not n:
        return ()
    most = float(np.nanmax(sizes))
    said = (
        f"{_BATCH} is above 1 in {n:,} of {len(table):,} rows ({most:g} at most), where splitwise-sim's traces have 1"
    )
    return (f"{said}; each row is read as one request: if it stands for so many, repeat the row.",)


READER = Reader("splitwise", "splitwise-sim request trace (CSV)", "requests", matches, read, COLUMNS)
