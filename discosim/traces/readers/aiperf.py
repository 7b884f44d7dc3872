"""AIPerf's records of single requests (``profile_export.jsonl``).

Format: one object a request: ``metadata`` (``request_start_ns, benchmark_phase, was_cancelled``),
``metrics`` (name to ``{"value", "unit"}``) and ``error`` (null, or ``{"code", "type", "message"}``).
Origin: github.com/ai-dynamo/aiperf, ``docs/tutorials/working-with-profile-exports.md`` (Apache-2.0).
Quirks: lines come in order of completion, so requests are sorted by their start. AIPerf's ``inter_token_latency`` is
(latency - TTFT) / (n - 1): our TPOT. Units are named and read, never assumed. Warm-up requests, and those the load
generator cancelled itself, are left out and counted. One-token answers have no TPOT; a request without streaming has
no TTFT. The first versions call TTFT ``ttft``, the start ``timestamp_ns`` and the phase ``credit_phase``, and tell a
cancelled request by its error alone. AIPerf counts the tokens of the finished text again: where
``inter_chunk_latency`` has more gaps than these allow, the gaps count (`tokens_by_gaps`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from discosim.core.errors import close_match
from discosim.traces.readers.base import Floats, Ints, LatencySeries, Reader
from discosim.traces.readers.columns import JsonColumn
from discosim.traces.readers.latency import is_one_token, series_of_attempts, tokens_by_gaps, word_of
from discosim.traces.readers.outcomes import SILENT, silent_failures
from discosim.traces.readers.runs import NothingSeenError, require_figure, series_of_runs
from discosim.traces.readers.source import first_line, read_bytes, stem
from discosim.traces.readers.table import Table, read_json_lines

_SECONDS = {"s": 1.0, "sec": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_TOKENS = {"tokens": 1.0}
_TTFT = ("time_to_first_token", "ttft")
_TPOT = ("inter_token_latency",)
_STARTS = ("request_start_ns", "timestamp_ns")
_PHASES = ("benchmark_phase", "credit_phase")
_PROFILING = "profiling"
_CANCELLED = "RequestCancellationError"
_LIMIT = 2**53
_LARGEST = 1e300
Record = dict[str, Any]


def _value(table: Table, i: int, metrics: Record, names: tuple[str, ...], units: dict[str, float]) -> float:
    """Return one metric of one record in our units, NaN where the record has none."""
    name = next((name for name in names if metrics.get(name) is not None), None)
    if name is None:
        return np.nan
    where, entry = f"metrics.{name}", metrics[name]
    if not isinstance(entry, dict) or type(entry.get("value")) not in {int, float}:
        raise table.error(i, where, f"expected an object with a number 'value', got {json.dumps(entry)[:60]}")
    unit, value = str(entry.get("unit")), entry["value"]
    if unit not in units:
        raise table.error(i, where, f"unknown unit {unit!r}; {close_match(unit, units)}")
    if not 0.0 <= value < _LARGEST:
        raise table.error(i, where, f"expected a finite number of at least 0, got {entry['value']}")
    return float(value) * units[unit]


def _tokens(table: Table, rows: list[tuple[int, Record]], name: str) -> Ints:
    """Return one count of all records, 0 where a record has none."""
    counts = []
    for i, metrics in rows:
        count = _value(table, i, metrics, (name,), _TOKENS)
        if np.isfinite(count) and (count != np.floor(count) or count >= _LIMIT):
            got = json.dumps(metrics[name])[:60]
            raise table.error(i, f"metrics.{name}", f"expected a whole number of tokens, got {got}")
        counts.append(0 if np.isnan(count) else int(count))
    return np.array(counts, dtype=np.int64)


def _counted_by_gaps(rows: list[tuple[int, Record]], output_tok: Ints) -> Ints:
    """Return the tokens of all answers, by their gaps where these are more."""
    counted = output_tok.copy()
    for place, (_, metrics) in enumerate(rows):
        entry = metrics.get("inter_chunk_latency")
        gaps = entry.get("value") if isinstance(entry, dict) else None
        if isinstance(gaps, list) and gaps and all(type(gap) in {int, float} and 0 <= gap < np.inf for gap in gaps):
            counted[place] = tokens_by_gaps(int(output_tok[place]), gaps)
    return counted


def matches(head: bytes, _path: Path) -> bool:
    """Recognise a first line with metadata and metrics of one request."""
    line = first_line(head).lstrip()
    if not line.startswith("{") or '"metadata"' not in line or '"metrics"' not in line:
        return False
    return any(f'"{name}"' in line for name in _STARTS)


def read(path: Path) -> dict[str, LatencySeries]:
    """Read the requests of the profiling phase, in the order of their starts; the file's stem is the group."""
    group = stem(path)
    return series_of_runs({group: lambda: _series(path, group)}, "aiperf", str(path))


def _series(path: Path, group: str) -> LatencySeries:
    table = read_json_lines(read_bytes(path), path, ("metadata", "metrics"), ("error",))
    metadata, metrics = _objects(table, "metadata"), _objects(table, "metrics")
    _refuse_twins(table, metadata)
    errors = _objects(table, "error") if table.has("error") else [{} for _ in metadata]
    warm_up = [str(_first(row, _PHASES, _PROFILING)) != _PROFILING for row in metadata]
    cancelled = [
        bool(row.get("was_cancelled")) or errors[i].get("type") == _CANCELLED for i, row in enumerate(metadata)
    ]
    kept = [i for i in range(len(table)) if not (warm_up[i] or cancelled[i])]
    start_ns = [_start_ns(table, i, metadata[i]) for i in kept]
    kept = [kept[place] for place in sorted(range(len(kept)), key=start_ns.__getitem__)]
    start_ns.sort()
    if not kept:
        raise NothingSeenError("holds no request of the profiling phase that was not cancelled", where=str(path))
    rows = [(i, metrics[i]) for i in kept]
    is_failed = np.array([bool(errors[i]) for i in kept])
    ttft_s, tpot_s = (_times_s(table, rows, names) for names in (_TTFT, _TPOT))
    stated_tok = _tokens(table, rows, "output_sequence_length")
    if not is_failed.all():
        names = {name for i in kept if not errors[i] for name in metrics[i]}
        for looked_for, times, what in ((_TTFT, ttft_s, "TTFT"), (_TPOT, tpot_s, "time per token")):
            seen = bool((times[~is_failed] > 0).any())
            seen = seen or (looked_for == _TPOT and is_one_token(~is_failed, stated_tok))
            require_figure(looked_for, seen, names, str(path), what=what, advice="AIPerf needs --streaming")
    output_tok = _counted_by_gaps(rows, stated_tok)
    code = np.array([word_of(errors[i].get("code") or errors[i].get("type") or "error") for i in kept], dtype=object)
    silent, said = silent_failures(~is_failed, output_tok, ttft_s, tpot_s)
    is_failed, code[silent] = is_failed | silent, SILENT
    more = (output_tok > stated_tok) & (stated_tok > 1) & ~is_failed
    np.multiply(tpot_s, (stated_tok - 1) / np.maximum(output_tok - 1, 1), out=tpot_s, where=more)
    return series_of_attempts(
        group,
        "aiperf",
        str(path),
        ttft_s=ttft_s,
        tpot_s=tpot_s,
        is_failed=is_failed,
        code=code,
        prompt_tok=_tokens(table, rows, "input_sequence_length"),
        output_tok=np.where(more, output_tok, stated_tok),
        n_recounted=int(more.sum()),
        unit_s=None,
        start_s=np.array([(at_ns - start_ns[0]) / 1e9 for at_ns in start_ns]),
        counts={"dropped_warm_up": sum(warm_up), "dropped_cancelled": sum(cancelled)},
        warnings=said,
    )


def _refuse_twins(table: Table, metadata: list[Record]) -> None:
    """Raise UserError at the first record whose id and start stand in one before."""
    seen: dict[tuple[object, ...], int] = {}
    for i, row in enumerate(metadata):
        word = row.get("x_request_id")
        first = seen.setdefault((word, str(_first(row, _STARTS))), i)
        if isinstance(word, str) and word and first != i:
            raise table.error(
                i, "metadata.x_request_id", f"{word[:60]!r} stands in {table.place(first)} too; each request once"
            )


def _times_s(table: Table, rows: list[tuple[int, Record]], names: tuple[str, ...]) -> Floats:
    return np.array([_value(table, i, own, names, _SECONDS) for i, own in rows])


def _first(row: Record, names: tuple[str, ...], default: Any = None) -> Any:
    return next((row[name] for name in names if row.get(name) is not None), default)


def _objects(table: Table, name: str) -> list[Record]:
    """Return a column of objects; null is an empty one."""
    column = table.columns[name]
    assert isinstance(column, JsonColumn)
    for i, cell in enumerate(column.cells):
        if cell is not None and not isinstance(cell, dict):
            raise table.error(i, name, f"expected an object, got {column.cell(i)[:60]}")
    return [cell or {} for cell in column.cells]


def _start_ns(table: Table, i: int, metadata: Record) -> int:
    start = _first(metadata, _STARTS)
    if type(start) is not int or not 0 <= start < 2**63:
        name = next((name for name in _STARTS if name in metadata), _STARTS[0])
        raise table.error(i, f"metadata.{name}", f"expected a whole number of ns, got {json.dumps(start)[:40]}")
    return start


READER = Reader("aiperf", "AIPerf's profile_export.jsonl, a record a request", "latency", matches, read)
