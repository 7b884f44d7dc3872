"""Traces of Qwen on Alibaba Cloud's Bailian (JSON lines).

Format: ``{"chat_id": int, "parent_chat_id": int, "timestamp": s, "input_length": tok, "output_length": tok,
"type": text, "turn": int, "hash_ids": [...]}`` a line.
Origin: github.com/alibaba-edu/qwen-bailian-usagetraces-anon (Apache-2.0; Wang et al., ATC'25).
Quirks: Mooncake's keys, but seconds with three decimals. A request is a chat of its own, and ``parent_chat_id``
names the one it goes on from (-1: none); the first chat of such a chain becomes ``session_id``, so a conversation is
one user; without ``chat_id`` nobody knows which one does. A parent that lies outside the file (a cut-out) still joins
those that go on from it; requests with one ``chat_id`` belong together. One hash id stands for 16 prompt tokens and for
their *content*; here it stands for the way to them too (:func:`.hashes.chained`), as a cache of prefixes needs it. Time
starts at the first request.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from discosim.traces.readers.base import Reader, RequestTrace, TimeUnit, Words
from discosim.traces.readers.columns import JsonColumn
from discosim.traces.readers.hashes import chained, hash_ids_of
from discosim.traces.readers.requests import build_requests
from discosim.traces.readers.source import read_head
from discosim.traces.readers.table import Table, names_of_table, read_table
from discosim.traces.readers.words import canonical, says_nothing

COLUMNS = ("timestamp", "input_length", "output_length")
CHATS = ("chat_id", "parent_chat_id")
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


def matches(head: bytes, path: Path) -> bool:
    """Recognise the keys of the first records."""
    names = names_of_table(head, path)
    return names.issuperset(COLUMNS) and not names.isdisjoint(CHATS)


def read(path: Path, time_unit: TimeUnit = "auto") -> RequestTrace:
    """Read the trace; the first chat of each conversation becomes ``session_id``."""
    named = ("chat_id",) if "chat_id" in names_of_table(read_head(path), path) else ()
    table = read_table(path, (*named, *COLUMNS), (*(name for name in CHATS if name not in named), "hash_ids"))
    stamps = table.ticks("timestamp")
    ids = hash_ids_of(table)
    has_chats = table.has(CHATS[0])
    trace = build_requests(
        _with_sessions(table) if has_chats else table,
        stamps,
        arrival="timestamp",
        prompt="input_length",
        output="output_length",
        time_unit=time_unit,
        session=_ROOT if has_chats else "",
        hash_ids=None if ids is None else chained(ids),
        hash_block_tok=BLOCK_TOK,
        notes={"format": "bailian", "sessions": "the first chat of each conversation" if has_chats else "none"},
    )
    if has_chats:
        return replace(trace, warnings=(*trace.warnings, *_twice(_chats(table, CHATS[0]))))
    doubt = "there is no chat_id, so that nobody knows which requests go on from each other: each is a user of its own"
    return replace(trace, warnings=(*trace.warnings, doubt))


def _twice(chats: Words) -> list[str]:
    """Return a doubt where ids of chats stand in several rows, each of which is one chat."""
    counts = Counter(name for name in chats.tolist() if name not in _NONE)
    most, n = max(counts.items(), key=lambda item: item[1], default=("", 1))
    if n == 1:
        return []
    n_rows = sum(held for held in counts.values() if held > 1)
    return [f"chat_id {most[:40]!r} stands in {n:,} rows ({n_rows:,} rows have an id of another): each chat is one row"]


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


READER = Reader(
    "bailian", "Qwen on Alibaba Cloud's Bailian (JSON lines)", "requests", matches, read, ("chat_id", *COLUMNS)
)
