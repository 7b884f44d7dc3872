"""Timings of llama.cpp's server and command line: lines of their logs, or the ``timings`` of answers, one a line.

Format: three lines a request in a log, ``prompt eval time = 126.53 ms / 27 tokens (...)``, ``eval time = 1234.00 ms /
64 tokens (...)`` and ``total time``; or JSON with ``prompt_n, prompt_ms, predicted_n, predicted_ms``, either under
``timings`` as /completion answers, or alone.
Origin: github.com/ggml-org/llama.cpp, ``tools/server/README.md`` and ``common/perf`` (MIT).
Quirks: ``prompt_n`` counts the tokens that were worked on, those from the cache not among them. The server's clock of
decoding starts with the first token, so that N tokens are N - 1 steps; the command line counts ``runs``, each a step.
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np

from discosim.core.errors import UserError
from discosim.core.json_text import read_json
from discosim.traces.readers.base import Bools
from discosim.traces.readers.device_rows import DeviceRows, device_rows
from discosim.traces.readers.head import first_keys
from discosim.traces.readers.source import read_bytes, stem
from discosim.traces.readers.text import require_utf8

NAME = "llama_server"
_PROMPT = re.compile(r"prompt eval time\s*=\s*([\d.]+|-?nan|inf)\s*ms\s*/\s*(\d+)\s*tokens")
_EVAL = re.compile(r"(?<!prompt )eval time\s*=\s*([\d.]+|-?nan|inf)\s*ms\s*/\s*(\d+)\s*(tokens|runs)")
_TOTAL = re.compile(r"total time\s*=\s*([\d.]+)\s*ms")
_ROUNDING_S = 2.5e-5
"""Distance of a total time from its two parts: three figures rounded to a hundredth of a ms."""
_LOAD = re.compile(r"load time\s*=\s*([\d.]+)\s*ms")
_KEYS = ("prompt_n", "prompt_ms", "predicted_n", "predicted_ms")
Prompt = tuple[float, float]
Answer = tuple[float, float, int]
Row = tuple[float, float, float, float, int]


def matches(head: bytes) -> bool:
    """Recognise a line of a log, or the keys of the timings."""
    if head.lstrip()[:1] in {b"{", b"["}:
        return "timings" in first_keys(head) or {"prompt_n", "prompt_ms"} <= first_keys(head)
    return b"prompt eval time" in head


def read(path: Path) -> dict[str, DeviceRows]:
    """Read all requests in the order of the file; answers whose prompt came whole from the cache are left out.

    Raises
    ------
    UserError
        If the file is damaged, or holds no timings.
    """
    text = require_utf8(read_bytes(path), str(path))
    load_s: float | None = None
    notes: list[str] = []
    if text.lstrip()[:1] in {"{", "["}:
        rows, model = _from_json(text, path)
    else:
        (rows, notes), model = _from_log(text), ""
        found = _LOAD.search(text)
        load_s = float(found[1]) / 1e3 if found else None
    if not rows:
        why = "".join(f": {note.rstrip('.')}" for note in notes)
        raise UserError(f"holds no timings of a request (prompt eval time and eval time){why}", where=str(path))
    prompt, prompt_s, later, decode_s, lines = (np.asarray(column, dtype=float) for column in zip(*rows, strict=True))
    cached: Bools = (prompt <= 1) | ~(prompt_s > 0)
    if cached.any() and not cached.all():
        notes.append(
            f"{int(cached.sum()):,} of {len(rows):,} prompts came from the cache: their first tokens are left out."
        )
    decoded = (later > 0) & (decode_s > 0)
    n = len(rows)
    columns = {
        "prompt_tok": np.where(cached, np.nan, prompt),
        "ttft_s": np.where(cached, np.nan, prompt_s),
        "total_s": np.where(cached | ~decoded, np.nan, prompt_s + decode_s),
        "decode_s": np.where(decoded, decode_s, np.nan),
        "later_tok": np.where(decoded, later, np.nan),
        "load_s": np.full(n, np.nan if load_s is None else load_s),
    }
    group = model or stem(path)
    rest: dict[str, Any] = {"source_row": lines.astype(np.int64), "model": model, "warnings": tuple(notes)}
    return {group: device_rows(group, n, columns, **rest)}


def _from_log(text: str) -> tuple[list[Row], list[str]]:
    """Return the requests of a log, and what was left out.

    Lines of one request follow one another, and a prompt without an answer was cancelled. Where two answers come with
    no prompt between, the lines of several slots are mixed: then the line of the total time says which prompt and which
    answer make one request; without it, nothing does.
    """
    rows: list[Row] = []
    prompts: list[Prompt] = []
    answers: list[Answer] = []
    is_mixed = _is_mixed(text)
    n_prompts = n_answers = 0
    for number, line in enumerate(text.split("\n"), start=1):
        if found := _PROMPT.search(line):
            n_prompts += 1
            if not is_mixed or (answers and len(answers) >= len(prompts)):  # nothing that comes belongs to what is open
                prompts, answers = [], []
            prompts.append((float(found[2]), float(found[1]) / 1e3))
        elif found := _EVAL.search(line):
            n_answers += 1
            answer = float(found[2]) - (found[3] == "tokens"), float(found[1]) / 1e3, number
            if len(prompts) == 1 and not answers:
                rows.append((*prompts.pop(), *answer))
            elif prompts:
                answers.append(answer)
        elif (found := _TOTAL.search(line)) and answers:
            total_s = float(found[1]) / 1e3
            fits = [(p, a) for p in prompts for a in answers if abs(p[1] + a[1] - total_s) <= _ROUNDING_S]
            if len(fits) == 1:
                prompt, answer = fits[0]
                rows.append((*prompt, *answer))
                prompts.remove(prompt)
                answers.remove(answer)
    told = []
    if n_prompts > len(rows):
        mixed = "lines of several slots are mixed, and no total time tells which belong together"
        why = mixed if is_mixed else "a prompt without an answer"
        lost = f"{n_prompts - len(rows):,} of {n_prompts:,} prompts and {n_answers - len(rows):,} of {n_answers:,}"
        told.append(f"{lost} answers are left out: {why}.")
    return [row for row in rows if np.isfinite(row[1]) and np.isfinite(row[3])], told


def _is_mixed(text: str) -> bool:
    """Tell whether somewhere two answers follow one another, with no prompt between them."""
    kinds = [bool(_PROMPT.search(line)) for line in text.split("\n") if _PROMPT.search(line) or _EVAL.search(line)]
    return any(not kind and not after for kind, after in itertools.pairwise(kinds))


def _from_json(text: str, path: Path) -> tuple[list[Row], str]:
    if text.lstrip().startswith("["):
        held = read_json(text, where=str(path))
        records = list(enumerate(held if isinstance(held, list) else [held], start=1))
    else:
        lines = enumerate(text.split("\n"), start=1)
        records = [(i, read_json(line, where=f"{path} row {i}")) for i, line in lines if line.strip()]
    rows: list[Row] = []
    models: set[str] = set()
    for number, record in records:
        where = f"{path} row {number}"
        if not isinstance(record, dict):
            raise UserError("expected a JSON object", where=where)
        timings = record.get("timings", record)
        if not isinstance(timings, dict) or "prompt_ms" not in timings:
            if "error" in record:
                continue
            raise UserError("no key 'timings' with prompt_n, prompt_ms, predicted_n, predicted_ms", where=where)
        values = []
        for key in _KEYS:
            value = timings.get(key)
            if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
                raise UserError(f"expected a number of at least 0, got {value!r}", where=f"{where} key {key}")
            values.append(float(value))
        rows.append((values[0], values[1] / 1e3, max(values[2] - 1, 0.0), values[3] / 1e3, number))
        models |= {record["model"]} if isinstance(record.get("model"), str) else set()
    if len(models) > 1:
        raise UserError(
            f"holds answers of {len(models)} models: {', '.join(sorted(models))}; keep one", where=str(path)
        )
    return rows, models.pop() if models else ""
