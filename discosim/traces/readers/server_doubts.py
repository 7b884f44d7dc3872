"""What contradicts itself in a server's log: whole answers, long queues, clocks put back, several models."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np

from discosim.core.errors import MANY
from discosim.traces.readers.base import Bools, Floats, Ints
from discosim.traces.readers.clock import hour_back
from discosim.traces.readers.columns import ArrowColumn
from discosim.traces.readers.outcomes import plain_name
from discosim.traces.readers.server_times import Times
from discosim.traces.readers.table import Table

_STREAM = frozenset({"stream", "streaming", "streamed", "is_stream", "is_streaming", "is_streamed", "use_streaming"})
_MODEL = frozenset({"model", "model_name", "model_id", "served_model", "served_model_name"})
_NOT = frozenset({"false", "0", "no", "n", "f"})
_AT_ONCE_S_PER_TOK, _AT_ONCE_IF_SAID = 1e-5, 1e-4
"""Time per token after the first below which TTFT and whole time are one; and where a column says that the answer was
not streamed. Source: our choice; no stream has 10,000 tokens a second."""
_BURST_TOK = 8
"""Answers up to this length may come whole in one iteration (speculative decoding). Source: our choice."""
_SLACK_S = 1e-3
"""By how much a queue may exceed its TTFT, as rounding makes it."""
_OFFSET = re.compile(r"(?:Z|[+-]\d\d:?\d\d)$")


def beside_times(names: Iterable[str]) -> list[str]:
    """Return the columns that are neither times nor lengths and are looked at here."""
    return [name for name in names if plain_name(name) in _STREAM | _MODEL]


def without_stream(
    table: Table, ok: Bools, ttft_s: Floats, e2e_s: Floats, output_tok: Ints
) -> tuple[Floats, bool, list[str]]:
    """Return the TTFT, NaN where the answer was not streamed; whether any was; and what to say.

    Parameters
    ----------
    table : Table
        The file.
    ok : array of bool, shape (n,)
        Rows whose times count.
    ttft_s, e2e_s : array of float, shape (n,)
        As the file has them.
    output_tok : array of int, shape (n,)
        Tokens of the answers.

    Notes
    -----
    Who gets his answer whole sees its first token with its last: such a TTFT is a whole time.
    """
    column = next((name for name in table.columns if plain_name(name) in _STREAM), None)
    said = np.zeros(len(table), dtype=np.bool_)
    if column is not None:
        said = np.array([word.lower() in _NOT for word in table.words(column).tolist()], dtype=np.bool_)
    seen = ok & np.isfinite(ttft_s)
    both = seen & np.isfinite(e2e_s) & (output_tok > 1)
    at_once = both & (e2e_s - ttft_s <= np.where(said, _AT_ONCE_IF_SAID, _AT_ONCE_S_PER_TOK) * (output_tok - 1))
    if not at_once.all(where=both) and not (at_once & (said | (output_tok > _BURST_TOK))).any():
        at_once[:] = False
    told = []
    if n := int(at_once.sum()):
        whole = "have a TTFT that is their whole time, with more than one token"
        told.append(f"{n:,} of {int(ok.sum()):,} requests {whole}: these answers were not streamed, and have no TTFT.")
    if n := int((said & both & ~at_once).sum()):
        told.append(
            f"{n:,} requests have a TTFT before their end although {column} says that they were not streamed: it is "
            "taken for the server's own stamp, and counts."
        )
    return np.where(at_once, np.nan, ttft_s), not seen.any() or bool((seen & ~at_once).any()), told


def queue_doubts(name: str, ttft_s: Floats, e2e_s: Floats, queue_s: Floats) -> list[str]:
    """Return what to doubt where requests waited beyond their first token, or their last where that alone is known."""
    until_s = np.where(np.isfinite(ttft_s), ttft_s, e2e_s)
    with np.errstate(invalid="ignore"):
        longer = queue_s > until_s + _SLACK_S
    if not (n := int(longer.sum())):
        return []
    both = int((np.isfinite(queue_s) & np.isfinite(until_s)).sum())
    what = "TTFT" if np.isfinite(ttft_s[longer]).any() else "whole time"
    queue, until = (float(np.median(times_s[longer])) for times_s in (queue_s, until_s))
    said = f"{name} exceeds the {what} in {n:,} of {both:,} rows (medians there {queue:.4g} and {until:.4g} s)"
    return [f"{said}: does the {what} leave the queue out? It has to count from the arrival, the queue within."]


def models_in(table: Table, kept: Bools) -> tuple[tuple[str, ...], list[str]]:
    """Return the names of the models of a log, and what to doubt where it is of several."""
    names: dict[str, None] = {}
    told = []
    for name in (name for name in table.columns if plain_name(name) in _MODEL):
        words, counts = np.unique(table.words(name)[kept].astype(str), return_counts=True)
        held = [(word, n) for word, n in zip(words.tolist(), counts.tolist(), strict=True) if word]
        names |= dict.fromkeys(word for word, _ in held)
        if len(held) > 1:
            shown = ", ".join(f"{word} ({n:,})" for word, n in held[:MANY]) + (", ..." if len(held) > MANY else "")
            told.append(
                f"{name} names {len(held)} models: {shown}. All requests are read as those of one server; keep the "
                "rows of one model to fit it."
            )
    return tuple(names), told


def wall_clock_doubts(table: Table, begin: Times) -> list[str]:
    """Return what to doubt where dates without an offset from UTC go back by an hour in the order of the file."""
    column = table.columns[begin.name]
    if isinstance(column, ArrowColumn):
        if column.moments_ns() is None or getattr(column.cells.type, "tz", None) is not None:
            return []
    else:
        word = next((word for word in table.words(begin.name)[begin.seen].tolist() if word), "")
        if ":" not in word or _OFFSET.search(word):
            return []
    assert begin.per_s is not None
    return hour_back(begin.ticks[begin.seen] / begin.per_s, begin.name)
