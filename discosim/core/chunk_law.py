"""How the tokens of a stream come together: plain data, shared by digests and the world, and draws from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from discosim.core.empirical import CorrelatedSeries, QuantileTable

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
LEAST_NOISE = 1e-4
"""Least variance that a latent value has of its own, so that what a law remembers never decides all."""


@dataclass(frozen=True, kw_only=True)
class ChunkLaw:
    """Events of a stream: how many tokens each brings, and how long the next one takes to come.

    Parameters
    ----------
    size : CorrelatedSeries
        Tokens that an event brings, >= 1, of event after event; sampled as the nearest integer.
    gap : CorrelatedSeries
        Time from an event to the next over the stream's mean time per token, > 0, of gap after gap.
    size_then_gap : float
        Latent correlation of an event's size with the gap behind it, in (-1, 1).
    gap_then_size : float
        Latent correlation of a gap with the size of the event that ends it, in (-1, 1).
    first : QuantileTable or None
        Tokens of a stream's first event; None where it is like the others.

    Notes
    -----
    Sizes and gaps in turn, s_0, g_0, s_1, g_1, ..., are a Gaussian copula over a process in which each latent value
    depends on the two before it: the correlations of neighbours, and of neighbours but one of the same kind, are those
    given. Source: our choice; the smallest process that keeps both marginals, both memories, and that a long wait ends
    in a large burst (OpenAI's streams) or follows one (Azure's).
    """

    size: CorrelatedSeries
    gap: CorrelatedSeries
    size_then_gap: float = 0.0
    gap_then_size: float = 0.0
    first: QuantileTable | None = None

    def __post_init__(self) -> None:
        least = min(self.size.table.values[0], 1.0 if self.first is None else self.first.values[0])
        if least < 1 or not self.gap.table.values[0] > 0:
            raise ValueError("a law of chunks needs events of at least one token and gaps > 0")
        if min(self.own_noise()) < LEAST_NOISE / 2:
            raise ValueError("no process has these four correlations of sizes and gaps")

    def weights(self) -> tuple[float, float, float, float]:
        """Return how a size follows from the size and the gap before it, and a gap from the gap and the size."""
        before, after = self.size_then_gap, self.gap_then_size
        of_size, of_gap = self.size.latent_rho, self.gap.latent_rho
        left = max(1.0 - before * before, 1e-12)
        right = max(1.0 - after * after, 1e-12)
        return (
            (of_size - after * before) / left,
            (after - of_size * before) / left,
            (of_gap - before * after) / right,
            (before - of_gap * after) / right,
        )

    def own_noise(self) -> tuple[float, float]:
        """Return the variance of the latent size, and of the latent gap, that nothing before it explains."""
        size_size, gap_size, gap_gap, size_gap = self.weights()
        return (
            1.0 - size_size * self.size.latent_rho - gap_size * self.gap_then_size,
            1.0 - gap_gap * self.gap.latent_rho - size_gap * self.size_then_gap,
        )

    def sample(self, n: int, rng: np.random.Generator) -> tuple[Ints, Floats]:
        """Draw ``n`` events in a row: the tokens of each, and the gap behind it; cost O(n log n) at most."""
        from scipy.special import ndtr

        sizes, gaps = self._latent(n, rng)
        n_tok = np.maximum(np.rint(self.size.table.ppf(ndtr(sizes))), 1.0).astype(np.int64)
        return n_tok, self.gap.table.ppf(ndtr(gaps))

    def _latent(self, n: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """Return the latent sizes and gaps: x[j] = A x[j-1] + noise, summed up by doubling the reach of A."""
        size_size, gap_size, gap_gap, size_gap = self.weights()
        noise_size, noise_gap = self.own_noise()
        sizes, gaps = rng.standard_normal((2, n))
        gaps[0] = self.size_then_gap * sizes[0] + np.sqrt(1.0 - self.size_then_gap**2) * gaps[0]
        sizes[1:] *= np.sqrt(noise_size)
        gaps[1:] = size_gap * sizes[1:] + np.sqrt(noise_gap) * gaps[1:]
        a, b, c, d = size_size, gap_size, size_gap * size_size, size_gap * gap_size + gap_gap
        reach = 1
        while reach < n and max(abs(a), abs(b), abs(c), abs(d)) > 1e-12:
            before_size, before_gap = sizes[:-reach].copy(), gaps[:-reach].copy()
            sizes[reach:] += a * before_size + b * before_gap
            gaps[reach:] += c * before_size + d * before_gap
            a, b, c, d = a * a + b * c, b * (a + d), c * (a + d), c * b + d * d
            reach *= 2
        return sizes, gaps
