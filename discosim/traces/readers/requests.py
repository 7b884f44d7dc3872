"""Rules shared by all request formats: order, zero-token rows, failed rows, ties."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from discosim.core.errors import UserError
from discosim.traces.readers.averages import require_no_total
from discosim.traces.readers.base import PER_S, Bools, Floats, HashIds, Ints, Notes, RequestTrace, Words
from discosim.traces.readers.chars import chars_doubts, tokens_of
from discosim.traces.readers.clock import finest_tick
from discosim.traces.readers.doubts import clock_doubts, length_doubts, owner_doubts, require_plausible_clock
from discosim.traces.readers.hashes import block_of, hash_doubts
from discosim.traces.readers.names import names_of
from discosim.traces.readers.repeats import repeat_doubts
from discosim.traces.readers.table_base import Table


def build_requests(
    table: Table,
    ticks: Ints | Floats,
    *,
    arrival: str,
    prompt: str,
    output: str,
    unit: str = "s",
    time_unit: str = "auto",
    per_s: int = 0,
    tick: float | None = None,
    is_whole_clock: bool = False,
    failed: Bools | None = None,
    session: str = "",
    user: str = "",
    hash_ids: HashIds | None = None,
    hash_block_tok: int | None = None,
    notes: Notes | None = None,
) -> RequestTrace:
    """Turn validated columns into a request trace and write down every rule that was applied.

    Time starts at the first request that is kept, so that a cut-out of a file, or one with stamps of a wall clock,
    means the same as the file from zero; ``notes["first_arrival"]`` keeps what was taken off, in s.

    Parameters
    ----------
    table : Table
        The file.
    ticks : array, shape (n,)
        Arrival in whole or broken units; integers stay exact until the one division that makes seconds.
    arrival, prompt, output : str
        Columns the values come from; lengths of a column of characters (`chars.IN_CHARS`) become tokens.
    unit : str
        Unit of the arrivals that the format declares: ``s, ms, us`` or ``ns``.
    time_unit : str
        What the user says the unit is; ``auto`` is the format's.
    per_s : int
        Units in one second, where the format's unit has no name; 0 elsewhere.
    tick : float, optional
        Resolution of the file's clock in units, where the format knows more than the digits (`finest_tick`) tell.
    is_whole_clock : bool
        The format's clock counts whole seconds, so that whole numbers are no sign of another unit.
    failed : array of bool, optional
        Rows the format marks as failed; they are dropped and counted.
    session, user : str
        Columns with owner names, where present.
    hash_ids : HashIds, optional
        Prefix-cache block ids of all rows.
    hash_block_tok : int, optional
        Prompt tokens of a block, as the format declares them.
    notes : mapping, optional
        What the format adds.

    Raises
    ------
    UserError
        If arrivals go back or cannot be times in this unit, a length is no whole number of at least 0 and at most
        ten million, or no usable row is left.
    """
    used = unit if time_unit == "auto" else time_unit
    units_per_s = per_s or PER_S[used]
    table.require_sorted(arrival, ticks)
    prompt_tok, output_tok = (tokens_of(table, name) for name in (prompt, output))
    failed = np.zeros(len(table), dtype=np.bool_) if failed is None else failed
    zero = ~failed & ((prompt_tok == 0) | (output_tok == 0))
    rows = _usable_rows(failed | zero, table.label)
    first, last = ticks[rows[0]], ticks[rows[-1]]
    if not per_s:
        require_plausible_clock(float(first), float(last), used, arrival, table.label, n=rows.size)
    since = ticks[rows] - first
    tick = finest_tick(ticks[rows], units_per_s) if tick is None else tick
    arrival_s = np.asarray(since / units_per_s, dtype=np.float64)
    prompt_tok, output_tok = prompt_tok[rows], output_tok[rows]
    sessions, session_doubts, doubted_sessions = names_of(table, session, rows)
    users, user_doubts, doubted_users = names_of(table, user, rows)
    hash_ids = None if hash_ids is None else hash_ids.take(rows)
    block_tok = None if hash_ids is None else block_of(hash_ids, prompt_tok, hash_block_tok)
    doubts = [*session_doubts, *user_doubts, *chars_doubts(prompt, output), *length_doubts(prompt_tok, output_tok)]
    doubts += require_no_total(table, rows, **{prompt: prompt_tok, output: output_tok})
    span = float(arrival_s[-1])
    share = tick / units_per_s / span if span > 0 else None
    doubts += repeat_doubts(prompt_tok, output_tok, clock=arrival_s, tick_share=share)
    doubts += owner_doubts(users, arrival_s, user, doubted_users) or owner_doubts(
        sessions, arrival_s, session, doubted_sessions
    )
    if not per_s:
        is_whole = bool(np.all(ticks == np.floor(ticks)))
        doubts += clock_doubts(
            arrival_s,
            used,
            arrival,
            is_whole=is_whole,
            is_chosen=time_unit != "auto",
            is_whole_usual=is_whole_clock or unit != "s",
        )
    if hash_ids is not None:
        doubts += hash_doubts(hash_ids, prompt_tok, hash_block_tok, block_tok, table, rows)
    has_names = any(name and table.has(name) for name in (user, session))
    return RequestTrace(
        arrival_s=arrival_s,
        prompt_tok=prompt_tok,
        output_tok=output_tok,
        source_row=table.lines[rows],
        session_id=sessions,
        user_id=users,
        hash_ids=hash_ids,
        hash_block_tok=block_tok,
        notes={
            "first_arrival": float(first) / units_per_s,
            **({} if per_s else {"time_unit": used}),
            **(notes or {}),
            "rows": len(table),
            "dropped_failed": int(failed.sum()),
            "dropped_zero_tok": int(zero.sum()),
            **({"unnamed": _n_nameless(rows.size, users, sessions)} if has_names else {}),
            "tick_s": tick / units_per_s,
            "tied": int(np.sum(np.diff(since) == 0)),
            "ties": "keep",
        },
        warnings=tuple(doubts),
    )


def _usable_rows(is_dropped: Bools, where: str) -> Ints:
    """Return the numbers of the rows that are kept; a UserError where there is none."""
    rows = np.flatnonzero(~is_dropped)
    if rows.size == 0:
        raise UserError("no row has both prompt and output tokens", where=where)
    return rows


def _n_nameless(n: int, *columns: Words | None) -> int:
    """Return how many of ``n`` rows have no name in any of the columns."""
    nameless = np.ones(n, dtype=np.bool_)
    for names in columns:
        if names is not None:
            nameless &= names == ""
    return int(nameless.sum())


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
        If the trace's clock has no tick: its stamps are numbers whose digits do not end.

    Notes
    -----
    Where no two requests share a stamp nothing is moved, and a warning says so.

    Source: our choice; a clock that rounds down to the start of its tick leaves no better guess. Stamps may
    equally be ends of ticks, which would shift all requests by one tick and change no gap law.
    """
    tick_s = float(trace.notes.get("tick_s", 0.0))
    if tick_s <= 0.0:
        raise UserError("ties: spread needs a format with a clock tick; this trace has none, use ties: keep")
    if not trace.notes["tied"]:
        doubt = f"ties: spread has nothing to do, no two requests share a tick of {tick_s:g} s; nothing was moved"
        return replace(trace, warnings=(*trace.warnings, doubt))
    stamps, tick_of = np.unique(trace.arrival_s, return_inverse=True)
    width_s = np.minimum(np.diff(stamps, append=stamps[-1] + tick_s), tick_s)
    share = rng.random(len(trace))
    share = share[np.lexsort((share, tick_of))]
    arrival_s = trace.arrival_s + share * width_s[tick_of]
    notes = {**trace.notes, "ties": "spread", "tied": int(np.sum(np.diff(arrival_s) == 0))}
    notes["spread_over_tick"] = int(trace.notes["tied"])
    return replace(trace, arrival_s=arrival_s, notes=notes)
