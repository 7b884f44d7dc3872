"""Our own request table (Parquet, JSON lines or CSV).

Format: ``arrival_s`` (seconds from 0, sorted), ``prompt_tok``, ``output_tok``; optional ``user_id``,
``session_id`` and, in Parquet and JSON lines, ``hash_ids``.
Origin: this project.
Quirks: the file's own zero is kept, so a trace may begin with a pause; there is no clock tick.
"""

from __future__ import annotations

from pathlib import Path

from discosim.traces.readers.base import Reader, RequestTrace
from discosim.traces.readers.mooncake import hash_ids_of
from discosim.traces.readers.requests import build_requests
from discosim.traces.readers.source import first_line, read_bytes, read_head
from discosim.traces.readers.table import Table, header_of, read_csv, read_json_lines, read_parquet

COLUMNS = ("arrival_s", "prompt_tok", "output_tok")
OPTIONAL = ("user_id", "session_id", "hash_ids")
_PARQUET_MAGIC = b"PAR1"


def matches(head: bytes, _path: Path) -> bool:
    """Recognise Parquet, or the three names in the first line of JSON lines or CSV."""
    if head.startswith(_PARQUET_MAGIC):
        return True
    line = first_line(head)
    if line.startswith("{"):
        return all(f'"{name}"' in line for name in COLUMNS)
    return set(COLUMNS) <= set(header_of(head))


def _table(path: Path) -> Table:
    head = read_head(path)
    if head.startswith(_PARQUET_MAGIC):
        return read_parquet(path, COLUMNS, OPTIONAL)
    if first_line(head).startswith("{"):
        return read_json_lines(read_bytes(path), path, COLUMNS, OPTIONAL)
    return read_csv(read_bytes(path), path, COLUMNS, ("user_id", "session_id"))


def read(path: Path) -> RequestTrace:
    """Read the table."""
    table = _table(path)
    return build_requests(
        table,
        table.numbers("arrival_s", lowest=0.0),
        arrival="arrival_s",
        prompt="prompt_tok",
        output="output_tok",
        session="session_id",
        user="user_id",
        hash_ids=hash_ids_of(table),
        notes={"format": "native"},
    )


READER = Reader("native", "discosim request table (Parquet, JSON lines, CSV)", "requests", matches, read)
