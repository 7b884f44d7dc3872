r"""Starlink gateway pings of the MMSys'24 data set (tab-separated text, no header).

Format: send time (epoch s) ``\t`` sequence number ``\t`` round-trip time (ms, -1 = lost).
Origin: github.com/clarkzjw/mmsys24-starlink-livestreaming-data (CC BY-SA 4.0).
Quirks: probes were 0.15 s and 0.22 s apart, not 0.1 s as the file names say; the spacing is measured from
the file.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from discosim.traces.readers.base import Reader, RttSeries
from discosim.traces.readers.rtt import series_of_probes
from discosim.traces.readers.source import first_line, read_bytes, stem
from discosim.traces.readers.table import read_csv

_LINE = re.compile(r"\d{9,}(\.\d+)?\t\d+\t-?\d+(\.\d+)?")
_LOST_MS = -1.0


def matches(head: bytes, _path: Path) -> bool:
    """Recognise the first line: an epoch time, a number and a round-trip time."""
    return _LINE.fullmatch(first_line(head)) is not None


def read(path: Path) -> dict[str, RttSeries]:
    """Read the one series of the file."""
    table = read_csv(read_bytes(path), path, ("send_time_s", "sequence", "rtt_ms"), delimiter="\t", headless=True)
    sent_s = table.numbers("send_time_s", lowest=0.0)
    table.require_sorted("send_time_s", sent_s)
    rtt_ms = table.numbers("rtt_ms")
    lost = rtt_ms == _LOST_MS
    wrong = ~lost & (rtt_ms < 0)
    if wrong.any():
        raise table.error(int(np.argmax(wrong)), "rtt_ms", "expected a time >= 0, or -1 for a lost probe")
    group = stem(path)
    spacing_s = float(np.median(np.diff(sent_s))) if len(table) > 1 else None
    rtt_s = np.where(lost, np.nan, rtt_ms / 1000.0)
    return {group: series_of_probes(group, "starlink", rtt_s, str(path), spacing_s=spacing_s)}


READER = Reader("starlink", "Starlink gateway pings, MMSys'24 (text)", "rtt", matches, read)
