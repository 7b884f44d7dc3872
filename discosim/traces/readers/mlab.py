"""Round trips of Measurement Lab's speed tests (JSON: an array, or an object a line), a test a row.

Format: rows of the views ``ndt7`` and ``ndt5`` (``a.MinRTT``, ms), of the table ``tcpinfo``
(``a.FinalSnapshot.TCPInfo.MinRTT``, us), archived ndt7 tests (``Download.ServerMeasurements[].TCPInfo.MinRTT``, us;
also ``Upload``, and either inside ``raw``) and archived ndt5 tests (``S2C.MinRTT``, ns; also inside ``raw``). A row
whose ``MinRTT`` stands alone names no unit, which must be said then.
Origin: measurementlab.net, documentation of the schemas of ndt7, ndt5 and tcpinfo.
Quirks: one value for each test, the least of some 10 s: the idle path, without the queue that a test builds. Rows are
of different clients at different times, so there is no series: a user keeps the round trip of one client for a day.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from discosim.core.errors import UserError
from discosim.traces.readers.base import Reader, RttSeries
from discosim.traces.readers.columns import JsonColumn
from discosim.traces.readers.head import first_keys
from discosim.traces.readers.rtt import series_of_probes
from discosim.traces.readers.source import read_bytes, stem
from discosim.traces.readers.table import Table, read_json_lines

DAY_S = 86_400.0
"""How long a user keeps a round trip: longer than most runs (our choice)."""
_SECTIONS = ("a", "raw", "Download", "Upload", "S2C", "FinalSnapshot", "MinRTT")
_MS, _US, _NS = 1e-3, 1e-6, 1e-9
_MARKS = (b'"MinRTT"',)

Found = tuple[float, float | None]
"""A least round trip as written, and the seconds of its unit; None where the row does not tell."""


def matches(head: bytes, _path: Path) -> bool:
    """Recognise ``MinRTT`` in the sections of a row that M-Lab's schemas have."""
    return any(mark in head for mark in _MARKS) and bool(first_keys(head) & {*_SECTIONS})


def read(path: Path) -> dict[str, RttSeries]:
    """Read the one series of the file."""
    table = read_json_lines(read_bytes(path), path, (), _SECTIONS)
    rtt_s: list[float] = []
    is_stated: set[bool] = set()
    n_without = 0
    for i in range(len(table)):
        found = _least(table, i)
        if found is None:
            n_without += 1
            continue
        value, unit_s = found
        is_stated.add(unit_s is not None)
        rtt_s.append(value * (_MS if unit_s is None else unit_s))
    if not rtt_s:
        raise UserError("no row has a MinRTT above 0 where M-Lab's schemas have it", where=str(path))
    if len(is_stated) > 1:
        raise UserError("has rows of several schemas of M-Lab; put each into a file of its own", where=str(path))
    least = "Each row is of another client, and its round trip the least of a test: a user keeps one for a day, and "
    doubts = [f"{least}neither jitter nor loss is known."]
    if n_without:
        doubts.append(f"{n_without:,} of {len(table):,} rows have no MinRTT above 0 and were left out.")
    series = series_of_probes(
        stem(path),
        "mlab",
        np.array(rtt_s),
        str(path),
        spacing_s=DAY_S,
        loss_share=0.0,
        recording=np.arange(len(rtt_s), dtype=np.int64),
        unit_s=None if is_stated == {True} else _MS,
        is_unit_stated=is_stated == {True},
        counts={"rows": len(table), "without": n_without},
        warnings=doubts,
    )
    return {series.group: series}


def _least(table: Table, i: int) -> Found | None:
    """Return the least round trip of a row; None where it has none above 0."""
    row = {name: column.cells[i] for name, column in table.columns.items() if isinstance(column, JsonColumn)}
    found = [(value, unit_s) for value, unit_s in _candidates(row) if value is not None]
    for value, _ in found:
        if type(value) not in {int, float} or not -np.inf < value < np.inf:
            raise table.error(i, "MinRTT", f"expected a number, got {str(value)[:40]}")
    seen = [(float(value), unit_s) for value, unit_s in found if value > 0]
    return min(seen, key=lambda pair: pair[0] * (pair[1] or _MS), default=None)


def _candidates(row: dict[str, Any]) -> Iterator[tuple[Any, float | None]]:
    """Yield what stands where the schemas have a least round trip, with its unit; the first schema that fits."""
    for outer in (row, _inside(row, "raw")):
        for way in ("Download", "Upload"):
            for measured in _inside(outer, way).get("ServerMeasurements") or ():
                if isinstance(measured, dict):
                    yield _inside(measured, "TCPInfo").get("MinRTT"), _US
        yield _inside(outer, "S2C").get("MinRTT"), _NS
    for outer in (row, _inside(row, "a")):
        snapshot = _inside(outer, "FinalSnapshot")
        for name in ("TCPInfo", "tcpinfo"):
            yield _inside(snapshot, name).get("MinRTT"), _US
    if not any(key in row for key in ("raw", "Download", "Upload", "S2C")):
        yield _inside(row, "a").get("MinRTT"), _MS
    yield row.get("MinRTT"), None


def _inside(row: Any, key: str) -> dict[str, Any]:
    held = row.get(key) if isinstance(row, dict) else None
    return held if isinstance(held, dict) else {}


READER = Reader("mlab", "least round trips of M-Lab's tests: ndt7, ndt5, tcpinfo (JSON)", "rtt", matches, read)
