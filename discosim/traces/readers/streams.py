"""Streams as they arrived, one answer each: of AIPerf, of `vllm bench serve`, or a table of one's own.

Own forms: JSON lines, one request a line, with a list ``arrivals_s`` (or ``gaps_s``) and, where arrivals hold several
tokens, a list ``n_tok`` of equal length (one longer than the gaps); or CSV or Parquet with ``request_id``, ``at_s`` and
``n_tok``, an arrival a row. Times may be named ``_ms, _us, _ns``, or bear no unit, which is then said.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discosim.core.errors import UserError, close_match
from discosim.core.json_text import read_json
from discosim.traces.readers import aiperf, vllm_bench
from discosim.traces.readers.source import read_bytes, read_head
from discosim.traces.readers.table import names_in_order, read_table
from discosim.traces.readers.units import AUTO, LONGEST_TPOT_S, SHORTEST_TPOT_S, UNITS_S

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
FORMATS = ("aiperf", "vllm", "own-json", "own-table")
MORE_THAN_CHUNKS = 1.02
"""Tokens over chunks from which on chunks are taken to hold several: an end of a stream may hold none."""
_LONGEST_S = 1e6


@dataclass(frozen=True)
class Arrivals:
    """One answer as it arrived.

    Parameters
    ----------
    gaps_s : array of float, shape (n - 1,)
        Time from each arrival to the next, seconds, >= 0.
    n_tok : array of int, shape (n,), or None
        Tokens of each arrival, >= 1; None for one each.
    """

    gaps_s: Floats
    n_tok: Ints | None = None


@dataclass(frozen=True)
class StreamFile:
    """The streams of a file, in its order, how it was read, and what to doubt."""

    streams: tuple[Arrivals, ...]
    format: str
    warnings: tuple[str, ...] = ()


def read_streams(path: Path, format: str = AUTO, unit: str = AUTO) -> StreamFile:  # noqa: A002 (the word users type)
    """Read the streams of a file.

    Parameters
    ----------
    path : Path
        The file, plain or packed.
    format : str
        One of `FORMATS`, or ``auto``: by its first lines.
    unit : str
        What times without a unit in their name are in: ``s``, ``ms``, ``us`` or ``ns``.

    Raises
    ------
    UserError
        If the file cannot be read, holds no stream of two arrivals, a time that is none, or arrivals out of order; or
        if no service is as quick or slow as its times would say.
    """
    if unit != AUTO and unit not in UNITS_S:
        raise UserError(f"unknown unit of time {unit!r}; {close_match(unit, (AUTO, *UNITS_S))}", where=str(path))
    if format != AUTO and format not in FORMATS:
        raise UserError(f"unknown format of streams {format!r}; {close_match(format, FORMATS)}", where=str(path))
    chosen = _recognised(path) if format == AUTO else format
    if chosen in {"aiperf", "vllm"}:
        if unit != AUTO:
            raise UserError(f"{chosen} says its units itself; leave the unit at auto", where=str(path))
        found = list(_of_aiperf(path) if chosen == "aiperf" else _of_vllm(path))
    else:
        found = list(_of_lines(path, unit) if chosen == "own-json" else _of_table(path, unit))
    streams = tuple(arrivals for arrivals, _ in found if arrivals.gaps_s.size)
    if not streams:
        raise UserError("holds no answer of two arrivals: were the answers streamed?", where=str(path))
    _require_plausible(streams, str(path))
    n_spread = sum(is_spread for _, is_spread in found)
    return StreamFile(streams, chosen, tuple(_said(len(found) - len(streams), n_spread)))


def _said(n_short: int, n_spread: int) -> Iterator[str]:
    if n_short:
        yield f"{n_short:,} answers of one arrival or none were left out."
    if n_spread:
        yield f"{n_spread:,} answers have more tokens than chunks: each chunk of theirs was given as many as any other."


def _recognised(path: Path) -> str:
    head = read_head(path)
    if aiperf.matches(head, path):
        return "aiperf"
    if vllm_bench.matches(head, path):
        return "vllm"
    return "own-json" if head.lstrip().startswith((b"{", b"[")) else "own-table"


def _require_plausible(streams: tuple[Arrivals, ...], where: str) -> None:
    """Refuse times of which no service is: a median time per token of more than a second, or of next to none."""
    tpots_s = [float(arrivals.gaps_s.sum()) / max(_tokens(arrivals) - 1, 1) for arrivals in streams]
    tpot_s = float(np.median(tpots_s))
    if not SHORTEST_TPOT_S <= tpot_s <= LONGEST_TPOT_S:
        raise UserError(
            f"the median time per token would be {tpot_s:g} s, and no service is like that; name the times after their "
            "unit (arrivals_ms, gaps_us, at_ns), or leave the unit out of the name and say it with --unit",
            where=where,
        )


def _tokens(arrivals: Arrivals) -> int:
    return arrivals.gaps_s.size + 1 if arrivals.n_tok is None else int(arrivals.n_tok.sum())


# --- load generators --------------------------------------------------------------------------------------------


def _of_aiperf(path: Path) -> Iterator[tuple[Arrivals, bool]]:
    for where, record in _json_lines(path):
        metadata, metrics = (record.get(name) or {} for name in ("metadata", "metrics"))
        if not isinstance(metadata, dict) or not isinstance(metrics, dict):
            raise UserError("expected objects 'metadata' and 'metrics'", where=where)
        phase = str(metadata.get("benchmark_phase", metadata.get("credit_phase", "profiling")))
        if record.get("error") or metadata.get("was_cancelled") or phase != "profiling":
            continue
        entry = metrics.get("inter_chunk_latency")
        if entry is None:
            continue
        place = f"{where} metrics.inter_chunk_latency"
        if not isinstance(entry, dict) or not isinstance(entry.get("value"), list):
            raise UserError(f"expected an object with a list 'value', got {_short(entry)}", where=place)
        if entry.get("unit") not in UNITS_S:
            raise UserError(
                f"unknown unit {entry.get('unit')!r}; {close_match(str(entry.get('unit')), UNITS_S)}", where=place
            )
        length = metrics.get("output_sequence_length")
        stated = length.get("value") if isinstance(length, dict) else None
        yield _spread(_times(entry["value"], place) * UNITS_S[entry["unit"]], stated)


def _of_vllm(path: Path) -> Iterator[tuple[Arrivals, bool]]:
    raw = read_bytes(path)
    runs: list[tuple[str, Any]]
    try:
        runs = [(str(path), read_json(raw, where=str(path), is_finite=False))]
    except UserError:
        runs = list(_json_lines(path))
    for where, run in runs:
        itls = run.get("itls") if isinstance(run, dict) else None
        if not isinstance(itls, list):
            advice = "run `vllm bench serve` with --save-result --save-detailed"
            raise UserError(f"holds no list 'itls', so no single gaps; {advice}", where=where)
        errors, lengths = run.get("errors"), run.get("output_lens")
        for i, gaps in enumerate(itls):
            if isinstance(errors, list) and i < len(errors) and errors[i]:
                continue
            place = f"{where} record {i + 1} itls"
            if not isinstance(gaps, list):
                raise UserError(f"expected a list of gaps in s, got {_short(gaps)}", where=place)
            yield _spread(_times(gaps, place), lengths[i] if isinstance(lengths, list) and i < len(lengths) else None)


def _spread(gaps_s: Floats, stated_tok: Any) -> tuple[Arrivals, bool]:
    """Return a stream, its tokens spread evenly over its chunks where there are clearly more, and whether they were."""
    n_chunks = gaps_s.size + 1
    is_count = type(stated_tok) in {int, float} and np.isfinite(stated_tok)
    if not gaps_s.size or not is_count or stated_tok < MORE_THAN_CHUNKS * n_chunks:
        return Arrivals(gaps_s), False
    ends = np.arange(1, n_chunks + 1) * int(stated_tok) // n_chunks
    return Arrivals(gaps_s, np.diff(ends, prepend=0)), True


# --- own forms --------------------------------------------------------------------------------------------------


def _of_lines(path: Path, unit: str) -> Iterator[tuple[Arrivals, bool]]:
    for where, record in _json_lines(path):
        name, factor = _named(record, ("arrivals", "gaps"), unit, where)
        values = record[name]
        if not isinstance(values, list):
            raise UserError(f"expected a list of times, got {_short(values)}", where=f"{where} {name}")
        times_s = _times(values, f"{where} {name}") * factor
        if name.startswith("arrivals"):
            times_s = _gaps(times_s, f"{where} {name}")
            n_arrivals = len(values)
        else:
            n_arrivals = times_s.size + 1
        yield Arrivals(times_s, _counts(record.get("n_tok"), n_arrivals, f"{where} n_tok")), False


def _of_table(path: Path, unit: str) -> Iterator[tuple[Arrivals, bool]]:
    names = dict.fromkeys(names_in_order(read_head(path), path))
    name, factor = _named(names, ("at",), unit, str(path))
    if "request_id" not in names:
        raise UserError(f"has no column 'request_id'; {close_match('request_id', names)}", where=str(path))
    table = read_table(path, ("request_id", name), ("n_tok",))
    ids, at_s = table.words("request_id"), table.numbers(name, lowest=0.0) * factor
    n_tok = table.counts("n_tok") if table.has("n_tok") else None
    if not ids.size:
        raise UserError("holds no rows", where=str(path))
    if n_tok is not None and n_tok.min() < 1:
        raise table.error(int(np.argmin(n_tok)), "n_tok", f"expected at least 1 token, got {n_tok.min()}")
    rows: dict[str, list[int]] = {}
    for i, request in enumerate(ids.tolist()):
        rows.setdefault(str(request), []).append(i)
    for request, mine in rows.items():
        gaps_s = _gaps(at_s[mine], f"{path} request {request} {name}")
        yield Arrivals(gaps_s, None if n_tok is None else n_tok[mine]), False


def _named(held: Mapping[str, Any], stems: tuple[str, ...], unit: str, where: str) -> tuple[str, float]:
    """Return the name of the times among those held, and what they are in."""
    known = {f"{stem}_{name}": factor for stem in stems for name, factor in UNITS_S.items()}
    bare = [stem for stem in stems if stem in held]
    named = [name for name in known if name in held]
    if len(named) + len(bare) != 1:
        what = " and ".join([*named, *bare]) or f"none; its names are {', '.join(map(str, held)) or 'none'}"
        raise UserError(f"needs one of {', '.join(f'{stem}_s' for stem in stems)} (got {what})", where=where)
    if bare:
        if unit == AUTO:
            raise UserError(f"'{bare[0]}' names no unit; say it with --unit (s, ms, us, ns)", where=where)
        return bare[0], UNITS_S[unit]
    if unit != AUTO and UNITS_S[unit] != known[named[0]]:
        raise UserError(f"'{named[0]}' names its unit, so it cannot be said to be {unit}", where=where)
    return named[0], known[named[0]]


def _counts(held: Any, n: int, where: str) -> Ints | None:
    if held is None:
        return None
    if not isinstance(held, list) or any(type(count) is not int or not 1 <= count < _LONGEST_S for count in held):
        raise UserError(f"expected a list of whole numbers of at least 1, got {_short(held)}", where=where)
    if len(held) != n:
        raise UserError(f"holds {len(held)} counts for {n} arrivals", where=where)
    return np.array(held, dtype=np.int64)


def _times(values: list[Any], where: str) -> Floats:
    for i, value in enumerate(values, start=1):
        if type(value) not in {int, float} or not 0.0 <= value < np.inf:
            raise UserError(f"expected times of at least 0, got {_short(value)} as number {i}", where=where)
    return np.array(values, dtype=float)


def _gaps(at_s: Floats, where: str) -> Floats:
    gaps_s: Floats = np.diff(at_s)
    if gaps_s.size and gaps_s.min() < 0:
        i = int(np.argmin(gaps_s >= 0))
        raise UserError(f"arrival {i + 2} lies before the one that it follows", where=where)
    return gaps_s


def _json_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    raw = read_bytes(path)
    if raw.lstrip().startswith(b"["):
        records = [(f"{path} record {i}", row) for i, row in enumerate(read_json(raw, where=str(path)), start=1)]
    else:
        lines = ((i, line) for i, line in enumerate(raw.split(b"\n"), start=1) if line.strip())
        records = [(f"{path} row {i}", read_json(line, where=f"{path} row {i}")) for i, line in lines]
    for where, record in records:
        if not isinstance(record, dict):
            raise UserError(f"expected a JSON object, got {_short(record)}", where=where)
        yield where, record


def _short(value: Any) -> str:
    return json.dumps(value)[:40]
