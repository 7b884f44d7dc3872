"""Mooncake traces, FAST'25 release (JSON lines), whole milliseconds.

Those who replay them want ``hash_ids`` in every line, one for each begun block of 512 prompt tokens, and keep 32 bits
of each (the loader of Dynamo and AISimulate: "trace line 1 is missing hash_ids"; a prompt with fewer ids is cut without
a word). So a request without ids, or the blocks that its ids do not reach, get ids of their own, which no other request
has and which claim no reuse. Ids of smaller blocks are put together to blocks of 512: equal as far as whole blocks are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np

from discosim.traces.readers.base import HashIds, RequestTrace
from discosim.traces.readers.hashes import first_surplus
from discosim.traces.readers.mooncake import BLOCK_TOK
from discosim.traces.writers.base import Files, Writer, new_ties, whole_units

_IDS = 2**32


def write(trace: RequestTrace, path: Path) -> Files:
    """Return the file."""
    ids, said = _ids_of(trace)
    stamps = whole_units(trace, 1000)
    columns = zip(stamps.tolist(), trace.prompt_tok.tolist(), trace.output_tok.tolist(), ids, strict=True)
    names = ("timestamp", "input_length", "output_length", "hash_ids")
    lines = [json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in columns]
    return Files({path: "".join(lines).encode()}, (*said, *new_ties(trace, stamps, "ms")))


def _ids_of(trace: RequestTrace) -> tuple[list[list[int]], tuple[str, ...]]:
    """Return an id for each begun block of each prompt, and what was done."""
    n_blocks = (-(-trace.prompt_tok // BLOCK_TOK)).tolist()
    if trace.hash_ids is None:
        new = count()
        own = [[next(new) for _ in range(n)] for n in n_blocks]
        return own, ("hash_ids of their own for every request: they claim no reuse of prefixes",)
    ids, said = _of_blocks(trace.hash_ids, trace)
    if any(not 0 <= x < _IDS for row in ids for x in row):
        number: dict[int, int] = {}
        ids = [[number.setdefault(x, len(number)) for x in row] for row in ids]
        said = (*said, "hash_ids numbered anew from 0: those who replay them keep 32 bits")
    new = count(max((x for row in ids for x in row), default=-1) + 1)
    short = sum(len(row) < n for row, n in zip(ids, n_blocks, strict=True))
    if short:
        said = (*said, f"hash_ids of their own for what {short} requests do not name: it claims no reuse")
    return [[*row, *_next(new, n - len(row))] for row, n in zip(ids, n_blocks, strict=True)], said


def _next(new: Iterator[int], n: int) -> list[int]:
    return [next(new) for _ in range(n)]


def _of_blocks(held: HashIds, trace: RequestTrace) -> tuple[list[list[int]], tuple[str, ...]]:
    """Return ids of blocks of 512 tokens: the trace's own, or put together, or none where their size is unknown."""
    rows = [held[i].tolist() for i in range(len(held))]
    block_tok = trace.hash_block_tok
    if block_tok is None and first_surplus(np.diff(held.offsets), trace.prompt_tok, BLOCK_TOK) is None:
        block_tok = BLOCK_TOK
    if block_tok == BLOCK_TOK:
        return rows, ()
    if block_tok is None or BLOCK_TOK % block_tok:
        size = "of an unknown size" if block_tok is None else f"of {block_tok} tokens"
        return [[] for _ in rows], (f"the trace's hash_ids left out: they stand for blocks {size}",)
    per_block = BLOCK_TOK // block_tok
    number: dict[tuple[int, ...], int] = {}
    joined = []
    for row in rows:
        before, found = -1, []
        for at in range(0, len(row), per_block):
            before = number.setdefault((before, *row[at : at + per_block]), len(number))
            found.append(before)
        joined.append(found)
    return joined, (f"hash_ids of blocks of {block_tok} tokens put together to blocks of {BLOCK_TOK}",)


WRITER = Writer(
    "mooncake",
    "Mooncake trace, FAST'25 release (JSON lines)",
    "whole ms",
    frozenset({"hash_ids"}),
    (".jsonl", ".json"),
    write,
)
