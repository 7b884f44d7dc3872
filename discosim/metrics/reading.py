"""What readers do with token timelines: consume at their own rate, wait, fall behind."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from discosim.core.timeline import Ragged, paced

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

TOLERANCE_S = 1e-9
"""Lateness up to this is rounding, not waiting; sound while absolute times stay below 40 days."""


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
    slot = np.repeat(interval_s, n_tok) * delivered.token_index()
    slot += np.repeat(first + TOLERANCE_S, n_tok)
    n_late = np.add.reduceat(delivered.values > slot, starts, dtype=np.int64)

    # A reader with no late token consumes on schedule, so every fact about the row has a closed form; only
    # the rows with a late token need the running maximum.
    last = first + (n_tok - 1) * interval_s
    delay = np.maximum(first - ttft_target_s, 0.0) * n_tok.astype(np.float64)
    delay_lagged = delay.copy()
    stall, n_stalls = np.zeros(n_tok.size), np.zeros(n_tok.size, dtype=np.int64)
    waiting = np.flatnonzero(n_late)
    rows = _rows_of(delivered, n_late > 0)
    consumed = paced(rows, interval_s[waiting])
    if waiting.size:
        last[waiting] = consumed.values[consumed.offsets[1:] - 1]
        stall[waiting], n_stalls[waiting] = _stalls(consumed, interval_s[waiting])
        delay[waiting], delay_lagged[waiting] = _delays(
            consumed, first[waiting], interval_s[waiting], ttft_target_s[waiting]
        )
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


def _rows_of(timelines: Ragged, chosen: NDArray[np.bool_]) -> Ragged:
    """Return the chosen rows as a batch of their own."""
    sizes = timelines.sizes()
    values = timelines.values[np.repeat(chosen, sizes)]
    return Ragged(values, np.concatenate(([0], np.cumsum(sizes[chosen]))))


def _stalls(consumed: Ragged, interval_s: Floats) -> tuple[Floats, Ints]:
    """Return seconds and number of the pauses in each row."""
    excess = row_gaps(consumed)
    excess -= np.repeat(interval_s, consumed.sizes())
    pausing = excess > TOLERANCE_S
    excess *= pausing
    starts = consumed.offsets[:-1]
    return np.add.reduceat(excess, starts), np.add.reduceat(pausing, starts, dtype=np.int64)


def _delays(consumed: Ragged, first_s: Floats, interval_s: Floats, ttft_target_s: Floats) -> tuple[Floats, Floats]:
    """Return the area between each consumption curve and its ideal line, for Andes' text and for its code.

    The code's curve is ``a_1 = A_1``, ``a_{i+1} = max(A_i, a_i + delta)``, which is
    ``a_{i+1} = max(c_i, A_1 + i delta)``: no second running maximum is needed.
    """
    sizes, starts = consumed.sizes(), consumed.offsets[:-1]
    lag = np.repeat(interval_s, sizes) * consumed.token_index()
    ideal = lag + np.repeat(ttft_target_s, sizes)
    lag += np.repeat(first_s, sizes)
    lagged = np.empty_like(lag)
    lagged[1:] = consumed.values[:-1]
    lagged[starts] = -np.inf
    np.maximum(lagged, lag, out=lagged)
    areas = []
    for curve in (consumed.values, lagged):
        behind = curve - ideal
        np.maximum(behind, 0.0, out=behind)
        areas.append(np.add.reduceat(behind, starts))
    return areas[0], areas[1]
