"""The ends of all decode iterations of a replica, in one array that its requests share.

A request that decodes from step a to step b has made its tokens at ``ends[a:b]``.
"""

from __future__ import annotations

import numpy as np

from discosim.world.engine.job import Floats

MAX_LEAP = 4096
COUNT: Floats = np.arange(1, MAX_LEAP + 1, dtype=np.float64)
PAIRS: Floats = COUNT * (COUNT - 1) / 2
FEW = 4


class StepLog:
    """A window on the newest decode iterations.

    Attributes
    ----------
    n : int
        Decode iterations so far.
    """

    __slots__ = ("_base", "_ends", "n")

    def __init__(self) -> None:
        self.n = 0
        self._base = 0  # step of the first entry
        self._ends: Floats = np.empty(1 << 14)

    def is_full_for(self, m: int) -> bool:
        """Tell whether ``m`` more entries need room to be made."""
        return self.n - self._base + m > self._ends.size

    def make_room(self, m: int, oldest: int) -> None:
        """Drop the entries before step ``oldest``, and grow where that is not enough."""
        kept = self._ends[oldest - self._base : self.n - self._base].copy()
        size = self._ends.size
        while kept.size + m > size // 2:
            size *= 2
        self._ends = np.empty(size)
        self._ends[: kept.size] = kept
        self._base = oldest

    def append(self, start_s: float, first_s: float, ramp_s: float, m: int) -> None:
        """Write the ends of ``m`` iterations; see `Plan.end_s` for the formula."""
        at = self.n - self._base
        ends = self._ends
        if m <= FEW:
            for i in range(1, m + 1):
                ends[at + i - 1] = start_s + i * first_s + ramp_s * (i * (i - 1) // 2)
        else:
            _fill(ends[at : at + m], start_s, first_s, ramp_s)
        self.n += m

    def since(self, step: int) -> Floats:
        """Return the ends of the iterations after the first ``step``; a view."""
        return self._ends[step - self._base : self.n - self._base]

    @staticmethod
    def extended(known: Floats, start_s: float, first_s: float, ramp_s: float, m: int) -> Floats:
        """Return ``known`` with the ends of ``m`` iterations that are not written yet."""
        longer = np.empty(known.size + m)
        longer[: known.size] = known
        _fill(longer[known.size :], start_s, first_s, ramp_s)
        return longer


def _fill(out: Floats, start_s: float, first_s: float, ramp_s: float) -> None:
    m = out.size
    np.multiply(COUNT[:m], first_s, out=out)
    out += start_s
    if ramp_s:
        out += PAIRS[:m] * ramp_s
