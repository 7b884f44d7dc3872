"""LLMPerf per-request results (JSON, a tar of them, or one CSV).

Format: a JSON array of records with ``error_code, ttft_s, end_to_end_latency_s, number_input_tokens,
number_output_tokens``; the leaderboard packs one file per service (``provider_size.json``); the CSV has
columns ``provider, model, ttft_s, end_to_end_latency_s, input_tokens, output_tokens, error_code``.
Origin: github.com/ray-project/llmperf-leaderboard, ``raw_data/individual`` (Apache-2.0).
Quirks: ``inter_token_latency_s`` is the end-to-end time over the tokens, so it contains the TTFT; it is
never read. TPOT is (end_to_end_latency_s - ttft_s) / (output tokens - 1). Records are in order of
completion, without a clock. An ``error_code`` marks a failed attempt (counted by code, its times ignored).
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from discosim.traces.readers.base import Bools, LatencySeries, Reader
from discosim.traces.readers.latency import tpot_of
from discosim.traces.readers.source import is_tar, read_bytes, read_head, read_members, stem
from discosim.traces.readers.table import Table, header_of, read_csv, read_json_records

_CSV_COLUMNS = ("ttft_s", "end_to_end_latency_s", "input_tokens", "output_tokens", "error_code")
_JSON_KEYS = ("ttft_s", "end_to_end_latency_s", "number_input_tokens", "number_output_tokens", "error_code")
_JSON_MARKS = (b'"ttft_s"', b'"end_to_end_latency_s"', b'"number_output_tokens"')
_SERVICE = re.compile(r"(.+)_(\d+b)")


def _series(table: Table, keys: tuple[str, ...], group: str, rows: Bools) -> LatencySeries:
    ttft, e2e, prompt, output, error = keys
    is_failed = ~table.columns[error].blank()[rows]
    ok = rows.copy()
    ok[rows] = ~is_failed
    ttft_s = table.numbers(ttft, lowest=0.0, only=ok)[ok]
    e2e_all = table.numbers(e2e, lowest=0.0, only=ok)
    output_tok = table.counts(output, only=ok)[ok]
    prompt_tok = table.counts(prompt, only=ok)[ok]
    shorter = e2e_all[ok] < ttft_s
    if shorter.any():
        i = int(np.flatnonzero(ok)[np.argmax(shorter)])
        raise table.error(i, e2e, f"is below {ttft}; expected the whole request to take at least its TTFT")
    tpot_s = tpot_of(e2e_all[ok], ttft_s, output_tok.astype(np.float64))
    measured = np.isfinite(tpot_s)
    codes, counts = np.unique(table.words(error)[rows][is_failed].astype(np.str_), return_counts=True)
    return LatencySeries(
        group=group,
        ttft_s=ttft_s[measured],
        tpot_s=tpot_s[measured],
        attempt=np.flatnonzero(~is_failed)[measured],
        is_failed=is_failed,
        prompt_tok=prompt_tok[measured],
        output_tok=output_tok[measured],
        notes={
            "format": "llmperf",
            "attempts": int(rows.sum()),
            "failed": int(is_failed.sum()),
            "dropped_no_tpot": int((~measured).sum()),
            **{f"failed_code_{code}": int(n) for code, n in zip(codes, counts, strict=True)},
        },
    )


def _group_of(name: str) -> str:
    plain = stem(Path(name))
    service = _SERVICE.fullmatch(plain)
    return f"{service[1]}/{service[2]}" if service else plain


def _from_json(raw: bytes, label: str) -> LatencySeries:
    table = read_json_records(raw, label, _JSON_KEYS)
    return _series(table, _JSON_KEYS, _group_of(label), np.ones(len(table), dtype=np.bool_))


def matches(head: bytes, _path: Path) -> bool:
    """Recognise the keys of the records (also inside a tar) or the columns of the CSV."""
    if is_tar(head) or head.lstrip().startswith(b"["):
        return all(mark in head for mark in _JSON_MARKS)
    return set(_CSV_COLUMNS) <= set(header_of(head))


def read(path: Path) -> dict[str, LatencySeries]:
    """Read all services of the file, by group ``provider/model``, in the order of the file."""
    head = read_head(path)
    if is_tar(head):
        members = read_members(path, re.compile(r"\.json$"))
        found = [_from_json(raw, f"{path}/{name}") for name, raw in members.items()]
        return {series.group: series for series in found}
    if head.lstrip().startswith(b"["):
        series = _from_json(read_bytes(path), str(path))
        return {series.group: series}
    table = read_csv(read_bytes(path), path, _CSV_COLUMNS, ("provider", "model"))
    names = [table.words(name) for name in ("provider", "model") if table.has(name)]
    labels = np.array(["/".join(parts) for parts in zip(*names, strict=True)] or [stem(path)] * len(table))
    groups = dict.fromkeys(labels.tolist())
    return {group: _series(table, _CSV_COLUMNS, group, labels == group) for group in groups}


READER = Reader("llmperf", "LLMPerf per-request results (JSON, tar or CSV)", "latency", matches, read)
