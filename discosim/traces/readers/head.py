"""What the beginning of a file shows: the keys of its first JSON records, wherever they stand."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from discosim.traces.readers.source import HEAD_BYTES, first_line, read_bytes

_FIRST = 20
"""Records that are looked at: the first one may lack a key that is optional."""
_KEY = re.compile(r'"([^"\\]{1,80})"\s*:')
_LONGEST_TEXT, _MOST_KEYS, _DEEPEST = 80, 10_000, 8


def first_keys(head: bytes) -> frozenset[str]:
    """Return the keys of the first records of JSON lines or of a JSON array; none where the head is no JSON.

    A first record that is cut or damaged gives what looks like its keys, so that its reader can say what is wrong.
    """
    text = head.decode(errors="replace").lstrip()
    if text.startswith("["):
        records = _elements(text)
    elif text.startswith("{"):
        records = [record for line in text.split("\n")[:_FIRST] if (record := _decoded(line)) is not None]
        records = records or _elements("[" + text)
    else:
        return frozenset()
    if not any(isinstance(record, dict) for record in records):
        return frozenset(_KEY.findall(first_line(head)))
    return frozenset(key for record in records if isinstance(record, dict) for key in record)


def outline(path: Path, head: bytes) -> bytes:
    """Return a JSON file's first value with all its keys, long lists and texts cut; nothing where the head shows it.

    The order of keys says nothing about a file, and a list of a million numbers may stand before the key that does.
    """
    text = head.decode(errors="replace").lstrip()
    if len(head) < HEAD_BYTES - 8 or text[:1] not in {"{", "["} or _decoded(text.split("\n", 1)[0]) is not None:
        return b""
    try:
        whole = read_bytes(path).decode(errors="replace").lstrip()
        value, _ = json.JSONDecoder().raw_decode(whole)
        return json.dumps(_shortened(value, _DEEPEST)).encode(errors="replace") + b"\n"
    except (ValueError, RecursionError):
        return b""


def _elements(text: str) -> list[Any]:
    decode, at = json.JSONDecoder().raw_decode, 1
    found: list[Any] = []
    while len(found) < _FIRST:
        at += len(text[at:]) - len(text[at:].lstrip(" \t\r\n,"))
        try:
            value, at = decode(text, at)
        except (ValueError, RecursionError):
            break
        found.append(value)
    return found


def _decoded(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _shortened(value: Any, depth: int) -> Any:
    if depth == 0:
        return None
    if isinstance(value, dict):
        return {key: _shortened(value[key], depth - 1) for key in list(value)[:_MOST_KEYS]}
    if isinstance(value, list):
        return [_shortened(item, depth - 1) for item in value[:1]]
    return value[:_LONGEST_TEXT] if isinstance(value, str) else value
