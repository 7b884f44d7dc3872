"""Results of ``vllm bench serve`` with ``--save-result --save-detailed`` (JSON, or a line a run).

Format: one object a run with lists over its requests, in the order of sending: ``ttfts`` and ``itls`` in s,
``input_lens``, ``output_lens``, ``errors``; ``model_id`` names the model. ``--append-result`` writes one
object a line.
Origin: github.com/vllm-project/vllm, ``vllm/benchmarks/serve.py`` (Apache-2.0); the format as read there.
Quirks: ``itls`` are gaps between chunks, and a chunk may hold several tokens; TPOT is their sum over
(output tokens - 1), which is (e2e - ttft) / (n - 1) however the tokens were packed. Where a server sends no count, the
finished text is counted again and comes out shorter: then the gaps count (`tokens_by_gaps`). A failed request has a
text in ``errors``, a TTFT of 0 and no tokens; the text may be empty, or the list absent: no tokens, no gaps and no TTFT
are no success. A success with a TTFT of 0 and tokens was not seen. Without ``--save-detailed`` the file holds averages
alone.
SGLang's ``bench_serving --output-details`` writes the same lists, a line a run, without the model's name.
``start_times`` (newer versions of vLLM) are those of sending, in s of a clock from no known zero, and make the run a
workload too. A run at an infinite rate without a limit of concurrency sends all requests at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from discosim.core.errors import MANY, UserError
from discosim.core.json_text import read_json
from discosim.traces.readers.base import Bools, Floats, LatencySeries, Reader, Words
from discosim.traces.readers.columns import JsonColumn
from discosim.traces.readers.latency import is_one_token, series_of_attempts, tokens_by_gaps
from discosim.traces.readers.outcomes import SILENT, says_no_error, silent_failures, told_no_error
from discosim.traces.readers.runs import NothingSeenError, require_figure, series_of_runs, unused_name
from discosim.traces.readers.source import first_line, read_bytes, stem
from discosim.traces.readers.table import Table

_LISTS = ("input_lens", "output_lens", "ttfts", "itls")
_NAMED_ALIKE = {
    "ttfts": ("ttft", "ttft_s", "ttfts_s"),
    "itls": ("itl", "tpots", "tpot", "tbts", "inter_token_latencies"),
}
_MARKS = (b'"total_input_tokens"', b'"request_throughput"', b'"input_lens"', b'"output_lens"', b'"ttfts"')
_STARTS = "start_times"
_SETTINGS = ("request_rate", "max_concurrency", "num_prompts")
_LARGEST = 1e300


def _gaps(gaps: Any, where: str) -> list[float]:
    """Return the gaps of one request, checked."""
    if not isinstance(gaps, list):
        raise UserError(f"expected a list of gaps in s, got {json.dumps(gaps)[:40]}", where=where)
    for gap in gaps:
        if type(gap) not in {int, float} or not 0.0 <= gap < _LARGEST:
            raise UserError(f"expected gaps in s of at least 0, got {json.dumps(gap)[:40]}", where=where)
    return gaps


def _lists(run: dict[str, Any], label: str) -> Table:
    """Return the lists over requests as a table."""
    missing = [name for name in _LISTS if not isinstance(run.get(name), list)]
    held = [name for name, value in run.items() if isinstance(value, list)]
    if len(missing) == len(_LISTS) or (missing and not held):
        raise NothingSeenError(
            f"holds no list {missing[0]!r}, so no single requests; run `vllm bench serve` with "
            "--save-result --save-detailed",
            where=label,
        )
    if missing:
        near = [name for name in _NAMED_ALIKE.get(missing[0], ()) if name in held]
        near = near or get_close_matches(missing[0], held, n=3, cutoff=0.6)
        there = f"nearest names: {', '.join(near)}" if near else f"its lists are: {', '.join(held[:MANY])}"
        raise NothingSeenError(
            f"holds no list {missing[0]!r}; {there}; run a newer `vllm bench serve` with --save-result --save-detailed",
            where=label,
        )
    names = [*_LISTS, *(name for name in ("errors", _STARTS) if isinstance(run.get(name), list))]
    sizes = {name: len(run[name]) for name in names}
    if len(set(sizes.values())) > 1:
        raise UserError(f"lists of unequal length: {sizes}", where=label)
    if not run["ttfts"]:
        raise NothingSeenError("holds no requests", where=label)
    columns = {name: JsonColumn(run[name]) for name in names}
    return Table(label, columns, np.arange(1, len(run["ttfts"]) + 1), "record")


def _total(run: dict[str, Any], name: str, label: str) -> int | None:
    """Return one of the file's own counts, None where it has none."""
    value = run.get(name)
    if value is not None and (type(value) is not int or value < 0):
        raise UserError(f"expected a whole number of requests, got {json.dumps(value)[:40]}", where=f"{label} {name}")
    return value


def _failures(run: dict[str, Any], table: Table, label: str) -> tuple[Bools, Words, list[str]]:
    """Return which requests failed, a word for each, and what to say: by their text, or by what was not seen."""
    errors = run.get("errors")
    said = []
    if errors is None:
        is_failed = np.zeros(len(table), dtype=np.bool_)
        said.append("The file holds no list 'errors': requests that failed are told by their lack of tokens alone.")
    elif isinstance(errors, list):
        for i, text in enumerate(errors):
            if text is not None and not isinstance(text, str):
                raise table.error(i, "errors", f"expected a text, empty for a success, got {json.dumps(text)[:40]}")
        words = table.words("errors").tolist()
        is_failed = np.array([not says_no_error(word) for word in words], dtype=np.bool_)
        said += told_no_error("errors", [w for w, bad in zip(words, is_failed, strict=True) if w and not bad])
    else:
        raise UserError(f"expected a list of texts, got {json.dumps(errors)[:40]}", where=f"{label} errors")
    word = np.full(len(table), "error", dtype=np.object_)
    n_tok, ttft_s = table.columns["output_lens"].floats(), table.columns["ttfts"].floats()
    no_gaps = np.array([not isinstance(gaps, list) or not any(gaps) for gaps in run["itls"]])
    silent, told = silent_failures(~is_failed & no_gaps & ~(n_tok > 0), None, ttft_s)
    word[silent] = SILENT
    return is_failed | silent, word, [*said, *told]


def _totals(
    run: dict[str, Any], is_failed: Bools, completed: int | None, label: str
) -> tuple[tuple[int, int] | None, Iterator[str]]:
    """Return attempts and failures of the whole run where the lists hold fewer, and what contradicts the lists."""
    n, n_ok = is_failed.size, int((~is_failed).sum())
    failed, sent = _total(run, "failed", label), _total(run, "num_prompts", label)
    if completed is None:
        return None, iter(())
    attempts = completed + failed if failed is not None else max(sent or 0, completed)
    if attempts > n and completed >= n_ok:
        doubt = f"The lists hold {n:,} of the {attempts:,} requests of the run; failures are those of the whole run."
        return (attempts, attempts - completed), iter((doubt,))
    if completed != n_ok:
        return None, iter(
            (f"The file says that {completed:,} requests were completed; its lists hold {n_ok:,} successes.",)
        )
    return None, iter(())


def _start_s(run: dict[str, Any], table: Table, ok: Bools) -> tuple[Floats | None, tuple[str, ...]]:
    """Return when each request was sent, from the first on, and what was taken for granted; None where unknown."""
    if table.has(_STARTS):
        ticks = table.numbers(_STARTS, lowest=0.0, only=ok, blank_ok=True)
        ticks = np.where(ok & (ticks > 0), ticks, np.nan)  # 0 is what a request that was never sent has
        return (ticks - np.nanmin(ticks), ()) if np.isfinite(ticks).any() else (None, ())
    rate = run.get("request_rate")
    if "max_concurrency" in run and run["max_concurrency"] is None and rate in {"inf", float("inf")}:
        return np.zeros(len(table)), ("Sent at an infinite rate without a limit of concurrency: all at once.",)
    return None, ()


def _series(run: dict[str, Any], group: str, label: str) -> LatencySeries:
    table = _lists(run, label)
    completed = _total(run, "completed", label)
    is_failed, word, said = _failures(run, table, label)
    ok = ~is_failed
    ttft_s = table.numbers("ttfts", lowest=0.0, only=ok, blank_ok=True)
    stated_tok = table.counts("output_lens", only=ok)
    output_tok = stated_tok.copy()
    later_s = np.full(len(table), np.nan)
    for i in np.flatnonzero(ok).tolist():
        gaps = _gaps(run["itls"][i], f"{label} record {i + 1} column itls")
        if gaps:
            later_s[i], output_tok[i] = sum(gaps), tokens_by_gaps(int(stated_tok[i]), gaps)
    tpot_s = np.full(later_s.shape, np.nan)
    np.divide(later_s, output_tok - 1.0, out=tpot_s, where=output_tok > 1)
    if ok.any():
        advice = "were the answers streamed?"
        require_figure(("ttfts",), bool((ttft_s[ok] > 0).any()), run, label, what="TTFT", advice=advice)
        has_gaps = bool((later_s > 0).any()) or is_one_token(ok, stated_tok)
        require_figure(("itls",), has_gaps, run, label, what="gap", advice=advice)
    start_s, taken = _start_s(run, table, ok)
    level = run.get("max_concurrency")
    totals, contradictions = _totals(run, is_failed, completed, label)
    settings = {name: run[name] for name in _SETTINGS if type(run.get(name)) in {int, float, str}}
    return series_of_attempts(
        group,
        "vllm",
        label,
        ttft_s=ttft_s,
        tpot_s=tpot_s,
        is_failed=is_failed,
        code=word,
        prompt_tok=table.counts("input_lens", only=ok),
        output_tok=output_tok,
        n_recounted=int((output_tok > stated_tok).sum()),
        totals=totals,
        run_s=_positive(run.get("duration")),
        stated_ttft_s=_positive(run.get("median_ttft_ms"), 1e-3),
        start_s=start_s,
        concurrency=level if type(level) is int and level > 0 else None,
        counts=settings,
        warnings=(*said, *contradictions, *taken),
    )


def _positive(value: Any, unit_s: float = 1.0) -> float | None:
    """Return a figure of the summary in s; None where it is absent or none."""
    return value * unit_s if type(value) in {int, float} and 0 < value < _LARGEST else None


def _runs(raw: bytes, path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Return the runs of a file with the place of each: one object over many lines, or one a line."""
    try:
        held = [(str(path), read_json(raw, where=str(path), is_finite=False))]
    except UserError:
        lines = [(i, line) for i, line in enumerate(raw.split(b"\n"), start=1) if line.strip()]
        if len(lines) < 2 or not first_line(lines[0][1]).rstrip().endswith("}"):
            raise
        held = [
            (place, read_json(line, where=place, is_finite=False)) for i, line in lines for place in [f"{path} row {i}"]
        ]
    for place, run in held:
        if not isinstance(run, dict):
            raise UserError("expected a JSON object", where=place)
    return held


def matches(head: bytes, _path: Path) -> bool:
    """Recognise the summary's keys, which come before the lists."""
    return head.lstrip().startswith(b"{") and sum(mark in head for mark in _MARKS) >= 2


def read(path: Path) -> dict[str, LatencySeries]:
    """Read all runs of the file, in its order: by model, or ``model#2`` and so on where it was run again."""
    runs: dict[str, Callable[[], LatencySeries]] = {}
    for label, run in _runs(read_bytes(path), path):
        model = run.get("model_id")
        group = unused_name(model if isinstance(model, str) and model.strip() else stem(path), runs)
        runs[group] = partial(_series, run, group, label)
    return series_of_runs(runs, "vllm", str(path))


READER = Reader("vllm", "vllm bench serve --save-result --save-detailed, or SGLang's (JSON)", "latency", matches, read)
