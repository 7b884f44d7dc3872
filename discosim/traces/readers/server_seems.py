"""What a file is that was given as a server's log and holds no rows of requests, in words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from discosim.core.errors import UserError
from discosim.traces.readers.foreign import PARQUET
from discosim.traces.readers.head import first_keys
from discosim.traces.readers.source import first_line, is_tar
from discosim.traces.readers.table_base import printable
from discosim.traces.readers.tools import other_tool

_FORMS = "JSON lines, a JSON array of objects, CSV or Parquet"
_KINDS = {list: "a list", str: "a text", bool: "true or false", int: "a number", float: "a number", type(None): "null"}
_SHOWN = 60


def refuse_no_table(head: bytes, names: Sequence[str], path: Path, row: str = "a request") -> None:
    """Raise UserError where a file plainly is no table, whatever its columns would be called.

    Parameters
    ----------
    head : bytes
        Its beginning; of a folder, the names of its files.
    names : sequence of str
        Columns or keys, as far as any are found.
    path : Path
        The file.
    row : str
        What a row is expected to be about.

    Raises
    ------
    UserError
        If it is a folder or an archive, no text, JSON of anything but objects, text without columns, or a table
        without names.
    """
    if not path.is_dir() and (known := other_tool(head)):
        raise UserError(f"is {known}", where=str(path))
    said = "is a folder; name one file of it" if path.is_dir() else _what(head, names)
    if said:
        raise UserError(f"{said}; expected a table with a row {row}: {_FORMS}", where=str(path))


def _what(head: bytes, names: Sequence[str]) -> str:
    if head.startswith(PARQUET):
        return "" if names else "is not a readable Parquet file"
    if is_tar(head):
        return "is a tar archive; unpack it and name one file"
    text = head.lstrip()
    if text[:1] in {b"[", b"{"}:
        return "" if first_keys(text) else _what_json(text.decode(errors="replace"))
    return _what_text(first_line(text), names)


def _what_text(line: str, names: Sequence[str]) -> str:
    shown = repr(line if len(line) <= _SHOWN else f"{line[:_SHOWN]}...")
    if not line:
        return "holds nothing but blanks"
    if "\ufffd" in line or printable(line.replace("\t", " ")) != line.replace("\t", " "):
        return "is no text"
    if len(names) < 2:
        return f"begins with {shown}, which names no columns"
    if all(_is_number(name) for name in names):
        return f"begins with {shown}: numbers where the names of columns should stand"
    return ""


def _what_json(text: str) -> str:
    """Return what JSON without keys is, from its beginning."""
    if text[0] == "{":
        return "is an empty JSON object" if text[1:].lstrip().startswith("}") else "begins with '{' and is no JSON"
    inner = text[1:].lstrip()
    if inner.startswith("]"):
        return "is an empty JSON list"
    if inner.startswith("{"):
        return "is a JSON list whose first entry has no keys, or is cut off"
    return "is a JSON list of lists" if inner.startswith("[") else _what_list(inner)


def _what_list(inner: str) -> str:
    """Return what text behind a bracket is that begins no object and no list."""
    try:
        first, end = json.JSONDecoder().raw_decode(inner)
    except (ValueError, RecursionError):
        return "begins with '[' and is no JSON"
    if inner[end:].lstrip()[:1] not in {",", "]", ""}:  # the stamp of a line: [2025-09-03 05:49:00]
        line = first_line(f"[{inner}".encode())[:_SHOWN]
        return f"begins with {line!r}, which is no JSON and names no columns"
    return f"is a JSON list whose first entry is {_KINDS[type(first)]}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
