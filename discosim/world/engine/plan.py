"""A run of iterations with the same batch, in closed form."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(slots=True)
class Plan:
    """A run of ``m`` iterations with the same batch; ``m`` shrinks when the run is cut."""

    begin_s: float = 0.0  # the boundary at which it was ordered
    start_s: float = 0.0  # after swap traffic
    first_s: float = 0.0  # time of the first iteration
    ramp_s: float = 0.0  # what each iteration adds to the one before
    m: int = 0
    n_decode: int = 0
    n_prefill_tok: int = 0

    def end_s(self, i: int) -> float:
        """Return when iteration ``i`` >= 1 ends."""
        return self.start_s + i * self.first_s + self.ramp_s * (i * (i - 1) // 2)

    def index_at(self, t_s: float) -> int:
        """Return the first iteration, from 1, that ends at or after ``t_s``; ``m`` if none does."""
        if self.m <= 1 or t_s <= self.start_s + self.first_s:
            return min(1, self.m)
        passed, half = t_s - self.start_s, self.first_s - self.ramp_s / 2
        i = math.ceil(2.0 * passed / (half + math.sqrt(half * half + 2.0 * self.ramp_s * passed)))
        i = max(1, min(i, self.m))
        while i < self.m and self.end_s(i) < t_s:
            i += 1
        while i > 1 and self.end_s(i - 1) >= t_s:
            i -= 1
        return i
