"""Traces of Qwen on Alibaba Cloud's Bailian (JSON lines).

Format: ``{"chat_id": int, "parent_chat_id": int, "timestamp": s, "input_length": tok, "output_length": tok,
"type": text, "turn": int, "hash_ids": [...]}`` a line.
Origin: github.com/alibaba-edu/qwen-bailian-usagetraces-anon (Apache-2.0; Wang et al., ATC'25).
Quirks: Mooncake's keys, but seconds with three decimals. A request is a chat of its own, and ``parent_chat_id``
names the one it goes on from (-1: none); the first chat of such a chain becomes ``session_id``, so a conversation is
one user. A parent that lies outside the file (a cut-out) still joins those that go on from it; requests with one
``chat_id`` belong together. One hash id stands for 16 prompt tokens and for their *content*; here it stands for the
way to them too (:func:`.hashes.chained`), as a cache of prefixes needs it. Time starts at the first request.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from discosim.traces.readers.base import Reader, RequestTrace, TimeUnit, Words
from discosim.traces.readers.columns import JsonColumn
from discosim.traces.readers.hashes import chained, hash_ids_of
from discosim.traces.readers.head import first_keys
from discosim.traces.readers.requests import build_requests
from discosim.traces.readers.source import read_bytes
from discosim.traces.readers.table import Table, read_json_lines
from discosim.traces.readers.words import canonical, says_nothing

COLUMNS = ("chat_id", "timestamp", "input_length", "output_length")
BLOCK_TOK = 16
_ROOT = "session"
_NONE = {"", "-1"}


def roots_of(chat: Words, parent: Words) -> Words:
    """Return the first chat of the chain that each request goes on from.

    Parameters
    ----------
    chat, parent : array of str objects, shape (n,)
        Name of each request's chat, and of the one before it; ``-1`` or nothing where it begins one.
    """
    before: dict[str, str] = {}
    for name, above in zip(chat.tolist(), parent.tolist(), strict=True):
        if above not in _NONE or name not in before:
            before[name] = above
    root: dict[str, str] = {}
    for name in before:
        way, at = [], name
        while at not in root:
            way.append(at)
            root[at] = at  # an end so far: it also stops a chain that bites its tail
            at = above if (above := before.get(at, "")) not in _NONE else at
        root.update(dict.fromkeys(way, root[at]))
    return np.array([root[name] if name not in _NONE else "" for name in chat.tolist()], dtype=np.object_)


def matches(head: bytes, _path: Path) -> bool:
    """Recognise the keys of the first records."""
    return set(COLUMNS) <= first_keys(head)


def read(path: Path, time_unit: TimeUnit = "auto") -> RequestTrace:
    """Read the trace; the first chat of each conversation becomes ``session_id``."""
    table = read_json_lines(read_bytes(path), path, COLUMNS, ("parent_chat_id", "hash_ids"))
    stamps = table.ticks("timestamp")
    ids = hash_ids_of(table)
    return build_requests(
        _with_sessions(table),
        stamps,
        arrival="timestamp",
        prompt="input_length",
        output="output_length",
        time_unit=time_unit,
        session=_ROOT,
        hash_ids=None if ids is None else chained(ids),
        hash_block_tok=BLOCK_TOK,
        notes={"format": "bailian", "sessions": "the first chat of each conversation"},
    )


def _chats(table: Table, name: str) -> Words:
    """Return the names of chats, empty where there is none."""
    words = [canonical(word) for word in table.words(name).tolist()]
    return np.array(["" if says_nothing(word) else word for word in words], dtype=np.object_)


def _with_sessions(table: Table) -> Table:
    chats = _chats(table, "chat_id")
    parents = (
        _chats(table, "parent_chat_id") if table.has("parent_chat_id") else np.full(chats.size, "", dtype=np.object_)
    )
    roots = roots_of(chats, parents)
    return Table(table.label, {**table.columns, _ROOT: JsonColumn(roots.tolist())}, table.lines, table.row_word)


READER = Reader("bailian", "Qwen on Alibaba Cloud's Bailian (JSON lines)", "requests", matches, read, COLUMNS)
