"""Answers that were not streamed, among others that were: their TTFT is the time of the whole answer, and is none."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from discosim.traces.readers.base import Bools, Floats, Ints
from discosim.traces.readers.outcomes import plain_name
from discosim.traces.readers.table_base import Table
from discosim.traces.readers.words import unquoted

_NAMES = frozenset({"stream", "streaming", "streamed", "is_stream", "is_streaming", "is_streamed", "use_stream"})
_NO = frozenset({"false", "0", "no", "n", "f", "off", "non_streaming", "non-streaming", "not streamed"})


def stream_columns(names: Iterable[str]) -> list[str]:
    """Return the columns that say whether an answer was streamed, those that stand twice left out."""
    present = list(names)
    return [name for name in present if plain_name(name) in _NAMES and present.count(name) == 1]


def streamed_of(table: Table) -> Bools | None:
    """Return False where a row says that its answer was not streamed; None where the table has no such column."""
    names = stream_columns(table.columns)
    if not names:
        return None
    words = table.words(names[0]).tolist()
    return np.array([unquoted(word).lower() not in _NO for word in words], dtype=np.bool_)


def one_piece(
    ttft_s: Floats, e2e_s: Floats, tpot_s: Floats, output_tok: Ints | None, streamed: Bools | None
) -> tuple[Bools, str]:
    """Return the rows whose TTFT is the time of the whole answer, which was not streamed, and what to say of them.

    Parameters
    ----------
    ttft_s, e2e_s, tpot_s : array of float, shape (n,)
        Times of the successes, in s; NaN elsewhere, and where they were not seen.
    output_tok : array of int, shape (n,), optional
        Tokens of the answers.
    streamed : array of bool, shape (n,), optional
        What a column says of each row; None where there is none.

    Notes
    -----
    Source: our choice. A row that says it was not streamed has no TTFT. Without a word, several tokens whose first came
    with the last came in one piece: where other rows were streamed, their TTFT is another figure than that of these.
    """
    seen = ttft_s > 0
    whole = seen & (ttft_s == e2e_s) & ~(tpot_s > 0)
    whole &= False if output_tok is None else output_tok > 1
    found = whole if streamed is None else seen & (~streamed | whole)
    n, n_seen = int(found.sum()), int(seen.sum())
    if not n or n == n_seen:
        return np.zeros(seen.size, dtype=np.bool_), ""
    why = (
        "their TTFT is their whole time" if streamed is None else "a column says so, or their TTFT is their whole time"
    )
    return found, f"{n:,} of {n_seen:,} answers were not streamed ({why}): they have no TTFT and are left out of it."
