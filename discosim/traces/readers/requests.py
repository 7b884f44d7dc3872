"""Rules shared by all request formats: order, zero-token rows, failed rows, ties."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from discosim.core.errors import UserError
from discosim.traces.readers.base import Bools, Floats, HashIds, Ints, Notes, RequestTrace, Words
from discosim.traces.readers.table import Table


def build_requests(
    table: Table,
    ticks: Ints | Floats,
    *,
    arrival: str,
    prompt: str,
    output: str,
    per_s: int = 1,
    tick_s: float = 0.0,
    from_first: bool = False,
    failed: Bools | None = None,
    session: str = "",
    user: str = "",
    hash_ids: HashIds | None = None,
    notes: Notes | None = None,
) -> RequestTrace:
    """Turn validated columns into a request trace and write down every rule that was applied.

    Parameters
    ----------
    table : Table
        The file.
    ticks : array, shape (n,)
        Arrival in whole or broken units; integers stay exact until the one division that makes seconds.
    arrival, prompt, output : str
        Columns the values come from.
    per_s : int
        Units of ``ticks`` in one second.
    tick_s : float
        Resolution of the file's clock; 0 where it has none to speak of.
    from_first : bool
        Count time from the first request (wall clocks) instead of the file's own zero.
    failed : array of bool, optional
        Rows the format marks as failed; they are dropped and counted.
    session, user : str
        Columns with owner names, where present.
    hash_ids : HashIds, optional
        Prefix-cache block ids of all rows.
    notes : mapping, optional
        What the format adds.

    Raises
    ------
    UserError
        If arrivals go back, a length is no whole number >= 0, or no usable row is left.
    """
    table.require_sorted(arrival, ticks)
    prompt_tok, output_tok = table.counts(prompt), table.counts(output)
    failed = np.zeros(len(table), dtype=np.bool_) if failed is None else failed
    zero = ~failed & ((prompt_tok == 0) | (output_tok == 0))
    rows = np.flatnonzero(~failed & ~zero)
    if rows.size == 0:
        raise UserError("no row has both prompt and output tokens", where=table.label)
    since = ticks[rows] - ticks[rows[0]] if from_first else ticks[rows]
    arrival_s = np.asarray(since / per_s, dtype=np.float64)

    def owner(name: str) -> Words | None:
        return table.words(name)[rows] if name and table.has(name) else None

    return RequestTrace(
        arrival_s=arrival_s,
        prompt_tok=prompt_tok[rows],
        output_tok=output_tok[rows],
        source_row=table.lines[rows],
        session_id=owner(session),
        user_id=owner(user),
        hash_ids=None if hash_ids is None else hash_ids.take(rows),
        notes={
            **(notes or {}),
            "rows": len(table),
            "dropped_failed": int(failed.sum()),
            "dropped_zero_tok": int(zero.sum()),
            "tick_s": tick_s,
            "tied": int(np.sum(np.diff(since) == 0)),
            "ties": "keep",
        },
    )


def spread_ties(trace: RequestTrace, rng: np.random.Generator) -> RequestTrace:
    """Place the requests of each clock tick uniformly inside it.

    A tick reaches from its stamp to one ``tick_s`` later, but never past the next stamp of the file, so every
    request stays in its own tick. Inside a tick the sorted draws are dealt out in file order, which equals
    drawing and sorting again.

    Parameters
    ----------
    trace : RequestTrace
        Trace whose notes name a ``tick_s`` > 0.
    rng : numpy.random.Generator
        Source of the n uniform draws.

    Raises
    ------
    UserError
        If the trace's clock has no tick.

    Notes
    -----
    Source: our choice; a clock that rounds down to the start of its tick leaves no better guess. Stamps may
    equally be ends of ticks, which would shift all requests by one tick and change no gap law.
    """
    tick_s = float(trace.notes.get("tick_s", 0.0))
    if tick_s <= 0.0:
        raise UserError("ties: spread needs a format with a clock tick; this trace has none, use ties: keep")
    stamps, tick_of = np.unique(trace.arrival_s, return_inverse=True)
    width_s = np.minimum(np.diff(stamps, append=stamps[-1] + tick_s), tick_s)
    share = rng.random(len(trace))
    share = share[np.lexsort((share, tick_of))]
    arrival_s = trace.arrival_s + share * width_s[tick_of]
    notes = {**trace.notes, "ties": "spread", "tied": int(np.sum(np.diff(arrival_s) == 0))}
    notes["spread_over_tick"] = int(trace.notes["tied"])
    return replace(trace, arrival_s=arrival_s, notes=notes)
