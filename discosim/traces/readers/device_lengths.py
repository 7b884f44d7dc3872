"""Lengths of a device's prompts and answers in tokens, from counts of tokens or of characters."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from discosim.traces.readers.base import Bools, Floats
from discosim.traces.readers.device_rows import CHARS_PER_TOK
from discosim.traces.readers.server_names import Named
from discosim.traces.readers.table import Table


def lengths_of(
    table: Table, fields: Mapping[str, Named], kept: Bools, chars_per_tok: float | None
) -> tuple[Floats, Floats, list[str]]:
    """Return the lengths of prompts and of answers in tokens, NaN where unknown, and what was done to get them."""
    per_tok = CHARS_PER_TOK if chars_per_tok is None else chars_per_tok
    found: list[Floats] = []
    counted: list[str] = []
    for side in ("prompt", "output"):
        if f"{side}_tok" in fields or f"{side}_chars" not in fields:
            found.append(_counts(table, fields.get(f"{side}_tok"), kept))
            continue
        named = fields[f"{side}_chars"]
        tok = _counts(table, named, kept) / per_tok
        found.append(tok if side == "prompt" else np.where(tok > 0, np.maximum(tok, 1.0), tok))
        counted.append(named.name)
    if not counted:
        return found[0], found[1], []
    how = "as you said" if chars_per_tok is not None else "a rule of thumb; say --chars-per-tok N"
    note = (
        f"Lengths are characters ({', '.join(counted)}); {per_tok:g} characters were taken for a token ({how}), so "
        "figures per token carry that factor, and times of the same texts do not."
    )
    return found[0], found[1], [note]


def _counts(table: Table, named: Named | None, kept: Bools) -> Floats:
    if named is None:
        return np.full(len(table), np.nan)
    seen = kept & ~table.columns[named.name].blank()
    return np.where(seen, table.counts(named.name, only=seen).astype(float), np.nan)
