"""Results of ``vllm bench serve`` with ``--save-result --save-detailed`` (JSON, or a line a run).

Format: one object a run with lists over its requests, in the order of sending: ``ttfts`` and ``itls`` in s,
``input_lens``, ``output_lens``, ``errors``; ``model_id`` names the model. ``--append-result`` writes one
object a line.
Origin: github.com/vllm-project/vllm, ``vllm/benchmarks/serve.py`` (Apache-2.0); the format as read there.
Quirks: ``itls`` are gaps between chunks, and a chunk may hold several tokens; TPOT is their sum over
(output tokens - 1), which is (e2e - ttft) / (n - 1) however the tokens were packed. A failed request has a
text in ``errors``, a TTFT of 0 and no tokens. Without ``--save-detailed`` the file holds averages alone.
SGLang's ``bench_serving --output-details`` writes the same lists, a line a run, without the model's name.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from discosim.core.errors import UserError
from discosim.traces.readers.base import LatencySeries, Reader
from discosim.traces.readers.columns import JsonColumn
from discosim.traces.readers.latency import series_of_attempts
from discosim.traces.readers.source import read_bytes, stem
from discosim.traces.readers.table import Table, read_json_lines

_LISTS = ("input_lens", "output_lens", "ttfts", "itls", "errors")
_MARKS = (b'"total_input_tokens"', b'"request_throughput"', b'"input_lens"', b'"output_lens"', b'"ttfts"')


def _gaps_s(gaps: Any, where: str) -> float:
    """Return the sum of the gaps of one request, NaN where there is none."""
    if not isinstance(gaps, list):
        raise UserError(f"expected a list of gaps in s, got {json.dumps(gaps)[:40]}", where=where)
    for gap in gaps:
        if type(gap) not in {int, float} or not 0.0 <= gap < np.inf:
            raise UserError(f"expected gaps in s of at least 0, got {json.dumps(gap)[:40]}", where=where)
    return float(sum(gaps)) if gaps else np.nan


def _series(run: dict[str, Any], group: str, label: str) -> LatencySeries:
    missing = [name for name in _LISTS if not isinstance(run.get(name), list)]
    if missing:
        raise UserError(
            f"holds no list {missing[0]!r}, so no single requests; run `vllm bench serve` with "
            "--save-result --save-detailed",
            where=label,
        )
    sizes = {name: len(run[name]) for name in _LISTS}
    if len(set(sizes.values())) > 1:
        raise UserError(f"lists of unequal length: {sizes}", where=label)
    if not run["ttfts"]:
        raise UserError("holds no requests", where=label)
    columns = {name: JsonColumn(run[name]) for name in _LISTS}
    table = Table(label, columns, np.arange(1, len(run["ttfts"]) + 1), "record")
    is_failed = table.words("errors") != ""
    ok = ~is_failed
    ttft_s = table.numbers("ttfts", lowest=0.0, only=ok)
    output_tok = table.counts("output_lens", only=ok)
    later_s = np.array(
        [
            _gaps_s(gaps, f"{label} record {i} column itls") if good else np.nan
            for i, (gaps, good) in enumerate(zip(run["itls"], ok, strict=True), start=1)
        ]
    )
    tpot_s = np.full(later_s.shape, np.nan)
    np.divide(later_s, output_tok - 1.0, out=tpot_s, where=output_tok > 1)
    return series_of_attempts(
        group,
        "vllm",
        ttft_s=ttft_s,
        tpot_s=tpot_s,
        is_failed=is_failed,
        code=np.full(len(table), "error", dtype=np.object_),
        prompt_tok=table.counts("input_lens"),
        output_tok=output_tok,
    )


def _runs(raw: bytes, path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Return the runs of a file with the place of each: one object over many lines, or one a line."""
    try:
        whole = json.loads(raw)
    except (ValueError, RecursionError):
        lines = raw.split(b"\n")
        return [(f"{path} row {i}", json.loads(lines[i - 1])) for i in read_json_lines(raw, path, ()).lines]
    if not isinstance(whole, dict):
        raise UserError("expected a JSON object", where=str(path))
    return [(str(path), whole)]


def matches(head: bytes, _path: Path) -> bool:
    """Recognise the summary's keys, which come before the lists."""
    return head.lstrip().startswith(b"{") and sum(mark in head for mark in _MARKS) >= 2


def read(path: Path) -> dict[str, LatencySeries]:
    """Read all runs of the file, in its order: by model, or ``model#2`` and so on where it was run again."""
    raw = read_bytes(path)
    found: dict[str, LatencySeries] = {}
    for label, run in _runs(raw, path):
        model = run.get("model_id") if isinstance(run.get("model_id"), str) else stem(path)
        again = sum(name == model or name.startswith(f"{model}#") for name in found)
        group = f"{model}#{again + 1}" if again else f"{model}"
        found[group] = _series(run, group, label)
    return found


READER = Reader("vllm", "vllm bench serve --save-result --save-detailed, or SGLang's (JSON)", "latency", matches, read)
