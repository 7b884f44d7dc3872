"""QoE that live requests would have at a moment ahead, if they are served until then and if they wait.

Both curves of Andes are staircases: token i of the ideal reader falls at ``T_i = T_1 + (i - 1) delta``, the
consumption of the real one at ``C_i = max(c_i, T_i)``. Up to the horizon ``H`` each token counts from its stair on:

    QoE(H) = sum over C_i <= H of (H - C_i)  /  sum over T_i <= H of (H - T_i),    1 where nothing is expected yet.

What happened so far enters through three numbers of a request only (tokens, clock, S_delay); what is to come is
arithmetic series. Nothing loops over tokens, so a call costs a fixed number of array operations over the requests.

Source: QoE as ratio of areas of Andes (arXiv 2404.16283) v1 (secondary source), which equals v2's
``1 - S_delay/S_whole`` where H is the moment at which the last token is consumed (derived). That both curves are cut
at the horizon, and that the ideal one is not capped by the answer's unknown length, is our reading.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from discosim.world.engine.schedulers.base import LiveArrays

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ALL = slice(None)
PERFECT = 1.0 - 1e-9
"""QoE from which on a request counts as never late: rounding must not cost anybody this title."""


class FutureQoe:
    """The outlook of all live requests at one horizon.

    Parameters
    ----------
    live : LiveArrays
        The requests; only tokens, arrival, rate, target, clock and S_delay are read.
    now_s : float
        Present, in s.
    ahead_s : float
        Distance of the horizon, Delta-t of Andes, in s, >= 0; 0 gives the QoE so far.
    rows : array of int or slice, optional
        Of which requests, n in number; all where left out.
    """

    def __init__(self, live: LiveArrays, now_s: float, ahead_s: float, rows: Ints | slice = ALL) -> None:
        n = live.generated_tok[rows].astype(np.float64)
        self._now_s = now_s
        self._horizon_s = horizon = now_s + ahead_s
        self._interval_s = delta = 1.0 / live.reader_tok_per_s[rows]
        first_due_s = live.arrival_s[rows] + live.ttft_target_s[rows]
        self._expected = _series(horizon - first_due_s, delta, np.inf)
        last_due_s = first_due_s + (n - 1.0) * delta
        self._done_s = np.maximum(live.clock_s[rows], last_due_s)  # C_n; T_0 before the first token
        shown = n * (horizon - 0.5 * (first_due_s + last_due_s)) - live.delay_s[rows]
        # Tokens still in the buffer at the horizon were counted with a negative area; they are one per delta.
        self._shown = shown + _series(self._done_s - horizon, delta, n)

    def waiting(self) -> Floats:
        """Return the QoE of each request if it gets no token until the horizon, in [0, 1], shape (n,)."""
        return self._ratio(self._shown)

    def served(self, token_s: float, start_s: float | Floats = 0.0) -> Floats:
        """Return the QoE of each request if it gets a token every ``token_s`` from now on, in [0, 1], shape (n,).

        Parameters
        ----------
        token_s : float
            Time of an iteration, in s, > 0; the first token comes after ``start_s + token_s``.
        start_s : float or array of float, shape (n,)
            Delay before the service begins, in s, >= 0.
        """
        delta = self._interval_s
        pace = np.maximum(delta, token_s)
        first = self._now_s + start_s + token_s
        ready = self._done_s + delta
        # C_(n+j) = max(first + (j-1) pace, ready + (j-1) delta): a reader behind the buffer until the slower line
        # overtakes, after n_buffered tokens.
        lead = np.maximum(ready - first, 0.0)
        slower = pace - delta
        n_buffered = np.ceil(np.divide(lead, slower, out=np.full_like(lead, np.inf), where=slower > 0.0))
        n_buffered[lead == 0.0] = 0.0
        added = _series(self._horizon_s - ready, delta, n_buffered)
        finite = np.isfinite(n_buffered)
        behind = np.where(finite, self._horizon_s - first - np.where(finite, n_buffered, 0.0) * pace, -1.0)
        return self._ratio(self._shown + added + _series(behind, pace, np.inf))

    def _ratio(self, shown: Floats) -> Floats:
        """Return shown over expected area, 1 where nothing is expected."""
        ratio = np.divide(shown, self._expected, out=np.ones_like(shown), where=self._expected > 0.0)
        return np.clip(ratio, 0.0, 1.0)


def slack_s(live: LiveArrays, now_s: float) -> Floats:
    """Return how long each request could go without a token before its reader misses one, in s; < 0: it is late.

    Source: ``tokens_so_far * delta + tau - time_since_arrival``, first author's vLLM fork, ``qoe_tracker.py``.
    """
    elapsed = now_s - live.arrival_s
    return live.generated_tok / live.reader_tok_per_s + live.ttft_target_s - elapsed


def _series(x: Floats, step: Floats, n_max: float | Floats) -> Floats:
    """Return ``x + (x - step) + (x - 2 step) + ...``: the terms >= 0, at most ``n_max`` of them."""
    x = np.maximum(x, 0.0)
    n = np.minimum(np.floor(x / step) + 1.0, n_max)
    return n * x - step * (0.5 * n * (n - 1.0))
