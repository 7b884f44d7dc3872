"""Our own table of latencies (CSV, JSON lines or Parquet), one row for each attempt.

Format: ``ttft_s`` with ``tpot_s``, or with ``e2e_s`` (also ``total_s``) and ``output_tok``; each time also as
``..._ms`` or ``..._us``. Optional: ``prompt_tok, output_tok``, ``at_s`` (when it was sent; rows are sorted by it),
``error`` (a word where the attempt failed; its times may then be absent) and ``service`` (several in one file).
Origin: this project. Quirks: an empty cell, or 0, is a time that was not seen. TPOT is (e2e - ttft) / (output_tok -
1) where it is not given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np

from discosim.core.errors import UserError
from discosim.traces.readers.base import Bools, Floats, Ints, LatencySeries, Reader, Words
from discosim.traces.readers.latency import series_of_attempts, tpot_of, word_of
from discosim.traces.readers.runs import require_figure, rows_by_name, series_of_runs, unused_name
from discosim.traces.readers.source import read_bytes, read_head, stem
from discosim.traces.readers.table import Table, header_of, read_csv, read_json_lines, read_json_records, read_parquet
from discosim.traces.readers.units import UNITS_S

_WHOLE = ("e2e", "total")
_TIMES = ("ttft", "tpot", *_WHOLE)
_ALL_TIMES = tuple(f"{quantity}_{unit}" for quantity in _TIMES for unit in UNITS_S)
_OTHERS = ("prompt_tok", "output_tok", "at_s", "error", "service")
_NO_ERROR = {"", "0", "false", "no", "none", "null", "nan"}
_PARQUET_MAGIC = b"PAR1"
_JSON = (b"{", b"[")


def _column(quantity: str, names: Iterable[str]) -> str | None:
    """Return the column of a time, whatever unit its name ends in."""
    held = set(names)
    return next((name for unit in UNITS_S if (name := f"{quantity}_{unit}") in held), None)


def _is_ours(names: Iterable[str]) -> bool:
    held = set(names)
    whole = any(_column(name, held) for name in _WHOLE) and "output_tok" in held
    return _column("ttft", held) is not None and (_column("tpot", held) is not None or whole)


def _parquet_names(path: Path) -> list[str]:
    from pyarrow import ArrowException, parquet

    try:
        return list(parquet.read_schema(path).names)
    except (ArrowException, OSError):
        return []


def _names(head: bytes, path: Path) -> list[str]:
    """Return the columns: of a Parquet file's schema, a CSV's header, or the known keys that JSON begins with."""
    if head.startswith(_PARQUET_MAGIC):
        return _parquet_names(path)
    if head.lstrip()[:1] in _JSON:
        # a failed attempt may lack its times, so that the first line need not name them all
        return [name for name in (*_ALL_TIMES, *_OTHERS) if f'"{name}"'.encode() in head]
    return header_of(head)


def matches(head: bytes, path: Path) -> bool:
    """Recognise the names of the columns."""
    return _is_ours(_names(head, path))


def _table(path: Path) -> Table:
    head = read_head(path)
    names = _names(head, path)
    if not _is_ours(names):
        listed = ", ".join(names) or "none of these"
        raise UserError(
            f"needs ttft_s with tpot_s, or with e2e_s and output_tok (also in ms or us); its columns are: {listed}",
            where=str(path),
        )
    times = [name for quantity in _TIMES if (name := _column(quantity, names)) is not None]
    if head.startswith(_PARQUET_MAGIC):
        return read_parquet(path, times, _OTHERS)
    raw = read_bytes(path)
    if head.lstrip().startswith(b"["):
        return read_json_records(raw, path, (), (*_ALL_TIMES, *_OTHERS))
    if head.lstrip().startswith(b"{"):
        return read_json_lines(raw, path, (), (*_ALL_TIMES, *_OTHERS))
    return read_csv(raw, path, times, _OTHERS)


def _failures(table: Table) -> tuple[Bools, Words]:
    """Return which attempts failed, and a word for each."""
    if not table.has("error"):
        return np.zeros(len(table), dtype=np.bool_), np.full(len(table), "", dtype=np.object_)
    words = table.words("error")
    is_failed = np.array([str(word).strip().lower() not in _NO_ERROR for word in words], dtype=np.bool_)
    named = [("error" if str(word).strip().lower() in {"1", "true", "yes"} else word_of(word)) for word in words]
    return is_failed, np.array(named, dtype=np.object_)


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
    is_failed, code = _failures(table)
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
    order = np.arange(len(table))
    if table.has("at_s"):
        order = np.argsort(table.numbers("at_s"), kind="stable")
    units = {UNITS_S[name.rpartition("_")[2]] for name in (ttft, tpot, e2e) if name is not None}
    unit_s = units.pop() if len(units) == 1 else None

    def series(group: str, rows: Ints) -> LatencySeries:
        if not is_failed[rows].all():
            seen = bool((ttft_s[rows][~is_failed[rows]] > 0).any())
            require_figure((ttft or "ttft_s",), seen, table.columns, str(path), what="TTFT")
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
