"""GuideLLM's report (``benchmarks.json``).

Format: ``benchmarks`` is a list of runs, each with ``requests`` by outcome (``successful``, ``incomplete``,
``errored``); a request has ``time_to_first_token_ms, inter_token_latency_ms, prompt_tokens, output_tokens``
and its start in s (``request_start_time``; in older reports ``start_time``).
Origin: github.com/vllm-project/guidellm, ``schemas/request_stats.py`` (Apache-2.0); the format as read there.
Quirks: ``inter_token_latency_ms`` is (last - first) / (n - 1), our TPOT; ``time_per_output_token_ms`` contains
the TTFT and is never read. Incomplete requests were cut off by the end of the run: they are left out and
counted. A report may hold a sample of its requests; failures are then those of the sample.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from discosim.core.errors import UserError
from discosim.traces.readers.base import LatencySeries, Reader
from discosim.traces.readers.latency import series_of_attempts
from discosim.traces.readers.source import read_bytes, stem
from discosim.traces.readers.table import table_of_records

_TIMES = ("time_to_first_token_ms", "inter_token_latency_ms")
_LENGTHS = ("prompt_tokens", "output_tokens")
_STARTS = ("request_start_time", "start_time")
_MARKS = (b'"generative_benchmark"', b'"guidellm_version"', b'"generative_request_stats"')


def _series(requests: dict[str, Any], group: str, label: str) -> LatencySeries:
    outcome = {name: requests.get(name) or [] for name in ("successful", "errored", "incomplete")}
    for name, records in outcome.items():
        if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
            raise UserError(f"expected a list of requests under {name!r}", where=label)
    records = [{**record, "failed": False} for record in outcome["successful"]]
    records += [{**record, "failed": True} for record in outcome["errored"]]
    if not records:
        raise UserError("holds no successful or errored requests", where=label)
    start = next((key for key in _STARTS if key in records[0]), _STARTS[0])
    needed = (*_TIMES, *_LENGTHS, start, "failed")
    filled = [{**dict.fromkeys(needed), **record} if record["failed"] else record for record in records]
    table = table_of_records(filled, np.arange(1, len(filled) + 1), label, needed, (), "record")
    is_failed = np.array([bool(record["failed"]) for record in records])
    ok = ~is_failed
    start_s = table.numbers(start, blank_ok=True)
    order = np.argsort(np.nan_to_num(start_s, nan=np.inf), kind="stable")
    ttft_s, tpot_s = (table.numbers(name, lowest=0.0, only=ok, blank_ok=True) / 1000.0 for name in _TIMES)
    prompt_tok, output_tok = (table.counts(name, only=ok & ~table.columns[name].blank()) for name in _LENGTHS)
    return series_of_attempts(
        group,
        "guidellm",
        ttft_s=ttft_s[order],
        tpot_s=tpot_s[order],
        is_failed=is_failed[order],
        code=np.full(len(table), "error", dtype=np.object_),
        prompt_tok=prompt_tok[order],
        output_tok=output_tok[order],
        dropped={"dropped_incomplete": len(outcome["incomplete"])},
    )


def matches(head: bytes, _path: Path) -> bool:
    """Recognise the words that only GuideLLM's reports hold."""
    return head.lstrip().startswith(b"{") and b'"benchmarks"' in head and any(mark in head for mark in _MARKS)


def read(path: Path) -> dict[str, LatencySeries]:
    """Read all runs of the report: the file's stem, or ``stem#1``, ``stem#2`` and so on where it holds several."""
    try:
        report = json.loads(read_bytes(path))
    except (ValueError, RecursionError) as error:
        raise UserError(f"is not JSON: {error}", where=str(path)) from None
    runs = report.get("benchmarks") if isinstance(report, dict) else None
    if not isinstance(runs, list) or not runs:
        raise UserError("expected a list of runs under 'benchmarks'", where=str(path))
    found = {}
    for number, run in enumerate(runs, start=1):
        label = f"{path} benchmarks[{number - 1}].requests"
        requests = run.get("requests") if isinstance(run, dict) else None
        if not isinstance(requests, dict):
            raise UserError("expected requests by outcome (successful, errored, incomplete)", where=label)
        group = stem(path) if len(runs) == 1 else f"{stem(path)}#{number}"
        found[group] = _series(requests, group, label)
    return found


READER = Reader("guidellm", "GuideLLM's report of single requests (benchmarks.json)", "latency", matches, read)
