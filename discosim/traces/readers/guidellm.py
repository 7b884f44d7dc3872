"""GuideLLM's report (``benchmarks.json``).

Format: ``benchmarks`` is a list of runs, each with ``requests`` by outcome (``successful``, ``incomplete``,
``errored``); a request has ``time_to_first_token_ms, inter_token_latency_ms, prompt_tokens, output_tokens``
and its start in s (``request_start_time``; in older reports ``start_time``).
Origin: github.com/vllm-project/guidellm, ``schemas/request_stats.py`` and, for 0.2, ``benchmark/benchmark.py``
(Apache-2.0); the format as read there.
Quirks: ``inter_token_latency_ms`` is (last - first) / (n - 1), our TPOT; ``time_per_output_token_ms`` contains the
TTFT and is never read. Version 0.2 writes 0 where there is no second token. ``info.timings.token_iterations`` counts
the chunks with text (since 0.4): where they outnumber the tokens, which a server's count or a second count of the
text can bring about, the chunks count. Incomplete requests were cut off by the end of the run: they are left out and
counted. A report holds a sample of each outcome by default, n successes and n failures: how many there were stands in
``metrics.request_totals`` (0.2: ``total_count``), which the failures are taken from.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np

from discosim.core.errors import UserError
from discosim.core.json_text import read_json
from discosim.traces.readers.base import Floats, LatencySeries, Reader
from discosim.traces.readers.columns import JsonColumn
from discosim.traces.readers.latency import is_one_token, series_of_attempts
from discosim.traces.readers.outcomes import SILENT, silent_failures
from discosim.traces.readers.runs import NothingSeenError, require_figure, series_of_runs
from discosim.traces.readers.source import read_bytes, stem
from discosim.traces.readers.table import Table

_TTFT, _TPOT = "time_to_first_token_ms", "inter_token_latency_ms"
_LENGTHS = ("prompt_tokens", "output_tokens")
_STARTS = ("request_start_time", "start_time")
_OUTCOMES = ("successful", "errored", "incomplete")
_TOTALS = (
    ("metrics", "request_totals"),
    ("request_totals",),
    ("total_count",),
    # these hold warm-up and cool-down too
    ("scheduler_metrics", "requests_made"),
    ("run_stats", "requests_made"),
)
_SAMPLING = (("config", "sample_requests"), ("args", "sample_requests"), ("args", "sample_size"))
_STRATEGIES = (("config", "strategy"), ("args", "strategy"), ("scheduler", "strategy"))
_LOADS = ("rate", "streams", "max_concurrency")
_MARKS = (
    b'"generative_benchmark"',
    b'"guidellm_version"',
    b'"generative_request_stats"',
    b'"generative_text_response"',
)
MANY_INCOMPLETE = 0.05


def _at(node: Any, *path: str) -> Any:
    """Return what stands under keys inside each other, None where one is missing."""
    for key in path:
        node = node.get(key) if isinstance(node, Mapping) else None
    return node


def _first(node: Any, paths: tuple[tuple[str, ...], ...]) -> Any:
    return next((held for path in paths if (held := _at(node, *path)) is not None), None)


def _outcomes(requests: dict[str, Any], label: str) -> dict[str, list[dict[str, Any]]]:
    """Return the requests that the report holds, by outcome."""
    held = {name: requests.get(name) or [] for name in _OUTCOMES}
    for name, records in held.items():
        if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
            raise UserError(f"expected a list of requests under {name!r}", where=label)
    return held


def _made(run: dict[str, Any], held: Mapping[str, list[dict[str, Any]]], label: str) -> dict[str, int]:
    """Return how many requests the run made, by outcome: at least those that the report holds."""
    totals = _first(run, _TOTALS)
    if totals is None:
        return {name: len(records) for name, records in held.items()}
    made = {}
    for name, records in held.items():
        number = _at(totals, name)
        number = 0 if number is None else number
        number = int(number) if type(number) is float and number.is_integer() else number
        if type(number) is not int or number < 0:
            got = json.dumps(number)[:40]
            raise UserError(f"expected a whole number of {name} requests in the totals, got {got}", where=label)
        made[name] = max(number, len(records))
    return made


def _sampled(
    held: Mapping[str, list[dict[str, Any]]], made: Mapping[str, int], asked: Any, *, has_totals: bool
) -> Iterator[str]:
    """Yield what of the run is not in the report."""
    n, of = len(held["successful"]), made["successful"]
    n_bad = len(held["errored"])
    asked = int(asked) if type(asked) is float and asked.is_integer() else asked
    if not has_totals and type(asked) is int and asked in {n, n_bad}:
        yield (
            f"The report holds {n:,} successes and {n_bad:,} failures, samples of each outcome (sample_requests: "
            f"{asked}) without the totals of the run: the share of failures is unknown, and that of the file says "
            "nothing."
        )
    if n < of:
        why = f" (sample_requests: {asked})" if type(asked) is int else ""
        yield (
            f"{n:,} of {of:,} successes are in the file{why}: a sample, whose tails and memory are not known; "
            f"failures are {made['errored']:,} of {of + made['errored']:,}, from the totals of the run."
        )
    if made["incomplete"] > MANY_INCOMPLETE * (of + made["errored"]):
        yield (
            f"{made['incomplete']:,} requests were cut off by the end of the run, beside {of + made['errored']:,} that "
            "ended: slow answers are missing among those that are left."
        )


def _column(records: list[dict[str, Any]], name: str) -> JsonColumn:
    return JsonColumn([record.get(name) for record in records])


def _tpot_by_chunks(tpot_ms: Floats, output_tok: Floats, records: list[dict[str, Any]]) -> tuple[Floats, int]:
    """Return TPOTs over the chunks where these outnumber the tokens, and for how many answers."""
    chunks = JsonColumn([_at(record, "info", "timings", "token_iterations") for record in records]).floats()
    more = (chunks > output_tok) & (output_tok > 1) & np.isfinite(tpot_ms)
    scale = np.ones(tpot_ms.size)
    np.divide(output_tok - 1.0, chunks - 1.0, out=scale, where=more)
    return tpot_ms * scale, int(more.sum())


def _series(run: dict[str, Any], asked: Any, group: str, label: str) -> LatencySeries:
    held = _outcomes(run.get("requests") or {}, label)
    made = _made(run, held, label)
    records = held["successful"] + held["errored"]
    if not held["successful"] and made["successful"]:
        sampling = f"sample_requests: {asked}" if type(asked) is int else "they were sampled"
        raise NothingSeenError(
            f"holds none of the {made['successful']:,} successful requests of the run ({sampling}); run GuideLLM again "
            "and let it keep them",
            where=label,
        )
    if not records:
        raise NothingSeenError("holds no successful or errored requests", where=label)
    start = next((key for key in _STARTS if any(key in record for record in records)), _STARTS[0])
    columns = {name: _column(records, name) for name in (_TTFT, _TPOT, *_LENGTHS, start)}
    table = Table(label, columns, np.arange(1, len(records) + 1), "record")
    is_failed = np.arange(len(records)) >= len(held["successful"])
    ok = ~is_failed
    ttft_ms, tpot_ms = (table.numbers(name, lowest=0.0, only=ok, blank_ok=True) for name in (_TTFT, _TPOT))
    prompt_tok, output_tok = (table.counts(name, only=ok & ~table.columns[name].blank()) for name in _LENGTHS)
    if ok.any():
        names = {key for record in held["successful"] for key in record}
        for name, times, what in ((_TTFT, ttft_ms, "TTFT"), (_TPOT, tpot_ms, "time per token")):
            seen = bool((times[ok] > 0).any()) or (name == _TPOT and is_one_token(ok, output_tok))
            require_figure((name,), seen, names, label, what=what)
    tpot_ms, n_recounted = _tpot_by_chunks(tpot_ms, output_tok.astype(np.float64), records)
    silent, told = silent_failures(ok, output_tok, ttft_ms, tpot_ms)
    is_failed, code = is_failed | silent, np.where(silent, SILENT, "error").astype(np.object_)
    n_silent = int(silent.sum())
    starts = table.numbers(start, blank_ok=True)
    order = np.argsort(np.nan_to_num(starts, nan=np.inf), kind="stable")
    stated_ms = _first(run, (("metrics", _TTFT, "successful", "median"),))
    n_made, n_failed = made["successful"] + made["errored"], made["errored"] + n_silent
    return series_of_attempts(
        group,
        "guidellm",
        label,
        ttft_s=ttft_ms[order] / 1000.0,
        tpot_s=tpot_ms[order] / 1000.0,
        is_failed=is_failed[order],
        code=code[order],
        prompt_tok=prompt_tok[order],
        output_tok=output_tok[order],
        n_recounted=n_recounted,
        totals=(n_made, n_failed) if n_made > len(records) else None,
        unit_s=1e-3,
        start_s=(starts - np.nanmin(starts))[order] if np.isfinite(starts).any() else None,
        concurrency=_concurrency(run),
        stated_ttft_s=stated_ms / 1000.0 if type(stated_ms) in {int, float} and 0 < stated_ms < 1e300 else None,
        counts={"run_attempts": n_made, "run_failed": n_failed, "dropped_incomplete": made["incomplete"]},
        warnings=(*told, *_sampled(held, made, asked, has_totals=_first(run, _TOTALS) is not None)),
    )


def _concurrency(run: dict[str, Any]) -> int | None:
    """Return how many requests a run kept in flight, where its strategy says so."""
    strategy = _first(run, _STRATEGIES)
    kind = _at(strategy, "type_")
    if kind == "synchronous":
        return 1
    size = _at(strategy, "streams") if kind == "concurrent" else None
    return size if type(size) is int and size > 0 else None


def _load(run: dict[str, Any]) -> str:
    """Return how requests were sent in a run, for its name: ``constant@2.5`` for instance, or ''."""
    strategy = _first(run, _STRATEGIES)
    kind = _at(strategy, "type_")
    if not isinstance(kind, str) or not kind.strip():
        return ""
    size = next((strategy[key] for key in _LOADS if type(strategy.get(key)) in {int, float}), None)
    return f" {kind.strip()}" + ("" if size is None else f"@{size:g}")


def matches(head: bytes, _path: Path) -> bool:
    """Recognise the words that only GuideLLM's reports hold."""
    return head.lstrip().startswith(b"{") and b'"benchmarks"' in head and any(mark in head for mark in _MARKS)


def read(path: Path) -> dict[str, LatencySeries]:
    """Read all runs of the report.

    A single run is called as the file's stem; of several, each is ``stem#1``, ``stem#2`` and so on, with the load
    behind it where the report says it (``stem#2 constant@2.5``).
    """
    report = read_json(read_bytes(path), where=str(path), is_finite=False)
    runs = report.get("benchmarks") if isinstance(report, dict) else None
    if not isinstance(runs, list) or not runs:
        raise UserError("expected a list of runs under 'benchmarks'", where=str(path))
    found: dict[str, Callable[[], LatencySeries]] = {}
    for number, run in enumerate(runs, start=1):
        label = f"{path} benchmarks[{number - 1}].requests"
        if not isinstance(run, dict) or not isinstance(run.get("requests"), dict | NoneType):
            raise UserError("expected requests by outcome (successful, errored, incomplete)", where=label)
        group = stem(path) if len(runs) == 1 else f"{stem(path)}#{number}{_load(run)}"
        asked = _first(run, _SAMPLING)
        asked = _first(report, _SAMPLING) if asked is None else asked
        found[group] = partial(_series, run, asked, group, label)
    return series_of_runs(found, "guidellm", str(path))


READER = Reader("guidellm", "GuideLLM's report of single requests (benchmarks.json)", "latency", matches, read)
