"""Metrics of streamed answers from neighbouring papers, computed on demand from token timelines.

They are no columns of requests.parquet: each asks for a parameter of its own (a deadline, a pace), and a run should
not pay for numbers that few of its readers want. Times are seconds since the arrival of the request, one row per
answer.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from discosim.core.timeline import Ragged
from discosim.metrics.reading import TOLERANCE_S, Reading

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SMOOTH_ALPHA_TOK = 2.5
"""Weight of the idle latency in smooth goodput. Source: arXiv 2410.14257, experiments (secondary source)."""


def fluidity_index(delivered: Ragged, first_deadline_s: float | Floats, token_deadline_s: float | Floats) -> Floats:
    """Return Etalon's fluidity index of every answer, in [0, 1].

    A token that is early adds to a slack which later ones may use up; a token that is later than the slack covers
    misses ``floor(lateness/token_deadline_s) + 1`` deadlines and sets the slack back to zero. The index is met
    deadlines over met and missed ones.

    Parameters
    ----------
    delivered : Ragged
        Arrival times, rows of at least one token.
    first_deadline_s, token_deadline_s : float or array of float, shape (rows,)
        Time allowed for the first token, >= 0, and for each later one, > 0.

    Source: Etalon (github.com/project-etalon/etalon), metrics documentation and code; the slack is solved as a running
    minimum, and lateness up to 1 ns is rounding (our choice).
    """
    late_s, pace = _lateness(delivered, first_deadline_s, token_deadline_s)
    is_late = late_s > TOLERANCE_S
    missed = np.where(is_late, np.floor((late_s + TOLERANCE_S) / pace) + 1.0, 0.0)
    starts = delivered.offsets[:-1]
    n_met = np.add.reduceat(~is_late, starts, dtype=np.float64)
    index: Floats = n_met / (n_met + np.add.reduceat(missed, starts))
    return index


def share_on_time(delivered: Ragged, first_deadline_s: float | Floats, token_deadline_s: float | Floats) -> Floats:
    """Return the share of each answer's tokens that meet their deadline, each late token counted once.

    Source: the simpler form of the fluidity index in Etalon's documentation.
    """
    late_s, _ = _lateness(delivered, first_deadline_s, token_deadline_s)
    n_late = np.add.reduceat(late_s > TOLERANCE_S, delivered.offsets[:-1], dtype=np.float64)
    share: Floats = 1.0 - n_late / delivered.sizes()
    return share


def _lateness(
    delivered: Ragged, first_deadline_s: float | Floats, token_deadline_s: float | Floats
) -> tuple[Floats, Floats]:
    """Return by how much each token exceeds deadline plus slack (0 where it does not), and the pace of its row.

    With X_i = first deadline + (i - 1) pace - t_i, the slack is X_i minus the running minimum of X and 0; a late token
    is one at which that minimum falls.
    """
    sizes = delivered.sizes()
    pace = np.repeat(np.broadcast_to(np.asarray(token_deadline_s, dtype=float), sizes.shape), sizes)
    first = np.repeat(np.broadcast_to(np.asarray(first_deadline_s, dtype=float), sizes.shape), sizes)
    lowest = first + delivered.token_index() * pace - delivered.values
    np.minimum(lowest, 0.0, out=lowest)
    for start, end in pairwise(delivered.offsets.tolist()):
        row = lowest[start:end]
        np.minimum.accumulate(row, out=row)
    before = np.empty_like(lowest)
    before[1:] = lowest[:-1]
    before[delivered.offsets[:-1]] = 0.0
    return before - lowest, pace


def fluid_token_rate(
    delivered: Ragged, first_deadline_s: float | Floats, *, level: float = 0.9, share: float = 0.99
) -> float:
    """Return the highest steady token rate, in tok/s, at which enough answers are fluid.

    Parameters
    ----------
    delivered : Ragged
        Arrival times, rows of at least one token.
    first_deadline_s : float or array of float, shape (rows,)
        Time allowed for the first token, in s.
    level, share : float
        An answer is fluid with an index of at least ``level``; ``share`` of the answers must be, both in (0, 1].

    Returns
    -------
    float
        1/(smallest token deadline), to a relative 1e-6; 0 where not even one token in 1,000 s is enough.

    Source: Etalon: 1 over the smallest deadline such that 99 % of the requests have an index of at least 0.9. Found by
    bisection on a logarithmic scale (our choice).
    """
    low, high = 1e-6, 1e3

    def is_enough(pace: float) -> bool:
        return bool((fluidity_index(delivered, first_deadline_s, pace) >= level).mean() >= share)

    if not is_enough(high):
        return 0.0
    while high / low > 1.0 + 1e-6:
        middle = float(np.sqrt(low * high))
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return 1.0 / high


def idle_latency_s(delivered: Ragged, pace_s: float | Floats, first_deadline_s: float | Floats | None = None) -> Floats:
    """Return the user idle latency of each answer: how long the reader waits in all, max(t_i - d_i), >= 0.

    Parameters
    ----------
    delivered : Ragged
        Arrival times, rows of at least one token.
    pace_s : float or array of float, shape (rows,)
        Time of one token at the pace of the reader, > 0.
    first_deadline_s : float or array of float, optional
        Deadline of the first token. Where left out, deadlines are ``d_i = i pace_s``, as in the paper; with it
        ``d_i = first_deadline_s + (i - 1) pace_s``, the ideal line of Andes.

    Source: smooth goodput (arXiv 2410.14257; secondary source). That it is never negative is our choice.
    """
    sizes = delivered.sizes()
    pace = np.broadcast_to(np.asarray(pace_s, dtype=float), sizes.shape)
    first = (
        pace if first_deadline_s is None else np.broadcast_to(np.asarray(first_deadline_s, dtype=float), sizes.shape)
    )
    behind = delivered.values - np.repeat(pace, sizes) * delivered.token_index()
    worst: Floats = np.maximum.reduceat(behind, delivered.offsets[:-1]) - first
    return np.maximum(worst, 0.0)


def smooth_benefit_tok(
    delivered: Ragged,
    pace_s: float | Floats,
    *,
    alpha: float = SMOOTH_ALPHA_TOK,
    penalty: Literal["seconds", "tokens"] = "seconds",
) -> Floats:
    """Return what each answer contributes to smooth goodput, n - alpha f(l), in tokens; it may be negative.

    The paper leaves f open. ``seconds`` reads f(l) = l in seconds; ``tokens`` reads f(l) = l/pace, the tokens that
    could have been read meanwhile, which makes alpha a pure number.

    Source: arXiv 2410.14257: sum(n_r - alpha f(l_r))/T, alpha = 2.5 (secondary source); both readings are ours.
    """
    idle = idle_latency_s(delivered, pace_s)
    lost = idle if penalty == "seconds" else idle / pace_s
    benefit: Floats = delivered.sizes() - alpha * lost
    return benefit


def smooth_goodput_tok_per_s(
    delivered: Ragged,
    pace_s: float | Floats,
    span_s: float,
    *,
    alpha: float = SMOOTH_ALPHA_TOK,
    penalty: Literal["seconds", "tokens"] = "seconds",
) -> float:
    """Return the smooth goodput of a run that lasted ``span_s``; see :func:`smooth_benefit_tok`."""
    return float(smooth_benefit_tok(delivered, pace_s, alpha=alpha, penalty=penalty).sum()) / span_s


def slo_goodput_tok_per_s(delivered: Ragged, pace_s: float | Floats, span_s: float) -> float:
    """Return the tokens per second of the answers whose every token i came by ``i pace_s``.

    Source: token-deadline SLO and goodput in arXiv 2410.14257 (secondary source).
    """
    met = idle_latency_s(delivered, pace_s) <= TOLERANCE_S
    return float(delivered.sizes()[met].sum()) / span_s


def stall_ratio(reading: Reading) -> Floats:
    """Return the share of each reader's session, from the first to the last token, that was waiting, in [0, 1].

    0 for answers of one token. Source: stall ratio of Eloquent (arXiv 2401.12961), share of the session spent waiting
    for a token to be rendered; that the session begins with the first token is our reading.
    """
    session = reading.last_s - reading.first_s
    return np.divide(reading.stall_s, session, out=np.zeros_like(session), where=session > 0.0)


def tds_tok_per_s(delivered: Ragged) -> Floats:
    """Return the token delivery speed of each answer, (n - 1)/(t_n - t_1); NaN for answers of one token.

    Source: TDS of Andes (arXiv 2404.16283); the reciprocal of ``tpot_s``.
    """
    n_gaps = delivered.sizes() - 1
    span = delivered.values[delivered.offsets[1:] - 1] - delivered.values[delivered.offsets[:-1]]
    speed: Floats = np.where(n_gaps > 0, np.inf, np.nan)
    return np.divide(n_gaps, span, out=speed, where=span > 0.0)
