"""Our own table of round trips (CSV, JSON lines or Parquet), one row for each probe, in the order they were sent.

Format: ``rtt_ms`` (or ``rtt_s``, ``rtt_us``, ``rtt_ns``). Optional: ``at_s`` (also ``at_ms``, ``at_us``, ``at_ns`` or
``at`` with dates: when it was sent; rows are sorted by it) and ``path`` (several in one file). A column ``rtt`` names
no unit: it is taken for ms where it cannot be in s.
Origin: this project. Quirks: an empty cell is a lost probe. 0 counts as lost too, with a warning.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from discosim.core.errors import UserError
from discosim.traces.readers.averages import require_single, telling_columns
from discosim.traces.readers.base import Floats, Reader, RttSeries
from discosim.traces.readers.latency_clock import Clock, clock_of
from discosim.traces.readers.rtt import series_of_probes
from discosim.traces.readers.runs import rows_by_name
from discosim.traces.readers.source import read_head, stem
from discosim.traces.readers.table import Table, names_of_table, read_table
from discosim.traces.readers.units import NO_UNIT, UNITS_S, may_be_seconds

_TIMES = tuple(f"rtt_{unit}" for unit in UNITS_S)
_BARE = "rtt"
_SENT = ("at_s", "at_ms", "at_us", "at_ns", "at")
_FAR_S = 100.0
"""Probes so far apart, on a clock of the file's own, are perhaps ms. Source: our choice; ping sends one a second."""
_OTHERS = frozenset({"result", "ping_avg_ms"})
"""Columns of other formats of round trips, whose files may have one of ours too."""


def matches(head: bytes, path: Path) -> bool:
    """Recognise the column of round trips."""
    names = names_of_table(head, path)
    return bool(names & {*_TIMES, _BARE}) and not names & _OTHERS


def read(path: Path) -> dict[str, RttSeries]:
    """Read all paths of the file, in its order; the file's stem where it names none."""
    held = sorted(names_of_table(read_head(path), path) & {*_TIMES, _BARE})
    if len(held) != 1:
        what = f"has {' and '.join(held)}; leave one" if held else f"needs a column {', '.join(_TIMES)} or {_BARE}"
        raise UserError(what, where=f"{path} row 1")
    (name,) = held
    table = read_table(path, (), list(dict.fromkeys((name, *_SENT, "path", *telling_columns(path)))))
    require_single(table)
    unit = name.rpartition("_")[2] if name != _BARE else "ms"
    rtt_s = table.numbers(name, lowest=0.0, blank_ok=True) * UNITS_S[unit]
    rtt_s = np.where(table.columns[name].blank(), np.nan, rtt_s)
    sent = next((word for word in _SENT if table.has(word)), "")
    clock = clock_of(table, sent, sent.removeprefix("at_") if sent != "at" else None) if sent else None
    labels = _labels(table, stem(path))
    groups: dict[str, RttSeries] = {}
    for group, rows in rows_by_name(labels).items():
        mine, sent_s = rtt_s[rows], None if clock is None else clock.at_s[rows]
        if sent_s is not None:
            order = np.argsort(sent_s, kind="stable")
            mine, sent_s = mine[order], sent_s[order]
        groups[group] = series_of_probes(
            group,
            "native_rtt",
            mine,
            str(path),
            spacing_s=_spacing_s(sent_s),
            unit_s=UNITS_S[unit],
            is_unit_stated=name != _BARE or not may_be_seconds(rtt_s * 1000.0),
            warnings=(*([NO_UNIT] if name == _BARE else []), *_clock_doubts(clock, sent, _spacing_s(sent_s))),
        )
    return groups


def _clock_doubts(clock: Clock | None, name: str, spacing_s: float | None) -> list[str]:
    """Return what to doubt about the times of sending: probes are seconds apart, and ms make these a thousand."""
    if clock is None or spacing_s is None:
        return []
    is_far = name == "at_s" and clock.unix_s is None and spacing_s >= _FAR_S
    said = f"Probes are {spacing_s:,.0f} s apart by {name}; if it is in ms, call it at_ms."
    return [*clock.warnings, *([said] if is_far else [])]


def _labels(table: Table, otherwise: str) -> list[str]:
    if not table.has("path"):
        return [otherwise] * len(table)
    return [word or otherwise for word in table.words("path")]


def _spacing_s(sent_s: Floats | None) -> float | None:
    if sent_s is None or sent_s.size < 2:
        return None
    return float(np.median(np.diff(sent_s)))


READER = Reader("native_rtt", "our own table of round trips (CSV, JSON lines or Parquet)", "rtt", matches, read)
