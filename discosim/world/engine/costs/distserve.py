"""DistServe's form: linear and quadratic in the prefilled tokens, linear in the decode batch and its KV tokens.

Source: DistServe (OSDI 2024), simulator and its fitted profiles (public repository); the analytic form behind it
stands in the paper's appendix A. What the simulator adds for a Python engine (2 ms an iteration) is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from discosim.world.engine.costs.base import Piece

Line = tuple[float, float, float]

LARGE_BATCH = 95
"""Batches above it have a fit of their own. Source: DistServe's profiles."""


@dataclass(frozen=True)
class DistServeCost:
    """Iteration times from three fitted lines.

    Parameters
    ----------
    prefill : (float, float, float)
        a, b, c of a + b * tokens + c * squared tokens, in s.
    decode_small, decode_large : (float, float, float)
        a, b, c of a + b * KV tokens + c * batch, in s, for batches up to ``LARGE_BATCH`` and above.
    name : str
        Name of the preset.
    n_gpus : int
        GPUs of one replica.

    Notes
    -----
    A mixed iteration costs its prefill plus what the decodes add to their own fixed part: weights are read once.
    Source: our choice; the published simulator has no fit for mixed batches.
    """

    prefill: Line
    decode_small: Line
    decode_large: Line
    name: str = "distserve"
    n_gpus: int = 1

    def prefill_s(
        self,
        tok: float,
        square_tok: float,
        later: Sequence[Piece] = (),  # noqa: ARG002 - in the squares
    ) -> float:
        """Return a + b * tokens + c * squares, in s."""
        a, b, c = self.prefill
        return a + b * tok + c * square_tok

    def decode_line(self, n: int) -> tuple[float, float]:
        """Return (a + c * batch, b) of the regime of this batch."""
        a, b, c = self.decode_small if n <= LARGE_BATCH else self.decode_large
        return a + c * n, b

    def mixed_s(
        self,
        tok: float,
        square_tok: float,
        n: int,
        context_tok: float,
        later: Sequence[Piece] = (),  # noqa: ARG002
    ) -> float:
        """Return the prefill's time plus the decodes' own part of theirs."""
        _, b, c = self.decode_small if n <= LARGE_BATCH else self.decode_large
        return self.prefill_s(tok, square_tok) + c * n + b * context_tok
