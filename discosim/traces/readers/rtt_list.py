"""A plain list of round trips (text): one number a line, in the order they were sent.

Format: ``12.3``, or with a unit, ``12.3 ms``. Empty lines and lines that begin with ``#`` are skipped; ``*``, ``-`` and
``timeout`` are lost probes.
Origin: whoever cut the times out of something else. Quirks: a list without units is taken for ms where it cannot be in
s; else the unit must be said. A number with a comma may be two columns, and is refused. Numbers alone, without lost
probes, are `uncore`'s format; those that never fall are no round trips.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from discosim.core.errors import UserError
from discosim.traces.readers.base import Reader, RttSeries
from discosim.traces.readers.rtt import series_of_probes
from discosim.traces.readers.source import read_bytes, stem
from discosim.traces.readers.text import require_utf8
from discosim.traces.readers.units import NO_UNIT, UNITS_S, may_be_seconds

_LOST = frozenset({"*", "-", "timeout", "lost", "nan"})
_LINE = re.compile(r"(?P<number>-?\d{1,12}(?:\.\d{0,18})?(?:e[+-]?\d{1,3})?)\s*(?P<unit>[a-zµμ]{1,2})?", re.IGNORECASE)
_COMMA = re.compile(r"-?\d{1,12},\d{1,18}\s*[a-z]{0,2}", re.IGNORECASE)
_UNITS = {**UNITS_S, "µs": 1e-6, "μs": 1e-6}
_LOOK = 20


def _is_skipped(line: str) -> bool:
    return not line.strip() or line.lstrip().startswith("#")


def matches(head: bytes, _path: Path) -> bool:
    """Recognise lines that are nothing but a number, with or without a unit, or a lost probe."""
    lines = [line.strip() for line in head[:4096].decode(errors="replace").split("\n")[: 2 * _LOOK]]
    shown = [line for line in lines if not _is_skipped(line)][:_LOOK]
    if len(head) > 4096 and len(shown) > 1:
        shown.pop()  # the last one may be cut
    numbers = [line for line in shown if _LINE.fullmatch(line) or _COMMA.fullmatch(line)]
    is_plain = all(line.replace(".", "", 1).isdigit() for line in head[:4096].decode(errors="replace").split())
    return bool(numbers) and not is_plain and all(line in numbers or line.lower() in _LOST for line in shown)


def read(path: Path) -> dict[str, RttSeries]:
    """Read the one series of the file."""
    times: list[float] = []
    units: set[str] = set()
    for row, line in enumerate(require_utf8(read_bytes(path), str(path)).split("\n"), start=1):
        text, where = line.strip(), f"{path} row {row}"
        if _is_skipped(text):
            continue
        if text.lower() in _LOST:
            times.append(np.nan)
            continue
        found = _LINE.fullmatch(text)
        if found is None:
            comma = (
                "; write a decimal point, or name the columns in a header (rtt_ms)" if _COMMA.fullmatch(text) else ""
            )
            raise UserError(f"expected one number, got {text[:40]!r}{comma}", where=where)
        value, unit = float(found["number"]), (found["unit"] or "").lower()
        if unit and unit not in _UNITS:
            raise UserError(f"expected s, ms, us or ns after the number, got {unit!r}", where=where)
        if not 0.0 <= value < np.inf:
            raise UserError(f"expected a time >= 0 (a lost probe is *), got {text[:40]}", where=where)
        units.add(unit)
        times.append(value * _UNITS[unit] if unit else value * 1e-3)
    if "" in units and len(units) > 1:
        raise UserError("some of its numbers have a unit and some have none", where=str(path))
    group, rtt_s, has_units = stem(path), np.array(times, dtype=np.float64), "" not in units
    series = series_of_probes(
        group,
        "rtt_list",
        rtt_s,
        str(path),
        unit_s=None if has_units else 1e-3,
        is_unit_stated=has_units or not may_be_seconds(rtt_s * 1000.0),
        warnings=() if has_units else [NO_UNIT],
    )
    return {group: series}


READER = Reader("rtt_list", "a plain list of round trips, one number a line (text)", "rtt", matches, read)
