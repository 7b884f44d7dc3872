"""Application round-trip times of the uncore data set (text, one number a line).

Format: one round-trip time in milliseconds a line, in measuring order, no header, no clock. So is anybody's list of
round trips; one with units or lost probes is ``rtt_list``.
Origin: github.com/uncore-team/marginal_rtt_modeling (GPL-3.0), Zenodo 10.5281/zenodo.14967644.
Quirks: any column of numbers looks like this format; numbers that never fall are taken for time stamps
(mahimahi delivery opportunities, for instance) and not recognised. About 15 ms of each 1 kB value of the
browser series is server time, and a few values are seconds to minutes (client asleep): clipping is left to
the caller.
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path

from discosim.traces.readers.base import Reader, RttSeries
from discosim.traces.readers.rtt import series_of_probes
from discosim.traces.readers.source import HEAD_BYTES, read_bytes, stem
from discosim.traces.readers.table import read_csv
from discosim.traces.readers.units import NO_UNIT, may_be_seconds

_NUMBER = re.compile(rb"\d+(\.\d+)?\r?")


def matches(head: bytes, _path: Path) -> bool:
    """Recognise plain numbers, one a line, that do not only rise."""
    lines = [line for line in head.split(b"\n") if line.strip()]
    if len(head) >= HEAD_BYTES - 3:
        lines = lines[:-1]  # the last line of a head may be cut
    if not lines or not all(_NUMBER.fullmatch(line) for line in lines):
        return False
    return any(float(a) > float(b) for a, b in itertools.pairwise(lines))


def read(path: Path) -> dict[str, RttSeries]:
    """Read the one series of the file."""
    table = read_csv(read_bytes(path), path, ("rtt_ms",), headless=True)
    rtt_ms, group = table.numbers("rtt_ms", lowest=0.0), stem(path)
    series = series_of_probes(
        group,
        "uncore",
        rtt_ms / 1000.0,
        str(path),
        is_unit_stated=not may_be_seconds(rtt_ms),
        warnings=[NO_UNIT],
    )
    return {group: series}


READER = Reader("uncore", "round-trip times in ms, one a line, such as uncore's series (text)", "rtt", matches, read)
