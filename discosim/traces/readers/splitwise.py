"""Request traces of splitwise-sim (CSV).

Format: ``request_id,request_type,application_id,arrival_timestamp,batch_size,prompt_size,token_size``,
seconds.
Origin: github.com/Mutinifni/splitwise-sim (MIT).
Quirks: time starts at the first request; ``token_size`` is the output length; ``batch_size`` is always 1 and ignored;
``application_id`` names a service, not a user, and is ignored.
"""

from __future__ import annotations

from pathlib import Path

from discosim.traces.readers.base import Reader, RequestTrace, TimeUnit
from discosim.traces.readers.requests import build_requests
from discosim.traces.readers.table import names_of_table, read_table

COLUMNS = ("arrival_timestamp", "prompt_size", "token_size")


def matches(head: bytes, path: Path) -> bool:
    """Recognise the three column names that matter."""
    return names_of_table(head, path).issuperset(COLUMNS)


def read(path: Path, time_unit: TimeUnit = "auto") -> RequestTrace:
    """Read the trace."""
    table = read_table(path, COLUMNS)
    return build_requests(
        table,
        table.ticks("arrival_timestamp"),
        arrival="arrival_timestamp",
        prompt="prompt_size",
        output="token_size",
        time_unit=time_unit,
        notes={"format": "splitwise"},
    )


READER = Reader("splitwise", "splitwise-sim request trace (CSV)", "requests", matches, read, COLUMNS)
