"""Our own request table (Parquet, JSON lines or CSV).

Format: ``arrival_s`` (seconds, sorted), ``prompt_tok``, ``output_tok``; optional ``user_id``, ``session_id`` and, in
Parquet and JSON lines, ``hash_ids``. In the place of either length ``prompt_chars`` or ``output_chars``, which becomes
tokens by a rule of thumb, with a warning. JSON may also be one array of objects. Columns that
say whether a request failed (`outcomes.KNOWN`) are heeded where they are clear.
Origin: this project.
Quirks: time starts at the first request; there is no clock tick; an empty name, null or an absent key is no name,
nor is a word that tools write for them (`names_of`).
"""

from __future__ import annotations

import difflib
from dataclasses import replace
from pathlib import Path

from discosim.traces.readers.averages import require_single, telling_columns
from discosim.traces.readers.base import Reader, RequestTrace, TimeUnit
from discosim.traces.readers.chars import column_of
from discosim.traces.readers.foreign import PARQUET
from discosim.traces.readers.hashes import hash_ids_of
from discosim.traces.readers.outcomes import outcome_columns, outcomes_of
from discosim.traces.readers.repeats import id_columns, require_no_twins
from discosim.traces.readers.requests import build_requests
from discosim.traces.readers.source import read_head
from discosim.traces.readers.table import Table, names_of_table, read_table

COLUMNS = ("arrival_s", "prompt_tok", "output_tok")
OPTIONAL = ("user_id", "session_id", "hash_ids")
_NEAR, _LONGEST_NAME = 0.7, 40


def matches(head: bytes, path: Path) -> bool:
    """Recognise the three names in a Parquet file, in the first records of JSON or in the header of a CSV."""
    names = names_of_table(head, path)
    return {column_of(name, names) for name in COLUMNS} <= names


def _table(path: Path) -> Table:
    head = read_head(path)
    names = names_of_table(head, path)
    is_csv = not head.startswith(PARQUET) and head.lstrip()[:1] not in {b"{", b"["}
    optional = [name for name in OPTIONAL if not (is_csv and name == "hash_ids")]
    columns = [column_of(name, names) for name in COLUMNS]
    told = [name for name in (*telling_columns(path), *id_columns(names)) if name not in columns]
    table = read_table(path, columns, list(dict.fromkeys((*optional, *sorted(outcome_columns(names)), *told))))
    require_single(table)
    for name in id_columns(table.columns):
        require_no_twins(table, name, *(table.words(column) for column in columns))
    return table


def read(path: Path, time_unit: TimeUnit = "auto") -> RequestTrace:
    """Read the table; rows that a column such as ``error`` or ``status`` calls failed are dropped and counted."""
    table = _table(path)
    said = outcomes_of(table)
    trace = build_requests(
        table,
        table.ticks("arrival_s"),
        arrival="arrival_s",
        prompt=column_of("prompt_tok", table.columns.keys()),
        output=column_of("output_tok", table.columns.keys()),
        session="session_id",
        user="user_id",
        time_unit=time_unit,
        failed=None if said.unclear else said.is_failed,
        hash_ids=hash_ids_of(table),
        notes={"format": "native"},
    )
    doubts = [
        f"the column {name} is not read, as its word in {table.place(i)} ({table.shown(name, i)}) says neither that "
        "the request succeeded nor that it failed"
        for i, name in said.unclear
    ]
    return replace(trace, warnings=(*trace.warnings, *(doubts or said.warnings), *_unread(table)))


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
