"""What readers do with token timelines: consume at their own rate, wait, fall behind."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from discosim.core.timeline import Ragged, held_back, schedule_lag

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

TOLERANCE_S = 1e-9
"""Lateness up to this is rounding, not waiting; sound while absolute times stay below 40 days."""


PLAIN_S = 1e6
"""Reading times up to this (11 days) are known to the tolerance without a look at each token."""


@dataclass(frozen=True)
class Reading:
    """Facts about the readers of many answers, one entry per answer; build it with :func:`read`.

    Times are seconds since the arrival of the request. ``A_i`` is the arrival of token i at the client,
    ``D_i`` the moment at which the reader consumes it: ``D_1 = A_1``, ``D_i = max(A_i, D_{i-1} + 1/r)``.
    The ideal line is ``T_i = tau + (i - 1)/r`` with the TTFT target ``tau``.

    Parameters
    ----------
    n_tok : array of int
        Tokens of the answer, >= 1.
    interval_s, ttft_target_s : array of float
        Reading time of one token ``1/r``, and ``tau``.
    first_s, last_s : array of float
        Consumption of the first and of the last token, ``D_1`` and ``D_n``.
    n_tok_late : array of int
        Tokens with ``A_i > A_1 + (i - 1)/r + 1e-9``: late for their slot in the uninterrupted reading
        schedule.
    stall_s : array of float
        Total length of the pauses.
    n_stalls : array of int
        Number of pauses: ``D_i - D_{i-1} > 1/r + 1e-9``; a pause lasts the excess over ``1/r``.
    delay_s : array of float
        ``sum(max(D_i - T_i, 0))``.
    delay_lagged_s : array of float
        The same sum for the curve of Andes' code, which charges a late token from the next one on.
    kept_waiting : array of int
        Indices of the answers with a late token.
    consumed : Ragged
        ``D_i`` of those answers; all others are consumed exactly on schedule.

    Notes
    -----
    Source: consumption curve of Andes (arXiv 2404.16283) v2, c_i = max(delivery_i, c_{i-1} + delta). Late
    tokens are our reading of DiSCo's "delayed tokens", which the parts of the paper we could read name
    without a formula. The threshold of a pause is our choice.
    """

    n_tok: Ints
    interval_s: Floats
    ttft_target_s: Floats
    first_s: Floats
    last_s: Floats
    n_tok_late: Ints
    stall_s: Floats
    n_stalls: Ints
    delay_s: Floats
    delay_lagged_s: Floats
    kept_waiting: Ints
    consumed: Ragged


def read(delivered: Ragged, interval_s: Floats, ttft_target_s: Floats) -> Reading:
    """Let each reader consume one row of arrival times; O(tokens).

    Parameters
    ----------
    delivered : Ragged
        Arrival times at the client since the arrival of the request, non-decreasing, rows of at least one
        token.
    interval_s : array of float, shape (rows,)
        Reading time of one token, > 0.
    ttft_target_s : array of float, shape (rows,)
        TTFT the reader expects, >= 0.
    """
    n_tok, starts = delivered.sizes(), delivered.offsets[:-1]
    first = delivered.values[starts]
    last = first + (n_tok - 1) * interval_s

    # Gaps of at most a reading time leave no token late, nor does rounding: it stays below 5 units in the last place
    # of a slot, which is under the tolerance up to PLAIN_S. So only rows with a longer gap are looked at by token.
    longest_s = np.maximum.reduceat(row_gaps(delivered), starts)
    doubtful = np.flatnonzero(~((longest_s <= interval_s) & (last <= PLAIN_S)))
    rows = delivered.take(doubtful)
    lag = schedule_lag(rows, interval_s[doubtful])
    n_late = np.zeros(n_tok.size, dtype=np.int64)
    n_late[doubtful] = _n_late(rows, lag, first[doubtful])

    # A reader with no late token consumes on schedule, so every fact about the row has a closed form; only
    # the rows with a late token need the running maximum.
    delay = np.maximum(first - ttft_target_s, 0.0) * n_tok.astype(np.float64)
    delay_lagged = delay.copy()
    stall, n_stalls = np.zeros(n_tok.size), np.zeros(n_tok.size, dtype=np.int64)
    waiting = np.flatnonzero(n_late)
    among = np.flatnonzero(n_late[doubtful])
    lag = Ragged(lag, rows.offsets).take(among).values
    rows = rows.take(among)
    consumed = held_back(rows, lag)
    if waiting.size:
        last[waiting] = consumed.values[consumed.offsets[1:] - 1]
        stall[waiting], n_stalls[waiting] = _stalls(consumed, interval_s[waiting])
        delay[waiting], delay_lagged[waiting] = _delays(consumed, lag, first[waiting], ttft_target_s[waiting])
    return Reading(
        n_tok,
        interval_s,
        ttft_target_s,
        first,
        last,
        n_late,
        stall,
        n_stalls,
        delay,
        delay_lagged,
        waiting,
        consumed,
    )


def row_gaps(timelines: Ragged) -> Floats:
    """Return the gap before each token, seconds, shape (tokens,); the first token of every row has gap 0."""
    gaps = np.empty_like(timelines.values)
    np.subtract(timelines.values[1:], timelines.values[:-1], out=gaps[1:])
    gaps[timelines.offsets[:-1]] = 0.0
    return gaps


def _n_late(rows: Ragged, lag_s: Floats, first_s: Floats) -> Ints:
    """Return how many tokens of each row come after their slot."""
    slot = np.repeat(first_s + TOLERANCE_S, rows.sizes())
    slot += lag_s
    return np.diff(np.searchsorted(np.flatnonzero(rows.values > slot), rows.offsets))


def _stalls(consumed: Ragged, interval_s: Floats) -> tuple[Floats, Ints]:
    """Return seconds and number of the pauses in each row."""
    excess = row_gaps(consumed)
    excess -= np.repeat(interval_s, consumed.sizes())
    pausing = excess > TOLERANCE_S
    excess *= pausing
    starts = consumed.offsets[:-1]
    return np.add.reduceat(excess, starts), np.add.reduceat(pausing, starts, dtype=np.int64)


def _delays(consumed: Ragged, lag_s: Floats, first_s: Floats, ttft_target_s: Floats) -> tuple[Floats, Floats]:
    """Return the area between each consumption curve and its ideal line, for Andes' text and for its code.

    ``lag_s`` is what each token of an uninterrupted reading comes after the first.

    The code's curve is ``a_1 = A_1``, ``a_{i+1} = max(A_i, a_i + delta)``, which is
    ``a_{i+1} = max(c_i, A_1 + i delta)``: no second running maximum is needed.
    """
    sizes, starts = consumed.sizes(), consumed.offsets[:-1]
    ideal = np.repeat(ttft_target_s, sizes)
    ideal += lag_s
    behind = consumed.values - ideal
    np.maximum(behind, 0.0, out=behind)
    area = np.add.reduceat(behind, starts)
    lagged = np.repeat(first_s, sizes)
    lagged += lag_s
    at_first = lagged[starts]
    np.maximum(lagged[1:], consumed.values[:-1], out=lagged[1:])
    lagged[starts] = at_first
    np.subtract(lagged, ideal, out=behind)
    np.maximum(behind, 0.0, out=behind)
    return area, np.add.reduceat(behind, starts)
