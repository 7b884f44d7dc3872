"""Ids of prompt blocks: read, and held against the lengths of the prompts."""

from __future__ import annotations

import json
from itertools import chain
from typing import Any

import numpy as np

from discosim.traces.readers.base import HashIds, Ints
from discosim.traces.readers.columns import ArrowColumn, JsonColumn, TextColumn
from discosim.traces.readers.table_base import Table

USUAL_BLOCKS_TOK = (16, 32, 64, 128, 256, 512, 1024, 2048)
"""Block sizes that are tried where the declared one does not fit: those of vLLM, SGLang, LMCache and Mooncake."""
_BEYOND = 2**63
_ID_BITS = 40
_MIX = np.uint64(0x9E3779B97F4A7C15)


def hash_ids_of(table: Table, name: str = "hash_ids") -> HashIds | None:
    """Return the block ids of all rows, or None where no row has any.

    Raises
    ------
    UserError
        At the first row whose ids are no list of whole numbers.
    """
    if not table.has(name):
        return None
    column = table.columns[name]
    if isinstance(column, TextColumn):
        cells: list[Any] = [_listed(cell) for cell in column.words().tolist()]
    else:
        assert isinstance(column, JsonColumn | ArrowColumn)
        cells = list(column.cells) if isinstance(column, JsonColumn) else column.cells.to_pylist()
    rows = [[] if cell is None else cell for cell in cells]
    fits = set(map(type, rows)) <= {list} and set(map(type, chain.from_iterable(rows))) <= {int}
    try:
        flat = np.array(list(chain.from_iterable(rows)) if fits else [_BEYOND], dtype=np.int64)
    except OverflowError:
        i = next(i for i, row in enumerate(rows) if not _is_ids(row))
        raise table.error(i, name, f"expected a list of whole numbers below 2^63, got {column.cell(i)[:80]}") from None
    if flat.size == 0:
        return None
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    return HashIds(flat, offsets)


def _listed(cell: str) -> Any:
    """Return the list that a cell of text holds, as JSON; what is none comes back as it is."""
    try:
        return json.loads(cell) if cell else None
    except (ValueError, RecursionError):
        return cell


def _is_ids(row: Any) -> bool:
    return isinstance(row, list) and all(type(x) is int and -_BEYOND <= x < _BEYOND for x in row)


def chained(ids: HashIds) -> HashIds:
    """Return ids that stand for a block *and all blocks before it*, from ids that stand for a block's content.

    A cache of prefixes may use a block only where the whole way to it is the same. Each (id, position) is scattered
    over 64 bits, and a block's new id is the sum from the first one on; ways that differ agree with probability 2^-64.
    """
    place = np.arange(ids.values.size) - np.repeat(ids.offsets[:-1], np.diff(ids.offsets))
    with np.errstate(over="ignore"):
        scattered = _scattered(ids.values.view(np.uint64) + _scattered(place.astype(np.uint64)))
        total = np.concatenate([[np.uint64(0)], np.cumsum(scattered, dtype=np.uint64)])
        sums = total[1:] - np.repeat(total[ids.offsets[:-1]], np.diff(ids.offsets))
    return HashIds(sums.view(np.int64), ids.offsets)


def _scattered(values: Any) -> Any:
    """Return 64-bit numbers scattered over all of them. Source: Steele et al., SplitMix64, OOPSLA 2014."""
    x = values + _MIX
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def is_exact(n_ids: Ints, prompt_tok: Ints, block_tok: int) -> bool:
    """Tell whether every prompt has an id for each of its blocks; the last, unfilled block may go without."""
    return bool(np.all((n_ids == prompt_tok // block_tok) | (n_ids == -(-prompt_tok // block_tok))))


def first_surplus(n_ids: Ints, prompt_tok: Ints, block_tok: int) -> int | None:
    """Return the index of the first request with more ids than its prompt has blocks, or None."""
    over = n_ids > -(-prompt_tok // block_tok)
    return int(np.argmax(over)) if over.any() else None


def block_of(ids: HashIds, prompt_tok: Ints, declared_tok: int | None) -> int | None:
    """Return the tokens that an id stands for: the declared number where it fits, else the one usual size that does.

    Parameters
    ----------
    ids : HashIds
        Block ids of all requests.
    prompt_tok : array of int, shape (n,)
        Lengths of the prompts.
    declared_tok : int, optional
        What the format says.
    """
    n_ids = np.diff(ids.offsets)
    has = n_ids > 0
    n_ids, prompt_tok = n_ids[has], prompt_tok[has]
    fitting = [size for size in USUAL_BLOCKS_TOK if is_exact(n_ids, prompt_tok, size)]
    if declared_tok is not None and first_surplus(n_ids, prompt_tok, declared_tok) is None:
        short = n_ids < prompt_tok // declared_tok
        return fitting[0] if short.all() and len(fitting) == 1 else declared_tok
    return fitting[0] if len(fitting) == 1 else None


def hash_doubts(
    ids: HashIds, prompt_tok: Ints, declared_tok: int | None, block_tok: int | None, table: Table, rows: Ints
) -> list[str]:
    """Return what to doubt about block ids, in sentences.

    Parameters
    ----------
    ids, prompt_tok, declared_tok
        As for :func:`block_of`.
    block_tok : int, optional
        What it found.
    table : Table
        The file.
    rows : array of int, shape (n,)
        Indices of the requests in it.
    """
    n_ids = np.diff(ids.offsets)
    said = []
    if declared_tok is not None and block_tok != declared_tok:
        i = first_surplus(n_ids, prompt_tok, declared_tok)
        i = int(np.argmax(n_ids > 0)) if i is None else i
        fits = (
            f"blocks of {block_tok} tokens fit; for reuse of prefixes set server.prefix_block_tok: {block_tok}"
            if block_tok is not None
            else "no usual size of blocks fits; for reuse of prefixes set server.prefix_block_tok to theirs"
        )
        said.append(
            f"hash_ids do not fit the prompts: {table.place(int(rows[i]))} has {n_ids[i]} ids for {prompt_tok[i]} "
            f"tokens, and in blocks of {declared_tok} these are {-(-prompt_tok[i] // declared_tok)}; {fits}"
        )
    elif block_tok is not None:
        short = int(np.sum((n_ids > 0) & (n_ids < prompt_tok // block_tok)))
        if short:
            said.append(
                f"hash_ids of {short} of {n_ids.size} requests cover less than their prompts in blocks of {block_tok} "
                f"tokens; what they do not name counts as never seen before"
            )
    twice = _with_repeats(ids)
    if twice.size:
        place = table.place(int(rows[twice[0]]))
        said.append(f"hash_ids name a block twice in {twice.size} of {n_ids.size} prompts (first in {place})")
    return said


def _with_repeats(ids: HashIds) -> Ints:
    """Return the indices of the requests that name a block twice."""
    row = np.repeat(np.arange(len(ids), dtype=np.uint64), np.diff(ids.offsets))
    with np.errstate(over="ignore"):
        # one sort of numbers that hold the row and most of the id; what collides is looked at for itself
        keys = np.sort(row << np.uint64(_ID_BITS) ^ _scattered(ids.values.view(np.uint64)) >> np.uint64(64 - _ID_BITS))
    perhaps = np.unique(keys[1:][keys[1:] == keys[:-1]] >> np.uint64(_ID_BITS)).astype(np.int64)
    return np.array([i for i in perhaps.tolist() if np.unique(ids[i]).size < ids[i].size], dtype=np.int64)
