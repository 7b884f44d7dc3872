"""Tables of lengths alone, in the columns of any format of requests (CSV, JSON lines, Parquet).

Format: two columns of tokens, prompt and answer, named as a format of requests names them (``prompt_tok, output_tok``;
``input_length, output_length``; ``ContextTokens, GeneratedTokens``; ...), and none with arrivals.
Origin: this project.
Quirks: other columns are ignored; rows with a length of 0 are dropped and counted. The pair that Vidur and etalon use
has a reader of its own (``sharegpt``).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from discosim.core.errors import UserError
from discosim.traces.readers.averages import require_no_total, require_single, telling_columns
from discosim.traces.readers.base import LengthTable, Notes, Reader
from discosim.traces.readers.chars import chars_doubts, tokens_of
from discosim.traces.readers.doubts import length_doubts
from discosim.traces.readers.source import read_head
from discosim.traces.readers.table import Table, names_of_table, read_table

PAIRS = (
    ("prompt_tok", "output_tok"),
    ("prompt_chars", "output_tok"),
    ("prompt_tok", "output_chars"),
    ("prompt_chars", "output_chars"),
    ("input_length", "output_length"),
    ("ContextTokens", "GeneratedTokens"),
    ("Request tokens", "Response tokens"),
    ("prompt_size", "token_size"),
    ("input_toks", "output_toks"),
    ("input_tokens", "output_tokens"),
)
"""Columns of native, in tokens or characters, Mooncake, Azure, BurstGPT, splitwise-sim, LLMServingSim and BLIS."""
ARRIVALS = frozenset({"arrival_s", "arrived_at"})
_TIMES = ("time", "ttft", "latency", "tpot", "itl", "first_token", "queued")
"""Parts of names in tables of latencies and of iteration times, which hold lengths beside them."""


def pair_of(names: frozenset[str]) -> tuple[str, str] | None:
    """Return the two columns of lengths among names that hold no time, or None."""
    lower = [name.lower() for name in names]
    if names & ARRIVALS or any(part in name for name in lower for part in _TIMES):
        return None
    return next((pair for pair in PAIRS if names.issuperset(pair)), None)


def matches(head: bytes, path: Path) -> bool:
    """Recognise two columns of lengths without any of times."""
    return pair_of(names_of_table(head, path)) is not None


def _table(path: Path) -> tuple[Table, tuple[str, str]]:
    head = read_head(path)
    names = names_of_table(head, path)
    pair = next((pair for pair in PAIRS if names.issuperset(pair)), PAIRS[0])
    table = read_table(path, pair, [name for name in telling_columns(path) if name not in pair])
    require_single(table)
    return table, pair


def read(path: Path) -> LengthTable:
    """Read the lengths."""
    table, pair = _table(path)
    prompt_tok, output_tok = (tokens_of(table, name) for name in pair)
    rows = np.flatnonzero((prompt_tok > 0) & (output_tok > 0))
    if rows.size == 0:
        raise UserError("no row has both prompt and output tokens", where=table.label)
    prompt_tok, output_tok = prompt_tok[rows], output_tok[rows]
    notes: Notes = {"format": "lengths", "rows": len(table), "dropped_zero_tok": len(table) - int(rows.size)}
    total = require_no_total(table, rows, **dict(zip(pair, (prompt_tok, output_tok), strict=True)))
    doubts = (*chars_doubts(*pair), *length_doubts(prompt_tok, output_tok), *total)
    return LengthTable(prompt_tok, output_tok, notes, doubts)


READER = Reader("lengths", "lengths of prompts and answers alone (CSV, JSON lines, Parquet)", "lengths", matches, read)
