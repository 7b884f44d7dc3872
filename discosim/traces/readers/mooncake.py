"""Mooncake traces, FAST'25 release (JSON lines).

Format: ``{"timestamp": ms, "input_length": tok, "output_length": tok, "hash_ids": [...]}`` a line.
Origin: github.com/kvcache-ai/Mooncake, ``FAST25-release/traces`` (Apache-2.0).
Quirks: timestamps are milliseconds, and in the conversation trace they are binned to ticks of about 3 s (0,
3000, 5999, 9000, ...), so 90 % of the gaps are 0. The rule: where at least 90 % of the steps between
distinct stamps agree within 2 ms, their median is the tick; otherwise the tick is the millisecond. ``ties:
spread`` places requests inside their tick. One hash id stands for 512 prompt tokens.
"""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from discosim.traces.readers.base import Floats, HashIds, Reader, RequestTrace
from discosim.traces.readers.columns import ArrowColumn, JsonColumn
from discosim.traces.readers.requests import build_requests
from discosim.traces.readers.source import first_line, read_bytes
from discosim.traces.readers.table import Table, read_json_lines

_JITTER_MS = 2.0
_BEYOND = 2**63


def tick_of(stamp_ms: Floats) -> float:
    """Return the tick of the clock in seconds by the rule in the module's header."""
    steps = np.diff(np.unique(stamp_ms))
    if steps.size < 2:
        return 0.001
    tick_ms = float(np.median(steps))
    regular = float(np.mean(np.abs(steps - tick_ms) <= _JITTER_MS)) >= 0.9
    return tick_ms / 1000.0 if regular else 0.001


def hash_ids_of(table: Table, name: str = "hash_ids") -> HashIds | None:
    """Return the block ids of all rows, or None where no row has any.

    Raises
    ------
    UserError
        At the first row whose ids are no list of whole numbers.
    """
    if not table.has(name):
        return None
    column = table.columns[name]
    assert isinstance(column, JsonColumn | ArrowColumn)
    cells = column.cells if isinstance(column, JsonColumn) else column.cells.to_pylist()
    rows = [[] if cell is None else cell for cell in cells]
    fits = set(map(type, rows)) <= {list} and set(map(type, chain.from_iterable(rows))) <= {int}
    try:
        flat = np.array(list(chain.from_iterable(rows)) if fits else [_BEYOND], dtype=np.int64)
    except OverflowError:
        i = next(i for i, row in enumerate(rows) if not _is_ids(row))
        raise table.error(i, name, f"expected a list of whole numbers below 2^63, got {column.cell(i)[:80]}") from None
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    return HashIds(flat, offsets)


def _is_ids(row: Any) -> bool:
    return isinstance(row, list) and all(type(x) is int and -_BEYOND <= x < _BEYOND for x in row)


def matches(head: bytes, _path: Path) -> bool:
    """Recognise the keys of the first line."""
    return all(key in first_line(head) for key in ('"timestamp"', '"input_length"', '"output_length"'))


def read(path: Path) -> RequestTrace:
    """Read the trace; ``notes['distinct_stamps']`` counts the ticks in use."""
    table = read_json_lines(read_bytes(path), path, ("timestamp", "input_length", "output_length"), ("hash_ids",))
    stamp_ms = table.numbers("timestamp", lowest=0.0)
    tick_s = tick_of(stamp_ms)
    return build_requests(
        table,
        stamp_ms,
        arrival="timestamp",
        prompt="input_length",
        output="output_length",
        per_s=1000,
        tick_s=tick_s,
        hash_ids=hash_ids_of(table),
        notes={
            "format": "mooncake",
            "distinct_stamps": int(np.unique(stamp_ms).size),
            "tick_rule": "median step between distinct stamps" if tick_s > 0.001 else "millisecond clock",
        },
    )


READER = Reader("mooncake", "Mooncake trace, FAST'25 release (JSON lines)", "requests", matches, read)
