"""A service whose times follow the hour of the day."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
HOUR_S = 3600.0
HOURS = 24


@dataclass(frozen=True)
class HourLaw:
    """Factors by the hour in which a request reaches the service.

    Parameters
    ----------
    start_hour : float
        Hour of the day at time 0, in [0, 24).
    ttft_factor, tpot_factor : tuple of float
        24 each, > 0.
    """

    start_hour: float
    ttft_factor: tuple[float, ...]
    tpot_factor: tuple[float, ...]

    def at(self, at_s: float) -> tuple[float, float]:
        """Return the factors of TTFT and of the time per token at a moment."""
        hour = int(self.start_hour + at_s / HOUR_S) % HOURS
        return self.ttft_factor[hour], self.tpot_factor[hour]

    def at_all(self, at_s: Floats) -> tuple[Floats, Floats]:
        """Return :meth:`at` of many moments."""
        hour = (self.start_hour + at_s / HOUR_S).astype(np.int64) % HOURS
        return np.asarray(self.ttft_factor)[hour], np.asarray(self.tpot_factor)[hour]
