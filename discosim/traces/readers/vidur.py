"""Vidur's processed traces (CSV).

Format: ``arrived_at,num_prefill_tokens,num_decode_tokens``, seconds.
Origin: github.com/microsoft/vidur, ``data/processed_traces`` (MIT).
Quirks: time starts at the first request; extra columns are ignored. The same file without ``arrived_at`` is a length
table (``sharegpt``).
"""

from __future__ import annotations

from pathlib import Path

from discosim.traces.readers.base import Reader, RequestTrace, TimeUnit
from discosim.traces.readers.requests import build_requests
from discosim.traces.readers.table import names_of_table, read_table

COLUMNS = ("arrived_at", "num_prefill_tokens", "num_decode_tokens")


def matches(head: bytes, path: Path) -> bool:
    """Recognise the three column names."""
    return names_of_table(head, path).issuperset(COLUMNS)


def read(path: Path, time_unit: TimeUnit = "auto") -> RequestTrace:
    """Read the trace."""
    table = read_table(path, COLUMNS)
    return build_requests(
        table,
        table.ticks("arrived_at"),
        arrival="arrived_at",
        prompt="num_prefill_tokens",
        output="num_decode_tokens",
        time_unit=time_unit,
        notes={"format": "vidur"},
    )


READER = Reader("vidur", "Vidur processed trace with arrival times (CSV)", "requests", matches, read, COLUMNS)
