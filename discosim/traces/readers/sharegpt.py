"""ShareGPT token lengths as published by etalon (CSV).

Format: ``num_prefill_tokens,num_decode_tokens,num_total_tokens,pd_ratio``.
Origin: github.com/project-etalon/etalon, ``data/processed_traces`` (Apache-2.0).
Quirks: no arrival times; prompts include the chat so far; the total is capped at 8,192 (Llama-2 tokens).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from discosim.core.errors import UserError
from discosim.traces.readers.averages import require_no_total, require_single, telling_columns
from discosim.traces.readers.base import LengthTable, Notes, Reader
from discosim.traces.readers.chars import MOST_TOK
from discosim.traces.readers.doubts import length_doubts
from discosim.traces.readers.table import names_of_table, read_table

COLUMNS = ("num_prefill_tokens", "num_decode_tokens")


def matches(head: bytes, path: Path) -> bool:
    """Recognise the two lengths without an arrival time."""
    names = names_of_table(head, path)
    return names.issuperset(COLUMNS) and "arrived_at" not in names  # with arrivals it is Vidur's


def read(path: Path) -> LengthTable:
    """Read the lengths; rows with a length of 0 are dropped and counted."""
    table = read_table(path, COLUMNS, [name for name in telling_columns(path) if name not in COLUMNS])
    require_single(table)
    prompt_tok, output_tok = (table.counts(name, highest=MOST_TOK) for name in COLUMNS)
    rows = np.flatnonzero((prompt_tok > 0) & (output_tok > 0))
    if rows.size == 0:
        raise UserError("no row has both prompt and output tokens", where=table.label)
    notes: Notes = {"format": "sharegpt", "rows": len(table), "dropped_zero_tok": len(table) - int(rows.size)}
    prompt_tok, output_tok = prompt_tok[rows], output_tok[rows]
    total = require_no_total(table, rows, **dict(zip(COLUMNS, (prompt_tok, output_tok), strict=True)))
    return LengthTable(prompt_tok, output_tok, notes, (*length_doubts(prompt_tok, output_tok), *total))


READER = Reader("sharegpt", "ShareGPT token lengths, etalon's table (CSV)", "lengths", matches, read, COLUMNS)
