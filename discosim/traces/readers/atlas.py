"""Pings of RIPE Atlas (JSON: an array, or an object a line), as its API gives the results of a measurement.

Format: ``{"type": "ping", "prb_id": 1003, "msm_id": 1, "timestamp": 1700000000, "dst_name": "example.org", "step": 240,
"result": [{"rtt": 11.2}, {"x": "*"}, {"rtt": 11.3, "dup": 1}, {"error": "..."}]}``; times in ms.
Origin: RIPE NCC, documentation of the results of probes (https://atlas.ripe.net/docs/apis/result-format/).
Quirks: a result holds several packets, a second apart unless the measurement says otherwise, which results do not tell;
minutes lie between results. A duplicate is left out. Several probes stand in one file: each is a path of its own, as
they are in different places. Results come in any order and are sorted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from discosim.core.errors import UserError
from discosim.traces.readers.base import Ints, Reader, RttSeries
from discosim.traces.readers.columns import JsonColumn
from discosim.traces.readers.head import first_keys
from discosim.traces.readers.rtt import series_of_probes
from discosim.traces.readers.runs import rows_by_name
from discosim.traces.readers.source import read_bytes
from discosim.traces.readers.table import Table, read_json_lines

_KEYS = ("prb_id", "timestamp", "result")
PACKETS_APART_S = 1.0
"""Source: the default interval of a ping measurement, 1,000 ms."""


def matches(head: bytes, _path: Path) -> bool:
    """Recognise the keys that all results of Atlas have."""
    return first_keys(head).issuperset({*_KEYS, "msm_id"})


def read(path: Path) -> dict[str, RttSeries]:
    """Read the pings of each probe, by ``probe 1003``, in the order in which probes first appear."""
    table = read_json_lines(read_bytes(path), path, _KEYS, ("type", "dst_name", "dst_addr"))
    if table.has("type"):
        for i, kind in enumerate(table.words("type").tolist()):
            if kind not in {"", "ping"}:
                raise table.error(i, "type", f"is a {kind} of RIPE Atlas; its pings are read, of any kind of target")
    probe, at_s = table.counts("prb_id"), table.numbers("timestamp", lowest=0.0)
    return {
        name: _series(name, table, rows[np.argsort(at_s[rows], kind="stable")], at_s)
        for name, rows in rows_by_name([f"probe {number}" for number in probe.tolist()]).items()
    }


def _series(name: str, table: Table, rows: Ints, at_s: Any) -> RttSeries:
    rtt_ms: list[float] = []
    result_of: list[int] = []
    counts = {"results": int(rows.size), "duplicates": 0}
    for place, i in enumerate(rows.tolist()):
        for packet in _packets(table, i):
            if "dup" in packet or "late" in packet:
                counts["duplicates"] += 1
            else:
                rtt_ms.append(_rtt_ms(table, i, packet))
                result_of.append(place)
    if not rtt_ms:
        raise UserError("holds no packet", where=f"{table.label} {name}")
    recording = np.array(result_of, dtype=np.int64)
    between_s = float(np.median(np.diff(at_s[rows]))) if rows.size > 1 else None
    is_burst = len(rtt_ms) > rows.size
    targets = {
        str(word) for key in ("dst_name", "dst_addr") if table.has(key) for word in table.words(key)[rows] if word
    }
    doubts = [] if len(targets) <= 2 else [f"The results are of {len(targets)} targets, read as one path."]
    if is_burst:
        doubts.append(
            "Packets of a result were taken to be 1 s apart, the default of Atlas; how one result leads to the next "
            "is not in the memory of the series."
        )
    return series_of_probes(
        name,
        "atlas",
        np.array(rtt_ms) / 1000.0,
        f"{table.label} {name}",
        spacing_s=PACKETS_APART_S if is_burst else between_s,
        recording=recording if is_burst else None,
        counts=counts,
        warnings=doubts,
    )


def _packets(table: Table, i: int) -> list[dict[str, Any]]:
    column = table.columns["result"]
    assert isinstance(column, JsonColumn)
    packets = column.cells[i]
    if not isinstance(packets, list) or not all(isinstance(packet, dict) for packet in packets):
        raise table.error(i, "result", f"expected a list of packets, got {column.cell(i)[:60]}")
    return packets


def _rtt_ms(table: Table, i: int, packet: dict[str, Any]) -> float:
    """Return the round trip of a packet; NaN where it is lost: ``x``, or an error."""
    if "rtt" not in packet:
        return np.nan
    value = packet["rtt"]
    if type(value) not in {int, float} or not 0.0 <= value < np.inf:
        raise table.error(i, "result", f"expected a round trip in ms of at least 0, got {str(value)[:40]}")
    return float(value)


READER = Reader("atlas", "pings of RIPE Atlas (JSON)", "rtt", matches, read)
