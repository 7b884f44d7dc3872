"""LLMPerf per-request results (JSON, JSON lines, a tar of them, or one CSV).

Format: records with ``error_code, ttft_s, end_to_end_latency_s, number_input_tokens, number_output_tokens``, as a
JSON array (``..._individual_responses.json``) or one a line; the leaderboard packs one file per service
(``provider_size.json``); the CSV has columns ``provider, model, ttft_s, end_to_end_latency_s, input_tokens,
output_tokens, error_code``, or the names of the records. Origin: github.com/ray-project/llmperf,
``token_benchmark_ray.py``, and llmperf-leaderboard, ``raw_data/individual`` (Apache-2.0). Quirks:
``inter_token_latency_s`` is the end-to-end time over the tokens, so it contains the TTFT; it is never read. TPOT is
(end_to_end_latency_s - ttft_s) / (output tokens - 1). Records are in order of completion, without a clock. An
``error_code`` marks a failed attempt (counted by code, its times ignored, which may be absent); 0, 200 and the like are
no errors (`says_no_error`). A success with a TTFT of 0 was not seen, and one without tokens too is none. The
``..._summary.json`` beside the records holds averages alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from discosim.core.errors import UserError, close_match
from discosim.core.json_text import read_json
from discosim.traces.readers.base import Bools, Floats, Ints, LatencySeries, Reader, Words
from discosim.traces.readers.columns import JsonColumn
from discosim.traces.readers.latency import series_of_attempts, tpot_of, word_of
from discosim.traces.readers.outcomes import SILENT, says_no_error, silent_failures, told_no_error
from discosim.traces.readers.runs import NothingSeenError, require_figure, rows_by_name, series_of_runs, unused_name
from discosim.traces.readers.source import is_tar, read_bytes, read_head, read_members, stem
from discosim.traces.readers.table import Table, names_in_order, read_table
from discosim.traces.readers.words import canonical

_TIMES = ("ttft_s", "end_to_end_latency_s")
_CSV_COLUMNS = (*_TIMES, "input_tokens", "output_tokens", "error_code")
_KEYS = (*_TIMES, "number_input_tokens", "number_output_tokens", "error_code")
_JSON_MARKS = (b'"ttft_s"', b'"end_to_end_latency_s"', b'"number_output_tokens"')
_SUMMARY_MARKS = (b'"results_ttft_s', b'"results_end_to_end_latency_s')
_SERVICE = re.compile(r"(.+)_(\d+b)")


def _codes(table: Table, name: str) -> tuple[Words, Words]:
    """Return the error codes as words, empty where there is no error, and the words that meant that there is none."""
    words = np.array([canonical(word) for word in table.words(name).tolist()], dtype=np.object_)
    none = np.array([says_no_error(word) for word in words], dtype=np.bool_)
    said = np.where(none, words, "").astype(np.object_)
    words[none] = ""
    return words, said


@dataclass(frozen=True, eq=False)
class _Columns:
    """All attempts of a table, in our units."""

    ttft_s: Floats
    tpot_s: Floats
    code: Words
    said: Words
    silent: Bools
    prompt_tok: Ints
    output_tok: Ints


def _columns(table: Table, keys: Sequence[str]) -> _Columns:
    ttft, e2e, prompt, output, error = keys
    code, said = _codes(table, error)
    ok = np.asarray(code == "")
    ttft_s, e2e_s = (table.numbers(name, lowest=0.0, only=ok, blank_ok=True) for name in (ttft, e2e))
    prompt_tok, output_tok = (table.counts(name, only=ok & ~table.columns[name].blank()) for name in (prompt, output))
    shorter = ok & (e2e_s < ttft_s)
    if shorter.any():
        i = int(np.argmax(shorter))
        e2e_cell, ttft_cell = (table.columns[name].cell(i) for name in (e2e, ttft))
        raise table.error(
            i,
            e2e,
            f"is below {ttft} ({e2e_cell} and {ttft_cell}); expected the whole request to take at least its TTFT: are "
            "the two columns in the same unit?",
        )
    silent, _ = silent_failures(ok, output_tok, ttft_s)
    code[silent] = SILENT
    tpot_s = tpot_of(e2e_s, ttft_s, output_tok.astype(np.float64))
    return _Columns(ttft_s, tpot_s, code, said, silent, prompt_tok, output_tok)


def _series(table: Table, columns: _Columns, group: str, rows: Ints) -> LatencySeries:
    is_failed = np.asarray(columns.code[rows] != "")
    ttft_s = columns.ttft_s[rows]
    if not is_failed.all():
        require_figure(("ttft_s",), bool((ttft_s[~is_failed] > 0).any()), table.columns, table.label, what="TTFT")
        n_tok = columns.output_tok[rows][~is_failed]
        counts = ("number_output_tokens", "output_tokens")
        require_figure(counts, bool(n_tok.any()), table.columns, table.label, what="count of tokens")
    said = told_no_error("error_code", [word for word in columns.said[rows].tolist() if word])
    return series_of_attempts(
        group,
        "llmperf",
        table.label,
        ttft_s=ttft_s,
        tpot_s=columns.tpot_s[rows],
        is_failed=is_failed,
        code=np.array([word_of(code) for code in columns.code[rows]], dtype=np.object_),
        prompt_tok=columns.prompt_tok[rows],
        output_tok=columns.output_tok[rows],
        prefix="failed_code_",
        warnings=(*said, *silent_failures(columns.silent[rows], None)[1]),
    )


def _group_of(name: str) -> str:
    plain = stem(Path(name))
    service = _SERVICE.fullmatch(plain)
    return f"{service[1]}/{service[2]}" if service else plain


def _from_json(raw: bytes, label: str) -> Table:
    """Return the records of one file: an array, one a line, or a single one."""
    try:
        held = read_json(raw, where=label, is_finite=False)
        places, word = None, "record"
    except UserError:
        if raw.lstrip().startswith(b"["):
            raise
        lines = [(i, line) for i, line in enumerate(raw.split(b"\n"), start=1) if line.strip()]
        if len(lines) < 2:
            raise
        held = [read_json(line, where=f"{label} row {i}", is_finite=False) for i, line in lines]
        places, word = [i for i, _ in lines], "row"
    _refuse_summary(held, label)
    records = [held] if isinstance(held, dict) else held
    if not isinstance(records, list):
        raise UserError("expected a JSON array of records", where=label)
    if not records:
        raise NothingSeenError("holds no records", where=label)
    numbers = np.array(places or range(1, len(records) + 1), dtype=np.int64)
    for number, record in zip(numbers, records, strict=True):
        where = f"{label} {word} {number}"
        if not isinstance(record, dict):
            raise UserError("expected a JSON object", where=where)
        missing = [key for key in _KEYS if key not in record]
        if missing and (record.get("error_code") is None):  # a failed attempt may lack the rest
            raise UserError(f"no key {missing[0]!r}; {close_match(missing[0], record)}", where=where)
    return Table(label, {key: JsonColumn([r.get(key) for r in records]) for key in _KEYS}, numbers, word)


def _refuse_summary(held: Any, label: str) -> None:
    inside = [held, *held.values()] if isinstance(held, dict) else []
    if any(isinstance(part, dict) and any(str(key).startswith("results_ttft_s") for key in part) for part in inside):
        raise UserError(
            "is LLMPerf's summary, which holds averages and quantiles alone; give the ..._individual_responses.json "
            "that was written beside it",
            where=label,
        )


def matches(head: bytes, path: Path) -> bool:
    """Recognise the keys of the records (also inside a tar), those of the summary, or the columns of the CSV."""
    start = head.lstrip()[:1]
    if is_tar(head) or start == b"[":
        return all(mark in head for mark in _JSON_MARKS)
    if start == b"{":
        return all(mark in head for mark in _JSON_MARKS) or any(mark in head for mark in _SUMMARY_MARKS)
    return _csv_names(names_in_order(head, path)) is not None


def _csv_names(header: Sequence[str]) -> tuple[str, ...] | None:
    return next((names for names in (_CSV_COLUMNS, _KEYS) if set(names) <= set(header)), None)


def read(path: Path) -> dict[str, LatencySeries]:
    """Read all services of the file, by group ``provider/model``, in the order of the file."""
    head = read_head(path)
    runs: dict[str, Callable[[], LatencySeries]] = {}
    if is_tar(head) or head.lstrip()[:1] in {b"[", b"{"}:
        members = read_members(path, re.compile(r"\.jsonl?$")) if is_tar(head) else {"": read_bytes(path)}
        for name, raw in members.items():
            label = f"{path}/{name}" if name else str(path)
            group = unused_name(_group_of(label), runs)
            runs[group] = partial(_whole, raw, label, group)
        return series_of_runs(runs, "llmperf", str(path), word="service")
    names = _csv_names(names_in_order(head, path)) or _CSV_COLUMNS
    table = read_table(path, names, ("provider", "model"))
    given = [table.words(name) for name in ("provider", "model") if table.has(name)]
    labels = ["/".join(parts) for parts in zip(*given, strict=True)] or [stem(path)] * len(table)
    columns = _columns(table, names)
    for group, rows in rows_by_name(labels).items():
        runs[group] = partial(_series, table, columns, group, rows)
    return series_of_runs(runs, "llmperf", str(path), word="service")


def _whole(raw: bytes, label: str, group: str) -> LatencySeries:
    table = _from_json(raw, label)
    return _series(table, _columns(table, _KEYS), group, np.arange(len(table)))


READER = Reader("llmperf", "LLMPerf per-request results (JSON, JSON lines, tar or CSV)", "latency", matches, read)
