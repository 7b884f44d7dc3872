"""Whether a server decides an iteration ahead, told by its log: both ways are fitted, and the better is taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from discosim.calibrate.calibrate import Calibration

ENOUGH = 3.0
"""By how many of its standard errors the difference of two misfits must be away from 0 for a log to tell."""
WORTH = 1.1
"""By what factor the worse misfit must be larger besides: two searches never end in quite the same place."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Which way explains a log better.

    Parameters
    ----------
    times : float
        Misfit of iterations that are not decided ahead over that of iterations that are.
    sigmas : float
        Difference of the two in standard errors, > 0 where deciding ahead is the better.
    """

    times: float
    sigmas: float

    @property
    def is_ahead(self) -> bool | None:
        """Whether the server decides ahead; None where the log does not tell."""
        if abs(self.sigmas) < ENOUGH or max(self.times, 1.0 / self.times) < WORTH:
            return None
        return self.sigmas > 0.0


def compare(ahead: Calibration, at_once: Calibration) -> Verdict:
    """Return which of two fits of the same logs is the better.

    What the misses of a request add to the one misfit is set against what they add to the other, so what neither
    explains falls out (Vuong's test of two models that do not contain each other). Neighbours are alike, so the
    standard error is larger by the root of (1 + r) / (1 - r), with r the correlation from one miss to the next.
    """
    one, other = ahead.fitted.losses, at_once.fitted.losses
    n = min(one.size, other.size)  # a simulated time that is 0 is no miss
    gain = other[:n] - one[:n]
    varies = n > 2 and gain[:-1].std() > 0.0 and gain[1:].std() > 0.0
    alike = np.clip(np.corrcoef(gain[:-1], gain[1:])[0, 1], 0.0, 0.95) if varies else 0.0
    error = float(gain.std() * np.sqrt(n * (1.0 + alike) / (1.0 - alike)))
    total = float(gain.sum())
    return Verdict(
        times=float(other.sum() / max(one.sum(), 1e-12)),
        sigmas=total / error if error > 0.0 else 0.0,
    )


def better(default: bool, calibrate: Callable[[bool], Calibration]) -> tuple[bool, Calibration]:
    """Fit both ways, and return the one that the logs tell, or what the make does where they do not.

    Parameters
    ----------
    default : bool
        Whether the make decides ahead.
    calibrate : callable
        Fits the logs with iterations that are decided ahead, or are not.
    """
    found = {way: calibrate(way) for way in (default, not default)}
    verdict = compare(found[True], found[False])
    told = verdict.is_ahead
    way = default if told is None else told
    return way, replace(found[way], doubts=(*found[way].doubts, _said(verdict, way)))


def _said(verdict: Verdict, way: bool) -> str:
    word = {True: "on", False: "off"}
    times = verdict.times if way else 1.0 / verdict.times
    sure = f"{abs(verdict.sigmas):.1f} standard errors"
    by = f"the misfit of --async {word[not way]} is {times:.2f} times as large ({sure})"
    if verdict.is_ahead is None:
        return f"Iterations decided ahead: not identified, so {word[way]}, as the make is by default; {by}."
    return f"Iterations decided ahead: {word[way]}, as the log tells; {by}."
