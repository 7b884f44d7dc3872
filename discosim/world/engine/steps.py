"""The ends of all decode iterations of a replica, in one array that its requests share.

A request that decodes from step a to step b has made its tokens at ``ends[a:b]``.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from discosim.world.engine.job import Floats, Job
from discosim.world.engine.plan import Plan

MAX_LEAP = 4096
COUNT: Floats = np.arange(1, MAX_LEAP + 1, dtype=np.float64)
FEW = 8  # so short that numpy's calls cost more than its loops save
PAIRS: Floats = COUNT * (COUNT - 1) / 2


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

    def append(self, plan: Plan, m: int, users: Iterable[Job]) -> None:
        """Write the ends of the first ``m`` iterations of a plan; ``users`` need what is there since they joined."""
        at = self.n - self._base
        if at + m > self._ends.size:
            self._make_room(m, min(job.join_step for job in users))
            at = self.n - self._base
        ends = self._ends
        if m <= FEW:
            start_s, first_s, ramp_s = plan.start_s, plan.first_s, plan.ramp_s
            for i in range(m):  # `Plan.end_s` of i + 1
                ends[at + i] = start_s + (i + 1) * first_s + ramp_s * (i * (i + 1) // 2)
        else:
            _fill(ends[at : at + m], plan)
        self.n += m

    def _make_room(self, m: int, oldest: int) -> None:
        """Drop the entries before step ``oldest``, and grow where that is not enough."""
        kept = self._ends[oldest - self._base : self.n - self._base].copy()
        size = self._ends.size
        while kept.size + m > size // 2:
            size *= 2
        self._ends = np.empty(size)
        self._ends[: kept.size] = kept
        self._base = oldest

    def since(self, step: int) -> Floats:
        """Return the ends of the iterations after the first ``step``; a view."""
        return self._ends[step - self._base : self.n - self._base]

    def extended(self, step: int, plan: Plan, m: int) -> Floats:
        """Return `since`, and the ends of the first ``m`` iterations of a plan that are not written yet."""
        known = self.since(step)
        longer = np.empty(known.size + m)
        longer[: known.size] = known
        _fill(longer[known.size :], plan)
        return longer


def _fill(out: Floats, plan: Plan) -> None:
    """Write `Plan.end_s` of 1, 2, ...; the same operations in the same order, so that the results agree bit by bit."""
    m = out.size
    np.multiply(COUNT[:m], plan.first_s, out=out)
    out += plan.start_s
    if plan.ramp_s:
        out += PAIRS[:m] * plan.ramp_s
