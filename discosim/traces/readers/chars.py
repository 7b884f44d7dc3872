"""Lengths that a file counts in characters, as tokens."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from discosim.traces.readers.base import Ints
from discosim.traces.readers.device_rows import CHARS_PER_TOK
from discosim.traces.readers.table_base import Table

MOST_TOK = 10_000_000
"""Longest prompt or answer that is read. Source: the longest context that a public model claims (Llama 4 Scout)."""
IN_CHARS = {"prompt_tok": "prompt_chars", "output_tok": "output_chars"}
"""Our own columns of tokens, and those of characters that may stand in their place."""


def column_of(name: str, names: Collection[str]) -> str:
    """Return the column that a length is read from: its own, or that of characters where only that is there."""
    chars = IN_CHARS.get(name, name)
    return chars if name not in names and chars in names else name


def tokens_of(table: Table, name: str) -> Ints:
    """Return a column of lengths in tokens; some characters make at least one.

    Raises
    ------
    UserError
        At the first value that is no whole number of at least 0, or too long.
    """
    if name not in IN_CHARS.values():
        return table.counts(name, highest=MOST_TOK)
    chars = table.counts(name, highest=int(MOST_TOK * CHARS_PER_TOK))
    found: Ints = np.ceil(chars / CHARS_PER_TOK).astype(np.int64)
    return found


def chars_doubts(*names: str) -> list[str]:
    """Return what to say of columns of characters that lengths were read from; nothing where none was."""
    held = [name for name in names if name in IN_CHARS.values()]
    if not held:
        return []
    meant = " and ".join(tok for tok, chars in IN_CHARS.items() if chars in held)
    said = (
        f"lengths are characters ({', '.join(held)}); {CHARS_PER_TOK:g} characters were taken for a token, rounded up, "
        f"a rule of thumb for English; count with the model's tokenizer and call the column {meant} where that matters"
    )
    return [said]
