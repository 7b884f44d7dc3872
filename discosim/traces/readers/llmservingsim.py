"""Workloads of LLMServingSim (JSON lines).

Format: ``{"input_toks": tok, "output_toks": tok, "arrival_time_ns": ns}`` a line, any order; ``input_tok_ids`` and
``output_tok_ids`` may stand beside them.
Origin: github.com/casys-kaist/LLMServingSim, ``docs/docs/workloads/jsonl-format.md`` (MIT).
Quirks: rows are sorted here by arrival, as its own loader does. A line with ``sub_requests`` is a session whose calls
follow one another's end: it has no arrivals to replay and is refused. Token ids are not read. Time starts at the first
request.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from discosim.traces.readers.base import Reader, RequestTrace, TimeUnit
from discosim.traces.readers.requests import build_requests
from discosim.traces.readers.table import names_of_table, read_table

COLUMNS = ("input_toks", "output_toks", "arrival_time_ns")
SESSION_OF_CALLS = "sub_requests"


def matches(head: bytes, path: Path) -> bool:
    """Recognise the keys of the first records, of single requests or of sessions."""
    keys = names_of_table(head, path)
    return set(COLUMNS) <= keys or {SESSION_OF_CALLS, "arrival_time_ns"} <= keys


def read(path: Path, time_unit: TimeUnit = "auto") -> RequestTrace:
    """Read the workload; ``session_id`` where it has one."""
    table = read_table(path, ("arrival_time_ns",), (*COLUMNS[:2], SESSION_OF_CALLS, "session_id"))
    if table.has(SESSION_OF_CALLS):
        i = int(np.argmin(table.columns[SESSION_OF_CALLS].blank()))
        raise table.error(
            i,
            SESSION_OF_CALLS,
            "is a session whose calls begin when the one before has ended; a trace needs the arrival of each",
        )
    for name in COLUMNS:
        if not table.has(name):
            raise table.error(0, name, f"is missing; expected {', '.join(COLUMNS)}")
    ticks = table.ticks("arrival_time_ns")
    order = np.argsort(ticks, kind="stable")
    return build_requests(
        table.take(order),
        ticks[order],
        arrival="arrival_time_ns",
        prompt="input_toks",
        output="output_toks",
        unit="ns",
        time_unit=time_unit,
        session="session_id",
        notes={"format": "llmservingsim", "sorted": int(np.sum(np.diff(ticks) < 0))},
    )


READER = Reader("llmservingsim", "LLMServingSim workload (JSON lines)", "requests", matches, read, COLUMNS)
