"""Rows of a trace that are its past: a first part that is held out, or blocks drawn anew from the trace's own law."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from discosim.core.errors import UserError
from discosim.core.scenario import ReplayedWorkload
from discosim.traces.readers import HashIds, RequestTrace

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Hashes = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Parts:
    """Which rows of a trace are the past and which are the run.

    Parameters
    ----------
    n_held_out : int
        Rows at the beginning that policies may learn from and that are not replayed; 0 where none is.
    n_used : int
        Rows that count at all; the run is those from ``n_held_out`` on.
    """

    n_held_out: int
    n_used: int

    @property
    def run(self) -> slice:
        """The rows of the run."""
        return slice(self.n_held_out, self.n_used)


def parts_of(workload: ReplayedWorkload, n_rows: int) -> Parts:
    """Divide the rows of a trace between past and run.

    Raises
    ------
    UserError
        If the share that is to be held out makes not one request.
    """
    n_used = n_rows if workload.n_requests is None else workload.n_requests
    if workload.past_share is None:
        return Parts(0, n_used)
    n_held_out = int(workload.past_share * n_used)
    if n_held_out == 0:
        raise UserError(
            f"a past of {workload.past_share:g} of {n_used} requests is none; give a larger share, or null for a past "
            "drawn from the trace's law",
            where="workload.past_share",
        )
    return Parts(n_held_out, n_used)


def block_length(n_rows: int) -> int:
    """Return how many consecutive rows are drawn together: the square root of their number, rounded up.

    Source: our choice. For the variance of a mean n**(1/3) is optimal (Hall, Horowitz and Jing 1995); a queue remembers
    longer, and bursts of arrivals are what its tail consists of.
    """
    return math.ceil(math.sqrt(n_rows))


def first_rows(trace: RequestTrace, n: int) -> RequestTrace:
    """Return the first ``n`` requests of a trace."""
    return rows_of(trace, np.arange(n))


def rows_of(trace: RequestTrace, rows: Ints) -> RequestTrace:
    """Return the requests of these rows, in their order; arrivals may then not be in order."""
    return replace(
        trace,
        arrival_s=trace.arrival_s[rows],
        prompt_tok=trace.prompt_tok[rows],
        output_tok=trace.output_tok[rows],
        source_row=trace.source_row[rows],
        session_id=None if trace.session_id is None else trace.session_id[rows],
        user_id=None if trace.user_id is None else trace.user_id[rows],
        hash_ids=None if trace.hash_ids is None else trace.hash_ids.take(rows),
    )


def block_starts(n_rows: int, n: int, rng: np.random.Generator) -> tuple[Ints, int]:
    """Return the first rows of the blocks that make ``n`` rows, and their length."""
    length = block_length(n_rows)
    return rng.integers(0, n_rows, math.ceil(n / length)), length


def block_rows(n_rows: int, n: int, rng: np.random.Generator) -> Ints:
    """Return ``n`` rows in blocks of consecutive ones from random places; the last row is followed by the first.

    Source: circular block bootstrap (Politis and Romano 1992): every row is drawn equally often.
    """
    starts, length = block_starts(n_rows, n, rng)
    rows: Ints = ((starts[:, None] + np.arange(length)) % n_rows).ravel()[:n]
    return rows


@dataclass(frozen=True)
class PastRows:
    """Requests of a past, as columns of equal length.

    Parameters
    ----------
    arrival_s : array of float, shape (n,)
        Arrivals from 0, non-decreasing.
    rows : array of int, shape (n,)
        Row of the trace that each request is like.
    prefix_hashes : tuple of tuple of int or None
        Hashes of the leading blocks of each prompt, where the trace has them.
    """

    arrival_s: Floats
    rows: Ints
    prefix_hashes: Hashes | None


def held_out_rows(trace: RequestTrace, parts: Parts, n: int) -> PastRows:
    """Return the last ``n`` rows of the part that is held out, or all of it where there are fewer."""
    rows = np.arange(max(0, parts.n_held_out - n), parts.n_held_out)
    arrival_s = trace.arrival_s[rows] - trace.arrival_s[rows[0]]
    hashes = None if trace.hash_ids is None else tuple(tuple(trace.hash_ids[i].tolist()) for i in rows.tolist())
    return PastRows(arrival_s, rows, hashes)


def drawn_rows(trace: RequestTrace, n: int, rng: np.random.Generator) -> PastRows:
    """Return ``n`` requests in blocks from random places of the trace.

    Parameters
    ----------
    trace : RequestTrace
        The rows that are used.
    n : int
        Number of requests.
    rng : numpy.random.Generator
        Luck.

    Notes
    -----
    A row brings along its gap from the row before, its lengths and its user; the first row, which has none before it,
    brings the mean gap. A prompt that is drawn a second time would be found in the cache as a whole, as no prompt of
    the trace is; so hash ids that the trace has nowhere but inside the drawn block get new names with every draw.
    Those that it shares with rows outside (system prompts, long conversations) keep theirs.

    Source: our choice.
    """
    n_rows = len(trace)
    starts, length = block_starts(n_rows, n, rng)
    rows = ((starts[:, None] + np.arange(length)) % n_rows).ravel()[:n]
    gaps = np.diff(trace.arrival_s)
    gap_s = np.concatenate(([gaps.mean() if gaps.size else 0.0], gaps))[rows]
    arrival_s = np.cumsum(gap_s) - gap_s[0]
    return PastRows(arrival_s, rows, _renamed(trace, rows, starts, length))


def _renamed(trace: RequestTrace, rows: Ints, starts: Ints, length: int) -> Hashes | None:
    """Return the hashes of drawn rows; those that occur in one drawn block alone have names of their own."""
    if trace.hash_ids is None:
        return None
    ids = trace.hash_ids
    owner = np.repeat(np.arange(len(ids)), np.diff(ids.offsets))
    names, which = np.unique(ids.values, return_inverse=True)
    first, last = np.full(names.size, len(ids)), np.full(names.size, -1)
    np.minimum.at(first, which, owner)
    np.maximum.at(last, which, owner)
    free = int(names.max(initial=0)) + 1
    made: dict[tuple[int, int], int] = {}
    found: list[tuple[int, ...]] = []
    for i, row in enumerate(rows.tolist()):
        block = i // length
        begin = int(starts[block])
        mine = []
        for k in which[ids.offsets[row] : ids.offsets[row + 1]].tolist():
            is_private = first[k] == last[k] or (begin <= first[k] and last[k] < begin + length)
            mine.append(made.setdefault((block, k), free + len(made)) if is_private else int(names[k]))
        found.append(tuple(mine))
    return tuple(found)


def past_note(workload: ReplayedWorkload, n_rows: int) -> str:
    """Return where the past of a replayed trace comes from, for people."""
    parts = parts_of(workload, n_rows)
    if workload.past_share is None:
        return (
            f"drawn anew from the law of the trace, in blocks of {block_length(n_rows)} consecutive of its {n_rows:,} "
            "requests; none is held out (workload.past_share)"
        )
    return (
        f"of the first {parts.n_held_out:,} of {parts.n_used:,} requests of the trace (workload.past_share), held out; "
        f"the run is the other {parts.n_used - parts.n_held_out:,}"
    )


def redrawn(trace: RequestTrace, parts: Parts, rng: np.random.Generator) -> RequestTrace:
    """Return a version of a trace: the part that is held out as it was, then as many rows of the run in drawn blocks.

    The blocks, and what becomes of gaps, users and hash ids, are those of :func:`drawn_rows`.
    """
    n_run = parts.n_used - parts.n_held_out
    held = rows_of(trace, np.arange(parts.n_held_out, parts.n_used))
    drawn = drawn_rows(held, n_run, rng)
    rows = np.concatenate((np.arange(parts.n_held_out), parts.n_held_out + drawn.rows))
    version = rows_of(trace, rows)
    arrival_s = trace.arrival_s[: parts.n_used].copy()
    arrival_s[parts.n_held_out :] = arrival_s[parts.n_held_out] + drawn.arrival_s
    if drawn.prefix_hashes is None:
        return replace(version, arrival_s=arrival_s)
    assert trace.hash_ids is not None
    rows_of_ids = [*(trace.hash_ids[i].tolist() for i in range(parts.n_held_out)), *drawn.prefix_hashes]
    offsets = np.concatenate(([0], np.cumsum([len(ids) for ids in rows_of_ids]))).astype(np.int64)
    flat = np.fromiter(chain.from_iterable(rows_of_ids), np.int64, int(offsets[-1]))
    return replace(version, arrival_s=arrival_s, hash_ids=HashIds(flat, offsets))
