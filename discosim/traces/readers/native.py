"""Our own request table (Parquet, JSON lines or CSV).

Format: ``arrival_s`` (seconds, sorted), ``prompt_tok``, ``output_tok``; optional ``user_id``, ``session_id`` and, in
Parquet and JSON lines, ``hash_ids``. JSON may also be one array of objects.
Origin: this project.
Quirks: time starts at the first request; there is no clock tick; an empty name, null or an absent key is no name,
nor is a word that tools write for them (`names_of`).
"""

from __future__ import annotations

import difflib
from dataclasses import replace
from pathlib import Path

from discosim.traces.readers.base import Reader, RequestTrace, TimeUnit
from discosim.traces.readers.foreign import PARQUET
from discosim.traces.readers.hashes import hash_ids_of
from discosim.traces.readers.requests import build_requests
from discosim.traces.readers.source import read_bytes, read_head
from discosim.traces.readers.table import Table, names_of_table, read_csv, read_json_lines, read_parquet

COLUMNS = ("arrival_s", "prompt_tok", "output_tok")
OPTIONAL = ("user_id", "session_id", "hash_ids")
_NEAR, _LONGEST_NAME = 0.7, 40


def matches(head: bytes, path: Path) -> bool:
    """Recognise the three names in a Parquet file, in the first records of JSON or in the header of a CSV."""
    return set(COLUMNS) <= names_of_table(head, path)


def _table(path: Path) -> Table:
    head = read_head(path)
    if head.startswith(PARQUET):
        return read_parquet(path, COLUMNS, OPTIONAL)
    if head.lstrip()[:1] in {b"{", b"["}:
        return read_json_lines(read_bytes(path), path, COLUMNS, OPTIONAL)
    return read_csv(read_bytes(path), path, COLUMNS, ("user_id", "session_id"))


def read(path: Path, time_unit: TimeUnit = "auto") -> RequestTrace:
    """Read the table."""
    table = _table(path)
    trace = build_requests(
        table,
        table.ticks("arrival_s"),
        arrival="arrival_s",
        prompt="prompt_tok",
        output="output_tok",
        session="session_id",
        user="user_id",
        time_unit=time_unit,
        hash_ids=hash_ids_of(table),
        notes={"format": "native"},
    )
    return replace(trace, warnings=(*trace.warnings, *_unread(table)))


def _unread(table: Table) -> list[str]:
    """Return a doubt for each column that is not read and whose name is nearly that of an optional one."""
    said = []
    for name in (name for name in table.unread if len(name) <= _LONGEST_NAME):
        plain = name.lower().replace(" ", "_")
        near = [known for known in OPTIONAL if difflib.SequenceMatcher(None, plain, known).ratio() > _NEAR]
        if name == "hash_ids":
            said.append("the column hash_ids is not read from CSV; JSON lines and Parquet hold lists")
        elif near and not table.has(near[0]):
            said.append(f"the column {name!r} is not read; if it is meant, call it {near[0]}")
    return said


READER = Reader("native", "discosim request table (Parquet, JSON lines, CSV)", "requests", matches, read, COLUMNS)
