"""A measured grid, interpolated: prefill time over batched tokens, decode time over the batch.

Source: the form of Splitwise's performance model (times looked up over batched tokens, a mixed batch costs 1.1 times
its prefill); the slope over KV tokens, fitted to the same measurements, and what a chunk pays for its context are ours.

The context of a chunk. The curve T is measured on prompts that are prefilled whole, so that T(c) is what c tokens cost
without any before them. Attention of a chunk reads the tokens before it too, and the curve knows how much that is:
while a prompt grows from a to b tokens it rises by T(b) - T(a), attention to the first a included. What an iteration
has to do once, whatever its tokens (read the weights), runs beside the arithmetic; it is in T(b - a) and not in that
difference. So a chunk from a to b costs the longer of the two,

    max(T(b - a), T(b) - T(a)),

and several chunks of an iteration, c tokens together, max(T(c), sum of T(b_i) - T(a_i)). Where T is straight a context
costs nothing, as nothing was measured; where it bends upwards a chunk pays for the bend. Summed over the chunks
0 < b_1 < ... < b_m of a prompt that is at least T(b_1) + sum of (T(b_i) - T(b_(i-1))) = T(b_m): chunks are never
cheaper than the whole. At 512 tokens they are dearer by up to a quarter in the shipped tables, as Sarathi-Serve (OSDI
2024, recollected) reports. Source: our choice; no chunks were measured.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from discosim.world.engine.costs.base import Piece

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

    def prefill_s(
        self,
        tok: float,
        square_tok: float,  # noqa: ARG002 - squares are in the measured curve
        later: Sequence[Piece] = (),
    ) -> float:
        """Return the measured time for this many batched tokens, and what pieces with a context add to it.

        Whose tokens they are makes no difference to the first.
        """
        time_s = self._whole_s(tok)
        return time_s + self.context_s(later) if later else time_s

    def context_s(self, later: Sequence[Piece]) -> float:
        """Return what pieces of prompts cost more than as many tokens without a context, in s; see the module."""
        slices_s = tok = 0.0
        for before_tok, after_tok in later:
            slices_s += self._whole_s(after_tok) - self._whole_s(before_tok)
            tok += after_tok - before_tok
        return max(0.0, slices_s - self._whole_s(tok))

    def _whole_s(self, tok: float) -> float:
        return _read(self.prefill_tok, self.prefill_times_s, tok)

    def decode_line(self, n: int) -> tuple[float, float]:
        """Return the measured time for this batch without its KV part, and the KV slope."""
        return _read(self.decode_batch, self.decode_times_s, n), self.s_per_context_tok

    def mixed_s(self, tok: float, square_tok: float, n: int, context_tok: float, later: Sequence[Piece] = ()) -> float:
        """Return 1.1 times the prefill of all batched tokens, or the decode alone where that takes longer."""
        fixed_s, slope_s = self.decode_line(n)
        return max(MIXED_FACTOR * self.prefill_s(tok + n, square_tok, later), fixed_s + slope_s * context_tok)


def _read(grid: Sequence[float], values: Sequence[float], x: float) -> float:
    """Interpolate; below the grid hold the first value, above it go on along the last piece."""
    if x <= grid[0]:
        return values[0]
    at = min(bisect_right(grid, x), len(grid) - 1)
    low, high = grid[at - 1], grid[at]
    return values[at - 1] + (values[at] - values[at - 1]) * (x - low) / (high - low)
