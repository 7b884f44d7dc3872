"""Our own table of latencies (CSV, JSON lines or Parquet), one row for each attempt.

Format: ``ttft_s`` with ``tpot_s``, or with ``e2e_s`` (also ``total_s``) and ``output_tok``; each time also as
``..._ms``, ``..._us`` or ``..._ns``. Optional: ``prompt_tok, output_tok``, ``at_s`` (when it was sent, in numbers or
dates; rows are sorted by it), ``error`` (a word where the attempt failed; its times may then be absent) and
``service`` (several in one file).
Columns such as ``status, success, failed, error_code, http_status`` (`outcomes.KNOWN`) say too which attempts failed; a
word in them that tells neither is refused. Names that other tools give are known too (`latency_names`), where the
file is of no other format.
Origin: this project. Quirks: an empty cell, or 0, is a time that was not seen. TPOT is (e2e - ttft) / (output_tok -
1) where it is not given. Times whose name has no unit are in the one in which they are those of a service.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from discosim.core.errors import UserError
from discosim.traces.readers.agreement import tpot_doubts
from discosim.traces.readers.averages import columns_that_tell, require_single
from discosim.traces.readers.base import Bools, Floats, Ints, LatencySeries, Reader
from discosim.traces.readers.head import first_keys
from discosim.traces.readers.latency import is_one_token, series_of_attempts, tpot_of, word_of
from discosim.traces.readers.latency_clock import Clock, are_moments, clock_of
from discosim.traces.readers.latency_names import (
    OURS,
    TIMES,
    Found,
    columns_of,
    is_enough,
    is_near,
    is_plainly_ours,
    is_surely_moments,
    lacking,
    services_in,
)
from discosim.traces.readers.loads import load_columns, loads_of
from discosim.traces.readers.outcomes import KNOWN, SILENT, Outcomes, outcome_columns, outcomes_of, silent_failures
from discosim.traces.readers.repeats import id_columns, require_no_twins
from discosim.traces.readers.runs import require_figure, rows_by_name, series_of_runs, unused_name
from discosim.traces.readers.source import read_bytes, read_head, stem
from discosim.traces.readers.streamed import one_piece, stream_columns, streamed_of
from discosim.traces.readers.table import Table, names_in_order, read_json_lines, read_table
from discosim.traces.readers.units import UNITS_S, units_of_service
from discosim.traces.readers.warm_up import phase_columns, without_warm_up

_JSON = (b"{", b"[")


def _names(head: bytes, path: Path) -> list[str]:
    """Return the columns: of a Parquet file's schema, a CSV's header, or the keys that JSON begins with."""
    if head.lstrip()[:1] in _JSON:
        # a failed attempt may lack its times, so that the first line need not name them all
        ours = [name for name in (*OURS, *KNOWN) if f'"{name}"'.encode() in head]
        return [*ours, *sorted(first_keys(head) - set(ours))]
    return names_in_order(head, path)


def matches(head: bytes, path: Path) -> bool:
    """Recognise the names of the columns that the documentation gives."""
    return is_plainly_ours(_names(head, path))


def may_be(head: bytes, path: Path) -> bool:
    """Tell whether a file that is of no other format has what is needed, under whatever name."""
    try:
        return is_enough(columns_of(_names(head, path), str(path)))
    except UserError:
        return True  # two names for one figure: the reader says so


def what_lacks(head: bytes, path: Path) -> str:
    """Return what a file that was meant as a latency table lacks, as the rest of a sentence; '' where it was not."""
    names = _names(head, path)
    try:
        found = columns_of(names, str(path))
    except UserError:
        return ""
    return lacking(names, found) if is_near(names, found) else ""


def _table(path: Path) -> tuple[Table, dict[str, Found]]:
    head = read_head(path)
    names = _names(head, path)
    found = columns_of(names, str(path))
    if not is_enough(found):
        raise UserError(lacking(names, found), where=str(path))
    told = [
        *columns_that_tell(names),
        *load_columns(names),
        *stream_columns(names),
        *phase_columns(names),
        *id_columns(names),
    ]
    wanted = dict.fromkeys(
        [*(held.name for held in found.values()), *services_in(names), *outcome_columns(names), *told]
    )
    if head.lstrip()[:1] in _JSON:
        table = read_json_lines(read_bytes(path), path, (), list(dict.fromkeys((*OURS, *wanted, *KNOWN))))
        found = columns_of(table.columns, str(path))
    else:
        need = [found[field].name for field in TIMES if field in found]
        table = read_table(path, need, [name for name in wanted if name not in need])
    require_single(table)
    for name in id_columns(table.columns):
        require_no_twins(table, name, *(table.words(found[field].name) for field in (*TIMES, "at") if field in found))
    return table, found


def _failures(table: Table) -> Outcomes:
    """Return which attempts failed, with a short word for each."""
    found = outcomes_of(table)
    for i, name in found.unclear:
        raise table.error(
            i,
            name,
            f"says neither that the attempt succeeded nor that it failed, got {table.shown(name, i)}; write "
            "ok, error or a code of HTTP, or give the column another name",
        )
    return replace(found, code=np.array([word_of(word) for word in found.code], dtype=np.object_))


@dataclass(frozen=True, eq=False)
class _Times:
    """Times of all attempts in s, NaN where absent; the unit that all share; what to say, and what is unclear."""

    s: Mapping[str, Floats]
    unit_s: float | None
    notes: tuple[str, ...]
    doubt: str


def _times(table: Table, found: Mapping[str, Found], ok: Bools, output_tok: Ints | None) -> _Times:
    raw = {
        field: table.numbers(found[field].name, lowest=0.0, only=ok, blank_ok=True)
        for field in (*TIMES, "speed")
        if field in found
    }
    if "speed" in raw and ("tpot" in raw or ("whole" in raw and output_tok is not None)):
        raw.pop("speed")
    open_ = [field for field in TIMES if field in raw and found[field].unit is None]
    unit, notes, doubt = _unit_of(open_, raw, found, ok, output_tok) if open_ else ("s", (), "")
    units = {field: found[field].unit or unit for field in TIMES if field in raw}
    times = {field: np.where(ok, raw[field], np.nan) * UNITS_S[held] for field, held in units.items()}
    if "speed" in raw:
        speed = raw["speed"]
        times["tpot"] = np.divide(1.0, speed, out=np.full(speed.shape, np.nan), where=ok & (speed > 0))
        notes += (f"Times per token are 1 / {found['speed'].name}, which must not count the time to the first token.",)
    shared = {UNITS_S[held] for held in units.values()} if "speed" not in raw else set()
    return _Times(times, shared.pop() if len(shared) == 1 else None, notes, doubt)


def _unit_of(
    open_: list[str], raw: Mapping[str, Floats], found: Mapping[str, Found], ok: Bools, output_tok: Ints | None
) -> tuple[str, tuple[str, ...], str]:
    """Return the unit of the columns whose names say none, what to say of it, and what is unclear."""

    def medians(unit: str) -> tuple[float, float]:
        held = {field: raw[field] * UNITS_S[found[field].unit or unit] for field in TIMES if field in raw}
        if "whole" in held and _median(held["whole"], ok) < _median(held["ttft"], ok):
            return np.inf, np.inf  # no answer ends before it begins
        tpot_s = held.get("tpot")
        if tpot_s is None and "speed" in raw:
            tpot_s = np.divide(1.0, raw["speed"], out=np.full(ok.shape, np.nan), where=raw["speed"] > 0)
        if tpot_s is None and output_tok is not None and "whole" in held:
            tpot_s = tpot_of(held["whole"], held["ttft"], output_tok.astype(np.float64))
        return _median(held["ttft"], ok), np.nan if tpot_s is None else _median(tpot_s, ok)

    fits = units_of_service(medians)
    names = " and ".join(found[field].name for field in open_)
    if len(fits) > 1:
        both = " or ".join(fits)
        say = f"call it {found[open_[0]].name}_{fits[0]} or {found[open_[0]].name}_{fits[1]}"
        return "s", (), f"{names}: no unit is named, and {both} would both do; {say}, or say which with " + _KEYS
    if not fits or fits == ["s"]:  # none fits: the medians in s are refused, with what would mend them
        return "s", (), ""
    return fits[0], (f"{names}: no unit is named; read in {fits[0]}, in which they are those of a service.",), ""


_KEYS = "server.series_unit or --unit (s, ms, us, ns)."


def _median(values: Floats, ok: Bools) -> float:
    seen = values[ok & (values > 0)]
    return float(np.median(seen)) if seen.size else float("nan")


def _lengths(table: Table, found: Mapping[str, Found], field: str, ok: Bools) -> Ints | None:
    if field not in found:
        return None
    name = found[field].name
    return table.counts(name, only=ok & ~table.columns[name].blank())


def _reading(found: Mapping[str, Found]) -> tuple[str, ...]:
    """Return what was read under names that may mean something else."""
    told = {"tokens": "tokens of the answer", "latency": "the whole time", "duration": "the whole time"}
    said = [f"{held.name} as {told[plain]}" for held in found.values() if (plain := held.name.lower()) in told]
    return (f"Read {' and '.join(said)}.",) if said else ()


def read(path: Path) -> dict[str, LatencySeries]:
    """Read all services of the file, in its order; the file's stem where it names none."""
    table, found = _table(path)
    table, warm = without_warm_up(table)
    said = _failures(table)
    is_failed, code = said.is_failed, said.code
    ok = ~is_failed
    prompt_tok, output_tok = _lengths(table, found, "prompt_tok", ok), _lengths(table, found, "output_tok", ok)
    times = _times(table, found, ok, output_tok)
    none = np.full(len(table), np.nan)
    ttft_s, tpot_s, e2e_s = (times.s.get(field, none) for field in TIMES)
    ttft, e2e = found["ttft"].name, found["whole"].name if "whole" in found else None
    shorter = ok & (e2e_s < ttft_s)
    if e2e is not None and shorter.any():
        raise table.error(int(np.argmax(shorter)), e2e, f"is below {ttft}: are they in the unit that their names say?")
    doubts = [*warm]
    if output_tok is not None:
        doubts += tpot_doubts(tpot_s, ttft_s, e2e_s, output_tok, found["tpot"].name if "tpot" in found else "")
        tpot_s = np.where(np.isfinite(tpot_s), tpot_s, tpot_of(e2e_s, ttft_s, output_tok.astype(np.float64)))
        tpot_s[output_tok == 1] = np.nan
    whole, said_whole = one_piece(ttft_s, e2e_s, tpot_s, output_tok, streamed_of(table))
    ttft_s, tpot_s = (np.where(whole, np.nan, times) for times in (ttft_s, tpot_s))
    doubts += [said_whole] if said_whole else []
    silent, _ = silent_failures(ok, output_tok, ttft_s, tpot_s, *(() if output_tok is not None else (e2e_s,)))
    is_failed, code = is_failed | silent, np.where(silent, SILENT, code).astype(np.object_)
    clock = Clock(np.empty(0), None, np.arange(len(table)))
    if "at" in found and (is_surely_moments(found["at"]) or are_moments(table, found["at"].name)):
        clock = clock_of(table, found["at"].name, found["at"].unit)
    tpot_name = next((found[field].name for field in ("tpot", "whole", "speed") if field in found), "tpot_s")
    warnings = (*said.warnings, *_reading(found), *times.notes, *clock.warnings, *doubts)
    loads = loads_of(table, clock.order)
    warnings = (*warnings, *loads.warnings)

    def series(group: str, load: str, rows: Ints) -> LatencySeries:
        if not is_failed[rows].all():
            seen = bool((ttft_s[rows][~is_failed[rows]] > 0).any())
            require_figure((ttft,), seen, table.columns, str(path), what="TTFT")
            own_tok = None if output_tok is None else output_tok[rows]
            seen = bool((tpot_s[rows][~is_failed[rows]] > 0).any()) or is_one_token(~is_failed[rows], own_tok)
            require_figure((tpot_name,), seen, table.columns, str(path), what="time per token")
        start_s = clock.at_s[rows] if clock.at_s.size else None
        return series_of_attempts(
            group,
            "native_latency",
            str(path),
            ttft_s=ttft_s[rows],
            tpot_s=tpot_s[rows],
            is_failed=is_failed[rows],
            code=code[rows],
            prompt_tok=None if prompt_tok is None else prompt_tok[rows],
            output_tok=None if output_tok is None else output_tok[rows],
            unit_s=times.unit_s,
            start_s=None if start_s is None else start_s - start_s[0],
            concurrency=loads.in_flight.get(load),
            begin_unix_s=None if start_s is None or clock.unix_s is None else clock.unix_s + float(start_s[0]),
            unit_doubt=times.doubt,
            warnings=(*warnings, *silent_failures(silent[rows], None)[1]),
        )

    named = [table.words(name).tolist() for name in services_in(table.columns)]
    service = ["/".join(word for word in words if word) for words in zip(*named, strict=True)] or [""] * len(table)
    keys = list(zip([service[i] for i in clock.order.tolist()], loads.names, strict=True))
    runs: dict[str, Callable[[], LatencySeries]] = {}
    for (name, load), rows in rows_by_name(keys).items():
        group = unused_name(" ".join(word for word in (name, load) if word) or stem(path), runs)
        runs[group] = partial(series, group, load, clock.order[rows])
    return series_of_runs(runs, "native_latency", str(path), word="service")


READER = Reader(
    "native_latency", "discosim latency table: ttft_s and tpot_s (CSV, JSON lines, Parquet)", "latency", matches, read
)
