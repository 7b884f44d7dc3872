"""Tests for "no worse than" and "as good as": a large p value of an ordinary test shows neither."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from discosim.metrics.declare import Direction
from discosim.metrics.stats import Interval, paired_difference

ALPHA = 0.05


@dataclass(frozen=True)
class Verdict:
    """What a paired comparison shows about a margin.

    Parameters
    ----------
    diff : Interval
        Sample minus baseline, with the interval of level ``1 - 2 alpha`` that decides.
    margin : float
        Largest difference that does not matter, in the metric's unit.
    alpha : float
        Probability of a false claim.
    p_below, p_above : float
        One-sided p values of "the difference is at most -margin" and "at least +margin".
    """

    diff: Interval
    margin: float
    alpha: float
    p_below: float
    p_above: float

    @property
    def is_equivalent(self) -> bool:
        """Whether the difference lies within the margin on both sides."""
        return max(self.p_below, self.p_above) < self.alpha

    def is_no_worse(self, direction: Direction) -> bool:
        """Tell whether the sample is not worse than the baseline by the margin or more.

        Parameters
        ----------
        direction : str
            Which way the metric is better; with ``neutral`` both sides count.
        """
        if direction == "neutral":
            return self.is_equivalent
        return (self.p_above if direction == "lower" else self.p_below) < self.alpha


def tost(sample: ArrayLike, baseline: ArrayLike, margin: float, alpha: float = ALPHA) -> Verdict:
    """Run two one-sided paired t tests against a margin.

    Parameters
    ----------
    sample, baseline : array of float, shape (n,)
        One value per replication; equal positions share all luck, pairs with NaN are left out.
    margin : float
        Largest difference that does not matter, in the metric's unit, > 0; fixed before looking at the numbers.
    alpha : float
        Probability of a false claim, in (0, 0.5).

    Raises
    ------
    ValueError
        If the margin is not positive.

    Notes
    -----
    Source: Schuirmann, "A comparison of the two one-sided tests procedure and the power approach", 1987.
    """
    if not margin > 0.0:
        raise ValueError(f"margin must be > 0, got {margin}")
    diff = paired_difference(sample, baseline, level=1.0 - 2.0 * alpha)
    if diff.n < 2:
        return Verdict(diff, margin, alpha, math.nan, math.nan)
    from scipy.special import stdtr, stdtrit

    error = diff.half_width / float(stdtrit(diff.n - 1, 1.0 - alpha))
    with np.errstate(divide="ignore", invalid="ignore"):
        above, below = (float(np.divide(diff.mean + side * margin, error)) for side in (-1.0, 1.0))
    return Verdict(diff, margin, alpha, float(stdtr(diff.n - 1, -below)), float(stdtr(diff.n - 1, above)))
