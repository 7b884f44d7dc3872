"""What is left of a device's times beside its line: the law of the ratios, stalls, and the first request."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from discosim.core.device_law import MOST_TIMES, Stalls
from discosim.core.empirical import CorrelatedSeries, QuantileTable
from discosim.traces.device_fit import MAD_TO_STD, Bools, Floats
from discosim.traces.readers.base import Words
from discosim.traces.recipes import measure

STALL_DEVIATIONS = 8.0
"""Robust deviations of the logarithm of measured over line beyond which a time is a stall."""
STALL_TIMES = 2.0
"""Times of the line that a stall takes at least."""
MOST_STALLS = 0.05
"""Share above which long times are no rare stalls but the body's own tail. Source: our choice, as the two above."""
STALL_RULE = (
    f"a stall is a time of more than {STALL_TIMES:g} times the line and more than {STALL_DEVIATIONS:g} robust "
    f"deviations (in logarithms) above it, where no more than {MOST_STALLS:.0%} of the rows are such; it lasts what is "
    "above the line"
)
MEMORY_STANDARD_ERRORS = 2.0
"""Standard errors above which a lag-1 autocorrelation is kept."""


@dataclass(frozen=True)
class Body:
    """Ratios of measured over line, apart from what is none of the body.

    Parameters
    ----------
    ratio : array of float, shape (m,)
        Of the body, in the order of the rows.
    run : array of str objects, shape (m,)
        Run of each.
    is_stall : array of bool, shape (n,)
        Rows that are stalls.
    lag1 : float
        Pearson lag-1 autocorrelation of the body.
    has_memory : bool
        Whether it is beyond chance.
    """

    ratio: Floats
    run: Words
    is_stall: Bools
    lag1: float
    has_memory: bool

    def series(self) -> CorrelatedSeries:
        """Return the law of the ratios with their memory."""
        table = ratios(self.ratio)
        if not self.has_memory:
            return CorrelatedSeries(table, 0.0)
        return measure.series(self.ratio, self.run, table=table)


def ratios(values: Floats) -> QuantileTable:
    """Return the quantile table of ratios, within what a residual law may hold."""
    return measure.tabulate(np.clip(values, 1e-4, MOST_TIMES))


def find_stalls(ratio: Floats) -> Bools:
    """Return which ratios are stalls, by `STALL_RULE`."""
    log = np.log(np.maximum(ratio, 1e-12))
    middle = float(np.median(log))
    spread = MAD_TO_STD * float(np.median(np.abs(log - middle)))
    off = np.asarray(log > middle + max(STALL_DEVIATIONS * spread, float(np.log(STALL_TIMES))))
    return off if off.mean() <= MOST_STALLS else np.zeros(ratio.size, dtype=np.bool_)


def body_of(ratio: Floats, run: Words, is_first: Bools, *, with_stalls: bool = True) -> Body:
    """Return the body of ratios: without first requests, and without stalls where they are looked for."""
    rest = ~is_first
    is_stall = np.zeros(ratio.size, dtype=np.bool_)
    if with_stalls and rest.any():
        is_stall[rest] = find_stalls(ratio[rest])
    kept = rest & ~is_stall
    held, runs = ratio[kept], run[kept]
    found = measure.lag1(held, runs)
    beyond = MEMORY_STANDARD_ERRORS / max(held.size, 1) ** 0.5
    return Body(held, runs, is_stall, found, bool(abs(found) > beyond))


def stalls_of(excess_s: Floats, n: int) -> Stalls | None:
    """Return the law of stalls that last ``excess_s`` among ``n`` rows; None where there are none."""
    if not excess_s.size:
        return None
    return Stalls(share=excess_s.size / n, duration=measure.tabulate(excess_s))


def first_times(first: Floats, body: Floats, *, is_said: bool) -> float:
    """Return how many times as long a first request takes, from its ratios and those of the body.

    Where the file does not say which rows are first ones, the first row of each run is taken; it counts where it lies
    above 99 % of the others, and else tells nothing of a warm-up.
    """
    if not first.size or not body.size:
        return 1.0
    times = float(np.median(first) / np.median(body))
    if not is_said and times <= float(np.quantile(body / np.median(body), 0.99)):
        return 1.0
    return min(max(times, 1.0), MOST_TIMES)
