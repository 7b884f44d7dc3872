"""Results of llama-bench: JSON, JSON lines, CSV, or the table of Markdown that it prints.

Format: a row a test, ``pp512`` (a prompt of 512 tokens is read), ``tg128`` (128 tokens are decoded) or ``pp512+tg128``
(both), with the mean speed of some repetitions and its deviation; JSON holds the repetitions too (``samples_ns``).
Origin: github.com/ggml-org/llama.cpp, ``tools/llama-bench/README.md`` (MIT).
Quirks: a log may stand around all of them. Rows differ by any setting (model, backend, threads, batch, cache type):
each set of settings is a group of its own, and a test that stands again with another speed is of another run. Tests
behind a filled context (``@ d4096``, ``n_depth``) are left out: a profile knows no depth.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from discosim.core.errors import UserError
from discosim.traces.readers.bench_log import KEYS, csv_at, has_table, is_head_of_table, json_alone, json_at
from discosim.traces.readers.device_rows import DeviceRows, device_rows
from discosim.traces.readers.device_table import MOST_PREFILL_TOK_PER_S, SHORTEST_GAP_S
from discosim.traces.readers.head import first_keys
from discosim.traces.readers.source import HEAD_BYTES, read_bytes
from discosim.traces.readers.table import header_of, read_csv
from discosim.traces.readers.table_json import read_json_lines
from discosim.traces.readers.text import require_utf8

NAME = "llama_bench"
N_REPETITIONS = 5
"""Repetitions that a row of mean and deviation stands for: llama-bench's default (``-r 5``)."""
MOST_APART = 0.1
"""Difference of the repetitions' mean speed and the one beside them that is taken for rounding. Source: our choice."""
SAME_RUN = 1.25
"""Speeds of one test over each other up to which its rows are pooled. Source: our choice; repetitions of a device
that is neither hot nor busy differ by some per cent."""
_SCORES = np.array([-1.16305, -0.49502, 0.0, 0.49502, 1.16305])
"""Mean order statistics of five normal values."""
_RESULTS = frozenset(
    {
        *("n_prompt", "n_gen", "n_depth", "test_time", "avg_ns", "stddev_ns", "avg_ts", "stddev_ts"),
        *("samples_ns", "samples_ts", "test", "t/s", "model_size", "model_n_params", "size", "params", "build_number"),
    }
)
_NAMED = ("model_type", "model_filename", "model", "backends", "backend", "gpu_info", "cpu_info")
_TEST = re.compile(r"(?:pp(\d+))?(?:\s*\+\s*)?(?:tg(\d+))?(?:\s*@\s*d(\d+))?")
_SPEED = re.compile(r"([\d.]+(?:[eE][+-]?\d+)?)\s*(?:±|\+-|\+/-)\s*([\d.]+(?:[eE][+-]?\d+)?)")


@dataclass(frozen=True)
class _Test:
    """One row: what was done, its repetitions in s, and the settings."""

    prompt_tok: int
    gen_tok: int
    depth_tok: int
    times_s: tuple[float, ...]
    is_summary: bool
    settings: Mapping[str, str]
    params_b: float | None
    line: int

    @property
    def name(self) -> str:
        """As llama-bench calls it."""
        parts = ((self.prompt_tok, "pp"), (self.gen_tok, "tg"))
        return "+".join(f"{word}{tok}" for tok, word in parts if tok)

    @property
    def tok_per_s(self) -> float:
        """Median speed of its repetitions."""
        return (self.prompt_tok + self.gen_tok) / float(np.median(self.times_s))


def matches(head: bytes) -> bool:
    """Recognise its JSON, its CSV or its table of Markdown, wherever in a log or a text they begin."""
    return has_table(head) or json_at(head) is not None or csv_at(head) is not None


def read(path: Path) -> dict[str, DeviceRows]:
    """Read all tests, by what they ran on what, in the order of the file.

    Raises
    ------
    UserError
        If the file is cut or damaged, or no test stands at depth 0.
    """
    raw = read_bytes(path)
    head = raw[:HEAD_BYTES]
    if (at := json_at(head)) is not None:
        tests = _from_json(json_alone(raw, at), path)
    elif has_table(head):
        tests = _from_markdown(require_utf8(raw, str(path)), path)
    elif raw.lstrip()[:1] in {b"{", b"["}:
        tests = _from_json(raw, path)
    else:
        tests = _from_csv(raw[csv_at(head) or 0 :], path)
    flat = [test for test in tests if test.depth_tok == 0]
    notes = []
    if len(flat) < len(tests):
        notes.append(f"{len(tests) - len(flat)} tests behind a filled context (@ d...) are left out.")
    if not flat:
        raise UserError("every test is behind a filled context (@ d...), none at depth 0", where=str(path))
    groups: dict[str, list[_Test]] = {}
    varying = _varying(flat)
    for test in flat:
        groups.setdefault(_label(test, varying), []).append(test)
    found: dict[str, DeviceRows] = {}
    for group, held in groups.items():
        runs, said = _runs(held)
        for number, run in enumerate(runs, start=1):
            name = group if len(runs) == 1 else f"{group} / run {number}"
            found[name] = _rows(name, run, (*notes, *said))
    return found


def _runs(tests: list[_Test]) -> tuple[list[list[_Test]], tuple[str, ...]]:
    """Return tests of one group apart by run, where a test stands again with another speed, and what was pooled."""
    by_kind: dict[str, list[_Test]] = {}
    for test in tests:
        by_kind.setdefault(test.name, []).append(test)
    again = {name: held for name, held in by_kind.items() if len(held) > 1}
    said = tuple(
        f"{name} stands {len(held)} times (rows {', '.join(str(test.line) for test in held)}): pooled."
        for name, held in again.items()
    )
    speeds = {name: [test.tok_per_s for test in held] for name, held in again.items()}
    if all(max(held) <= SAME_RUN * min(held) for held in speeds.values()):
        return [tests], said
    n_runs = max(map(len, again.values()))
    return [[held[i] for held in by_kind.values() if i < len(held)] for i in range(n_runs)], ()


def _varying(tests: list[_Test]) -> list[str]:
    keys = dict.fromkeys(key for test in tests for key in test.settings)
    return [key for key in keys if len({test.settings.get(key, "") for test in tests}) > 1]


def _label(test: _Test, varying: list[str]) -> str:
    named = [test.settings[key] for key in ("model_type", "model") if test.settings.get(key)][:1]
    named += [test.settings[key] for key in ("backends", "backend") if test.settings.get(key)][:1]
    rest = [f"{key}={test.settings.get(key, '')}" for key in varying if key not in {*_NAMED[:1], *_NAMED[2:5]}]
    return " / ".join([" ".join(named), *rest]) if named or rest else "llama-bench"


def _rows(group: str, tests: list[_Test], notes: tuple[str, ...]) -> DeviceRows:
    columns: dict[str, list[float]] = {
        name: [] for name in ("prompt_tok", "ttft_s", "total_s", "decode_s", "later_tok")
    }
    lines = []
    for test in tests:
        for time_s in test.times_s:
            is_both = bool(test.prompt_tok and test.gen_tok)
            columns["prompt_tok"].append(float(test.prompt_tok) if test.prompt_tok else np.nan)
            columns["ttft_s"].append(time_s if not test.gen_tok else np.nan)
            columns["total_s"].append(time_s if is_both else np.nan)
            columns["decode_s"].append(time_s if not test.prompt_tok else np.nan)
            columns["later_tok"].append(float(test.gen_tok) if test.gen_tok else np.nan)
            lines.append(test.line)
    is_summary = any(test.is_summary for test in tests)
    if is_summary:
        summary = (
            f"The file holds means and deviations: {N_REPETITIONS} values of that mean and deviation stand for the "
            "repetitions, so that memory, tails and stalls are not known."
        )
        notes = (*notes, summary)
    settings = tests[0].settings
    machine = next((settings[key] for key in ("gpu_info", "cpu_info", "backends", "backend") if settings.get(key)), "")
    return device_rows(
        group,
        len(lines),
        {name: np.asarray(values, dtype=float) for name, values in columns.items()},
        source_row=np.asarray(lines, dtype=np.int64),
        device=machine,
        model=next((settings[key] for key in ("model_type", "model", "model_filename") if settings.get(key)), ""),
        params_b=tests[0].params_b,
        is_summary=is_summary,
        warnings=notes,
    )


def _repetitions(mean_tok_per_s: float, deviation: float, tok: int) -> tuple[float, ...]:
    """Return times of five repetitions whose speeds have this mean and deviation."""
    spread = float(np.std(_SCORES, ddof=1))
    speeds = mean_tok_per_s + deviation * _SCORES / spread
    return tuple(float(tok / speed) for speed in np.maximum(speeds, mean_tok_per_s / 100))


def _from_json(raw: bytes, path: Path) -> list[_Test]:
    wanted = sorted(first_keys(raw[:65536]) | {"n_depth"})
    table = read_json_lines(raw, path, KEYS, wanted)
    found = []
    for i, line in enumerate(table.lines.tolist()):
        record = {name: column.cells[i] for name, column in table.columns.items()}  # type: ignore[attr-defined]  # JSON
        where = f"{path} {table.place(i)}"
        found.append(_test(record, int(line), where))
    return found


def _from_csv(raw: bytes, path: Path) -> list[_Test]:
    names = header_of(raw[: 2**20])
    table = read_csv(raw, path, KEYS, [name for name in dict.fromkeys(names) if name not in KEYS])
    words = {name: table.words(name).tolist() for name in table.columns}
    return [
        _test({name: held[i] for name, held in words.items()}, int(line), f"{path} {table.place(i)}")
        for i, line in enumerate(table.lines.tolist())
    ]


def _number(record: Mapping[str, Any], key: str, where: str, *, lowest: float = 0.0) -> float:
    value = record.get(key)
    try:
        number = float(value if value not in {None, ""} else "nan")
    except (TypeError, ValueError):
        number = float("nan")
    if not (np.isfinite(number) and number >= lowest):
        raise UserError(
            f"expected a finite number of at least {lowest:g}, got {value!r}", where=f"{where} column {key}"
        )
    return number


def _test(record: Mapping[str, Any], line: int, where: str) -> _Test:
    prompt, gen = int(_number(record, "n_prompt", where)), int(_number(record, "n_gen", where))
    depth = int(_number(record, "n_depth", where)) if record.get("n_depth") not in {None, ""} else 0
    tok = prompt + gen
    if tok == 0:
        raise UserError("tests neither a prompt nor decoding: n_prompt and n_gen are 0", where=where)
    samples = record.get("samples_ns")
    if isinstance(samples, list) and samples and all(isinstance(x, int | float) and x > 0 for x in samples):
        times_s, is_summary = tuple(float(x) * 1e-9 for x in samples), False
        _require_one_speed(times_s, tok, _number(record, "avg_ts", where), where)
    else:
        mean = _number(record, "avg_ts", where, lowest=1e-6)
        times_s, is_summary = _repetitions(mean, _number(record, "stddev_ts", where), tok), True
    _require_possible(times_s, prompt, gen, where)
    params = record.get("model_n_params")
    settings = {
        key: str(value) for key, value in record.items() if key not in _RESULTS and isinstance(value, str | int | float)
    }
    params_b = float(params) / 1e9 if params not in {None, ""} else None
    return _Test(prompt, gen, depth, times_s, is_summary, settings, params_b, line)


def _require_one_speed(times_s: tuple[float, ...], tok: int, said_tok_per_s: float, where: str) -> None:
    """Raise UserError where the repetitions have another speed than the mean that stands beside them."""
    mean = float(np.mean(tok / np.asarray(times_s)))
    if abs(mean - said_tok_per_s) > MOST_APART * max(mean, said_tok_per_s):
        raise UserError(
            f"gives {mean:,.6g} tok/s for {tok} tokens, and avg_ts says {said_tok_per_s:,.6g}: one is in another unit, "
            "or was changed",
            where=f"{where} column samples_ns",
        )


def _require_possible(times_s: tuple[float, ...], prompt_tok: int, gen_tok: int, where: str) -> None:
    """Raise UserError where a speed is one that no device has."""
    speed = (prompt_tok + gen_tok) / float(np.median(times_s))
    most = MOST_PREFILL_TOK_PER_S if prompt_tok else 1.0 / SHORTEST_GAP_S
    if speed > most:
        what = "reads prompts" if prompt_tok else "decodes"
        raise UserError(f"no device {what} at {speed:,.6g} tok/s; its unit is another one", where=where)


def _from_markdown(text: str, path: Path) -> list[_Test]:
    found: list[_Test] = []
    names: list[str] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if "|" not in line or set(line.strip()) <= set("|-: \t"):
            continue  # the log around the table, and its line of dashes
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if is_head_of_table(line):
            names = cells
            continue
        if not names or (len(cells) != len(names) and not line.lstrip().startswith("|")):
            continue  # a bar in the log
        where = f"{path} row {number}"
        if len(cells) != len(names):
            raise UserError(f"expected {len(names)} cells, got {len(cells)}", where=where)
        record = dict(zip(names, cells, strict=True))
        test, speed = _TEST.fullmatch(record["test"]), _SPEED.fullmatch(record["t/s"])
        if test is None or not any(test.groups()[:2]):
            raise UserError(
                f"expected pp512, tg128 or pp512+tg128, got {record['test']!r}", where=f"{where} column test"
            )
        if speed is None or float(speed[1]) <= 0:
            raise UserError(f"expected a speed like 210.40 ± 1.20, got {record['t/s']!r}", where=f"{where} column t/s")
        prompt, gen, depth = (int(part or 0) for part in test.groups())
        settings = {name: value for name, value in record.items() if name not in _RESULTS}
        times_s = _repetitions(float(speed[1]), float(speed[2]), prompt + gen)
        _require_possible(times_s, prompt, gen, where)
        found.append(_Test(prompt, gen, depth, times_s, True, settings, _params_b(record.get("params", "")), number))
    if not found:
        raise UserError("has a header but no rows", where=str(path))
    return found


def _params_b(text: str) -> float | None:
    found = re.fullmatch(r"([\d.]+)\s*([BMT])", text.strip())
    return None if found is None else float(found[1]) * {"M": 1e-3, "B": 1.0, "T": 1e3}[found[2]]
