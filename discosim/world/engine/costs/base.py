"""What the engine asks of a cost model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

from discosim.core.bounds import MOST
from discosim.core.errors import UserError

Piece = tuple[float, float]
"""A piece of a prompt that does not begin at its first token: tokens cached before it, and after it."""


class CostModel(Protocol):
    """Duration of one iteration of one replica.

    A decode iteration must be linear in the KV tokens it reads: this is what the engine's leaps rest on, and what
    the published fits say (DistServe, appendix A: attention reads every cached token once).
    """

    @property
    def name(self) -> str:
        """Name for messages."""
        ...

    @property
    def n_gpus(self) -> int:
        """GPUs of one replica."""
        ...

    def prefill_s(self, tok: float, square_tok: float, later: Sequence[Piece] = ()) -> float:
        """Return the time of an iteration that only prefills, in s.

        Parameters
        ----------
        tok : float
            Tokens processed, summed over the prompts, >= 1.
        square_tok : float
            Sum over the prompts of (tokens cached after)^2 - (tokens cached before)^2: of squared prompt lengths
            where nothing is chunked.
        later : sequence of (float, float)
            The pieces among them that have a context, for models that squares do not tell enough: chunks after the
            first, and prompts of which a prefix was cached.
        """
        ...

    def decode_line(self, n: int) -> tuple[float, float]:
        """Return (seconds, seconds per KV token) of a decode iteration of ``n`` >= 1 requests."""
        ...

    def mixed_s(self, tok: float, square_tok: float, n: int, context_tok: float, later: Sequence[Piece] = ()) -> float:
        """Return the time of an iteration that prefills and decodes ``n`` requests of ``context_tok`` in total."""
        ...


def fastest_s(cost: CostModel, max_batch: int) -> float:
    """Return a lower bound on the time of any iteration, in s.

    Raises
    ------
    UserError
        If the model gives a negative, zero or non-finite time, or a negative slope, for a batch of up to
        ``max_batch`` requests or a prompt of up to 2^17 tokens.
    """
    least_s = math.inf
    for n in range(1, max_batch + 1):
        fixed_s, slope_s = cost.decode_line(n)
        if not (math.isfinite(slope_s) and slope_s >= 0.0):
            raise UserError(f"a decode batch of {n} costs {slope_s:g} s per KV token; must be >= 0", where=cost.name)
        least_s = min(least_s, _checked(cost, fixed_s + slope_s * n, f"a decode batch of {n}"))
    for power in range(18):
        tok = 1 << power
        what = f"a prefill of {tok} tokens"
        least_s = min(least_s, _checked(cost, cost.prefill_s(tok, float(tok) ** 2), what))
        _checked(cost, cost.mixed_s(tok, float(tok) ** 2, 1, 1), f"{what} beside a decode")
    return least_s


def _checked(cost: CostModel, seconds: float, what: str) -> float:
    if not 0.0 < seconds <= MOST["s"]:
        raise UserError(f"{what} takes {seconds:g} s; times must be finite and > 0, and <= 1e9 s", where=cost.name)
    return seconds
