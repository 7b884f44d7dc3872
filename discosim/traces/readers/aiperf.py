"""AIPerf's records of single requests (``profile_export.jsonl``).

Format: one object a request: ``metadata`` (``request_start_ns, benchmark_phase, was_cancelled``),
``metrics`` (name to ``{"value", "unit"}``) and ``error`` (null, or ``{"code", "type", "message"}``).
Origin: github.com/ai-dynamo/aiperf, ``docs/tutorials/working-with-profile-exports.md`` (Apache-2.0).
Quirks: lines come in order of completion, so requests are sorted by their start. AIPerf's
``inter_token_latency`` is (latency - TTFT) / (n - 1): our TPOT. Units are named and read, never assumed.
Warm-up requests, and those the load generator cancelled itself, are left out and counted. One-token answers
have no TPOT; a request without streaming has no TTFT.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from discosim.core.errors import UserError, close_match
from discosim.traces.readers.base import Floats, Ints, LatencySeries, Reader
from discosim.traces.readers.columns import JsonColumn
from discosim.traces.readers.latency import series_of_attempts
from discosim.traces.readers.source import first_line, read_bytes, stem
from discosim.traces.readers.table import Table, read_json_lines

_SECONDS = {"s": 1.0, "sec": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_PROFILING = "profiling"


def _value(table: Table, i: int, metrics: dict[str, Any], name: str, units: dict[str, float]) -> float:
    """Return one metric of one record in our units, NaN where the record has none."""
    entry = metrics.get(name)
    if entry is None:
        return np.nan
    where = f"metrics.{name}"
    if not isinstance(entry, dict) or type(entry.get("value")) not in {int, float}:
        raise table.error(i, where, f"expected an object with a number 'value', got {json.dumps(entry)[:60]}")
    unit, value = str(entry.get("unit")), float(entry["value"])
    if unit not in units:
        raise table.error(i, where, f"unknown unit {unit!r}; {close_match(unit, units)}")
    if not 0.0 <= value < np.inf:
        raise table.error(i, where, f"expected a finite number of at least 0, got {entry['value']}")
    return value * units[unit]


def _tokens(table: Table, rows: list[tuple[int, dict[str, Any]]], name: str) -> Ints:
    values: Floats = np.array([_value(table, i, metrics, name, {"tokens": 1.0}) for i, metrics in rows])
    counts: Ints = np.nan_to_num(values).astype(np.int64)
    return counts


def matches(head: bytes, _path: Path) -> bool:
    """Recognise a first line with metadata and metrics of one request."""
    line = first_line(head).lstrip()
    return line.startswith("{") and all(key in line for key in ('"metadata"', '"request_start_ns"', '"metrics"'))


def read(path: Path) -> dict[str, LatencySeries]:
    """Read the requests of the profiling phase, in the order of their starts; the file's stem is the group."""
    table = read_json_lines(read_bytes(path), path, ("metadata", "metrics"), ("error",))
    metadata, metrics = _objects(table, "metadata"), _objects(table, "metrics")
    errors = _objects(table, "error") if table.has("error") else [{} for _ in metadata]
    warm_up = [str(row.get("benchmark_phase", _PROFILING)) != _PROFILING for row in metadata]
    cancelled = [bool(row.get("was_cancelled")) for row in metadata]
    kept = [i for i in range(len(table)) if not (warm_up[i] or cancelled[i])]
    start_ns = [_start_ns(table, i, metadata[i]) for i in kept]
    kept = [kept[place] for place in sorted(range(len(kept)), key=start_ns.__getitem__)]
    if not kept:
        raise UserError("holds no request of the profiling phase that was not cancelled", where=str(path))
    rows = [(i, metrics[i]) for i in kept]

    def times_s(name: str) -> Floats:
        return np.array([_value(table, i, own, name, _SECONDS) for i, own in rows])

    group = stem(path)
    return {
        group: series_of_attempts(
            group,
            "aiperf",
            ttft_s=times_s("time_to_first_token"),
            tpot_s=times_s("inter_token_latency"),
            is_failed=np.array([bool(errors[i]) for i in kept]),
            code=np.array([str(errors[i].get("code") or errors[i].get("type") or "error") for i in kept], dtype=object),
            prompt_tok=_tokens(table, rows, "input_sequence_length"),
            output_tok=_tokens(table, rows, "output_sequence_length"),
            dropped={"dropped_warm_up": sum(warm_up), "dropped_cancelled": sum(cancelled)},
        )
    }


def _objects(table: Table, name: str) -> list[dict[str, Any]]:
    """Return a column of objects; null is an empty one."""
    column = table.columns[name]
    assert isinstance(column, JsonColumn)
    for i, cell in enumerate(column.cells):
        if cell is not None and not isinstance(cell, dict):
            raise table.error(i, name, f"expected an object, got {column.cell(i)[:60]}")
    return [cell or {} for cell in column.cells]


def _start_ns(table: Table, i: int, metadata: dict[str, Any]) -> int:
    start = metadata.get("request_start_ns")
    if type(start) is not int:
        raise table.error(i, "metadata.request_start_ns", f"expected a whole number of ns, got {json.dumps(start)}")
    return start


READER = Reader("aiperf", "AIPerf's profile_export.jsonl, a record a request", "latency", matches, read)
