"""Our own table of latencies (CSV, JSON lines or Parquet), one row for each attempt.

Format: ``ttft_s`` with ``tpot_s``, or with ``e2e_s`` (also ``total_s``) and ``output_tok``; each time also as
``..._ms``, ``..._us`` or ``..._ns``. Optional: ``prompt_tok, output_tok``, ``at_s`` (when it was sent; rows are sorted
by it),
``error`` (a word where the attempt failed; its times may then be absent) and ``service`` (several in one file).
Columns such as ``status, success, failed, error_code, http_status`` (`outcomes.KNOWN`) say too which attempts failed; a
word in them that tells neither is refused.
Origin: this project. Quirks: an empty cell, or 0, is a time that was not seen. TPOT is (e2e - ttft) / (output_tok -
1) where it is not given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from discosim.core.errors import UserError
from discosim.traces.readers.base import Bools, Floats, Ints, LatencySeries, Reader
from discosim.traces.readers.head import first_keys
from discosim.traces.readers.latency import is_one_token, series_of_attempts, tpot_of, word_of
from discosim.traces.readers.outcomes import KNOWN, SILENT, Outcomes, outcome_columns, outcomes_of, silent_failures
from discosim.traces.readers.runs import require_figure, rows_by_name, series_of_runs, unused_name
from discosim.traces.readers.source import read_bytes, read_head, stem
from discosim.traces.readers.table import Table, names_in_order, read_json_lines, read_table
from discosim.traces.readers.units import UNITS_S

_WHOLE = ("e2e", "total")
_TIMES = ("ttft", "tpot", *_WHOLE)
_ALL_TIMES = tuple(f"{quantity}_{unit}" for quantity in _TIMES for unit in UNITS_S)
_OTHERS = ("prompt_tok", "output_tok", "at_s", "service")
_JSON = (b"{", b"[")


def _column(quantity: str, names: Iterable[str]) -> str | None:
    """Return the column of a time, whatever unit its name ends in."""
    held = set(names)
    return next((name for unit in UNITS_S if (name := f"{quantity}_{unit}") in held), None)


def _is_ours(names: Iterable[str]) -> bool:
    held = set(names)
    whole = any(_column(name, held) for name in _WHOLE) and "output_tok" in held
    return _column("ttft", held) is not None and (_column("tpot", held) is not None or whole)


_SHOWN = 40
"""Characters of a name, and names, that a message shows."""


def _names(head: bytes, path: Path) -> list[str]:
    """Return the columns: of a Parquet file's schema, a CSV's header, or the known keys that JSON begins with."""
    if head.lstrip()[:1] in _JSON:
        # a failed attempt may lack its times, so that the first line need not name them all
        return [name for name in (*_ALL_TIMES, *_OTHERS, *KNOWN) if f'"{name}"'.encode() in head]
    return names_in_order(head, path)


def matches(head: bytes, path: Path) -> bool:
    """Recognise the names of the columns."""
    return _is_ours(_names(head, path))


def _table(path: Path) -> Table:
    head = read_head(path)
    names = _names(head, path)
    if not _is_ours(names):
        # a quote that nobody closes makes a name of many lines
        listed = ", ".join(" ".join(name.split())[:_SHOWN] for name in names[:_SHOWN]) or "none of these"
        raise UserError(
            f"needs ttft_s with tpot_s, or with e2e_s and output_tok (also in ms, us or ns); its columns are: {listed}",
            where=str(path),
        )
    held = [name for name in _ALL_TIMES if name in names]
    if head.lstrip()[:1] in _JSON:
        keys = outcome_columns(first_keys(head) - KNOWN.keys())
        table = read_json_lines(read_bytes(path), path, (), (*_ALL_TIMES, *_OTHERS, *KNOWN, *sorted(keys)))
        held = [name for name in _ALL_TIMES if table.has(name)]
    else:
        table = read_table(path, held, (*_OTHERS, *outcome_columns(names)))
    for quantity in (("ttft",), ("tpot",), _WHOLE):
        twice = [name for name in held if name.rpartition("_")[0] in quantity]
        if len(twice) > 1:
            raise UserError(f"has both {twice[0]} and {twice[1]}; leave one", where=f"{path} row 1")
    return table


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


def _times_s(table: Table, quantity: str, ok: Bools) -> tuple[Floats, str | None]:
    """Return a time of all attempts in s, NaN where it is absent, and the name of its column."""
    name = _column(quantity, table.columns)
    if name is None:
        return np.full(len(table), np.nan), None
    unit = name.rpartition("_")[2]
    return table.numbers(name, lowest=0.0, only=ok, blank_ok=True) * UNITS_S[unit], name


def _lengths(table: Table, name: str, ok: Bools) -> Ints | None:
    return table.counts(name, only=ok & ~table.columns[name].blank()) if table.has(name) else None


def read(path: Path) -> dict[str, LatencySeries]:
    """Read all services of the file, in its order; the file's stem where it names none."""
    table = _table(path)
    said = _failures(table)
    is_failed, code = said.is_failed, said.code
    ok = ~is_failed
    ttft_s, ttft = _times_s(table, "ttft", ok)
    tpot_s, tpot = _times_s(table, "tpot", ok)
    whole = next((name for name in _WHOLE if _column(name, table.columns)), _WHOLE[0])
    e2e_s, e2e = _times_s(table, whole, ok)
    prompt_tok, output_tok = _lengths(table, "prompt_tok", ok), _lengths(table, "output_tok", ok)
    shorter = ok & (e2e_s < ttft_s)
    if e2e is not None and shorter.any():
        raise table.error(int(np.argmax(shorter)), e2e, f"is below {ttft}: are they in the unit that their names say?")
    if output_tok is not None:
        tpot_s = np.where(np.isfinite(tpot_s), tpot_s, tpot_of(e2e_s, ttft_s, output_tok.astype(np.float64)))
        tpot_s[output_tok == 1] = np.nan
    silent, _ = silent_failures(ok, output_tok, ttft_s, tpot_s, *(() if output_tok is not None else (e2e_s,)))
    is_failed, code = is_failed | silent, np.where(silent, SILENT, code).astype(np.object_)
    order = np.arange(len(table))
    if table.has("at_s"):
        order = np.argsort(table.numbers("at_s"), kind="stable")
    units = {UNITS_S[name.rpartition("_")[2]] for name in (ttft, tpot, e2e) if name is not None}
    unit_s = units.pop() if len(units) == 1 else None

    def series(group: str, rows: Ints) -> LatencySeries:
        if not is_failed[rows].all():
            seen = bool((ttft_s[rows][~is_failed[rows]] > 0).any())
            require_figure((ttft or "ttft_s",), seen, table.columns, str(path), what="TTFT")
            own_tok = None if output_tok is None else output_tok[rows]
            seen = bool((tpot_s[rows][~is_failed[rows]] > 0).any()) or is_one_token(~is_failed[rows], own_tok)
            require_figure((tpot or e2e or "tpot_s",), seen, table.columns, str(path), what="time per token")
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
            unit_s=unit_s,
            warnings=(*said.warnings, *silent_failures(silent[rows], None)[1]),
        )

    service = table.words("service") if table.has("service") else np.full(len(table), "", dtype=np.object_)
    runs: dict[str, Callable[[], LatencySeries]] = {}
    for name, rows in rows_by_name(service[order]).items():
        group = unused_name(name or stem(path), runs)
        runs[group] = partial(series, group, order[rows])
    return series_of_runs(runs, "native_latency", str(path), word="service")


READER = Reader(
    "native_latency", "discosim latency table: ttft_s and tpot_s (CSV, JSON lines, Parquet)", "latency", matches, read
)
