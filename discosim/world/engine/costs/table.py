"""A measured grid, interpolated: prefill time over batched tokens, decode time over the batch.

Source: the form of Splitwise's performance model (times looked up over batched tokens, a mixed batch costs 1.1 times
its prefill); the slope over KV tokens is ours, fitted to the same measurements.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

MIXED_FACTOR = 1.1
"""Source: splitwise-sim, cost of a mixed batch relative to its prefill."""


@dataclass(frozen=True)
class TableCost:
    """Iteration times read from two measured curves, continued along their last piece.

    Parameters
    ----------
    prefill_tok, prefill_times_s : tuple of float
        Batched prompt tokens, rising, and the time of an iteration that prefills them.
    decode_batch, decode_times_s : tuple of float
        Batch sizes, rising, and the decode time without its KV part.
    s_per_context_tok : float
        Decode time per KV token read, >= 0.
    name : str
        Name of the table.
    n_gpus : int
        GPUs of one replica.
    """

    prefill_tok: tuple[float, ...]
    prefill_times_s: tuple[float, ...]
    decode_batch: tuple[float, ...]
    decode_times_s: tuple[float, ...]
    s_per_context_tok: float
    name: str = "table"
    n_gpus: int = 1

    def prefill_s(self, tok: float, square_tok: float) -> float:  # noqa: ARG002 - squares are in the measured curve
        """Return the measured time for this many batched tokens, whatever prompts they belong to."""
        return _read(self.prefill_tok, self.prefill_times_s, tok)

    def decode_line(self, n: int) -> tuple[float, float]:
        """Return the measured time for this batch without its KV part, and the KV slope."""
        return _read(self.decode_batch, self.decode_times_s, n), self.s_per_context_tok

    def mixed_s(self, tok: float, square_tok: float, n: int, context_tok: float) -> float:
        """Return 1.1 times the prefill of all batched tokens, or the decode alone where that takes longer."""
        fixed_s, slope_s = self.decode_line(n)
        return max(MIXED_FACTOR * self.prefill_s(tok + n, square_tok), fixed_s + slope_s * context_tok)


def _read(grid: Sequence[float], values: Sequence[float], x: float) -> float:
    """Interpolate; below the grid hold the first value, above it go on along the last piece."""
    if x <= grid[0]:
        return values[0]
    at = min(bisect_right(grid, x), len(grid) - 1)
    low, high = grid[at - 1], grid[at]
    return values[at - 1] + (values[at] - values[at - 1]) * (x - low) / (high - low)
