"""Quantiles beyond the rows of an input: what versions make of them, where the linear form says nothing.

The outermost rows bound one cell of levels, and to first order its weight moves all quantiles inside it alike: two of
them, of two policies, would differ as if the rows were the truth. In versions the levels of the outermost rows move
through both, one after the other. So versions are drawn, and their quantiles are those of weighted requests.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from discosim.core.rng import RandomStreams
from discosim.metrics.influence import is_beyond
from discosim.metrics.input_uncertainty import Open, Rows

Floats = NDArray[np.float64]
N_VERSIONS = 60
"""Versions of the weights: their spread is known to 9 %."""


def draws_of(rows: Rows, n: int = N_VERSIONS) -> Floats:
    """Return the draws of an input: the same for all numbers that rest on its rows, in all runs."""
    return RandomStreams(0).generator(f"inputs.weights.{rows.label}").standard_normal((n, rows.n_cells))


def is_tail(name: str, inputs: Collection[Rows]) -> bool:
    """Say whether a number is a quantile beyond the rows of an input."""
    return any(is_beyond(rows.n, name) for rows in inputs)


def quantile_deviations(rows: Rows, number: Open, draws: Floats) -> Floats:
    """Return how far a quantile deviates from its mean over versions of an input, what luck adds taken out.

    Parameters
    ----------
    rows : Rows
        The input, and which of its rows each request met.
    number : Open
        The quantile.
    draws : array of float, shape (K, n_cells)
        Standard normal.
    """
    found = number.found
    share = rows.known_share(number.each)
    if found is None or found.order is None or found.sorted_values is None or found.level is None or share == 0.0:
        return np.zeros(len(draws))
    code = rows.code.ravel()[found.order]
    reached = np.cumsum(rows.weights(draws)[:, code], axis=1)
    at = [int(np.searchsorted(line, found.level * line[-1])) for line in reached]
    values = found.sorted_values[np.minimum(at, found.sorted_values.size - 1)]
    deviations: Floats = (values - values.mean()) * share
    return deviations


class Tails:
    """Variances of differences of quantiles beyond the rows; deviations are computed once for each number."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, str], tuple[Open, Floats]] = {}  # numbers are kept: else another gets their id

    def variance(self, rows: Rows, own: Open | None, base: Open | None, factor: float) -> float:
        """Return the variance that an input gives ``own - factor * base``; None stands for who met none of its rows."""
        zero = np.zeros(N_VERSIONS)
        one, other = (zero if side is None else self._deviations(rows, side) for side in (own, base))
        return float(np.var(one - factor * other, ddof=1))

    def _deviations(self, rows: Rows, number: Open) -> Floats:
        key = id(number), rows.label
        if key not in self._known:
            self._known[key] = number, quantile_deviations(rows, number, draws_of(rows))
        return self._known[key][1]
