"""BurstGPT traces, both schemas (CSV).

Format: ``Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type``; newer files add ``Session
ID`` and ``Elapsed time``.
Origin: github.com/HPMLL/BurstGPT (CC BY 4.0).
Quirks: column names hold spaces; whole seconds from midnight of the first day, so ties abound; a response
of 0 tokens is a failed request (dropped and counted); ``Elapsed time`` is end-to-end, not TTFT, and is not
read. Time starts at the first request. Rows of the API log have no session: each is a user of its own.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from discosim.traces.readers.base import Reader, RequestTrace, TimeUnit
from discosim.traces.readers.requests import build_requests
from discosim.traces.readers.table import names_of_table, read_table

COLUMNS = ("Timestamp", "Model", "Request tokens", "Response tokens")


def matches(head: bytes, path: Path) -> bool:
    """Recognise the column names common to both schemas."""
    return names_of_table(head, path).issuperset(COLUMNS)


def read(path: Path, time_unit: TimeUnit = "auto") -> RequestTrace:
    """Read the trace; the session id becomes ``session_id`` where the file has it."""
    table = read_table(path, COLUMNS, ("Session ID",))
    stamps = table.ticks("Timestamp")
    return build_requests(
        table,
        stamps,
        arrival="Timestamp",
        prompt="Request tokens",
        output="Response tokens",
        time_unit=time_unit,
        is_whole_clock=True,
        failed=table.counts("Response tokens") == 0,
        session="Session ID",
        notes={
            "format": "burstgpt",
            "schema": "with sessions" if table.has("Session ID") else "without sessions",
            "n_models": int(np.unique(table.words("Model")).size),
        },
    )


READER = Reader("burstgpt", "BurstGPT trace, both schemas (CSV)", "requests", matches, read, COLUMNS)
