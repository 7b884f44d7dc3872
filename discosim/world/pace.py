"""How fast a device gets on with its work while it grows hot: from work to time and back, in closed form.

Work is counted in seconds of full speed. A pace holds from the moment at which a device turns to a request until it is
done with it; a device that keeps its full speed needs none.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from discosim.core.device_law import Heat
from discosim.world.heat_series import (
    AHEAD,
    FEW_TERMS,
    LEAST_BEND,
    MOST_TOK,
    N_TERMS,
    NEAR_FEW,
    REACH,
    powers,
    reach,
    series,
    total,
)
from discosim.world.stream import ramp

Floats = NDArray[np.float64]

MOST_STEPS = 60
NEAR = 0.5
"""In heating times: below it a start of two terms is nearer than the bounds, and a step is one for Halley."""
TOO_CLOSE = 1e-13
"""Tokens nearer to each other than this, over the time until the last, are evenly spread: rounding could swap them."""


def even(work_s: float, gap_s: float, n_tok: int) -> Floats:
    """Return `work_s` and each `gap_s` more, ``n_tok`` in all."""
    times_s: Floats = ramp(n_tok) * gap_s
    times_s += work_s
    return times_s


class Pace(Protocol):
    """From work to time and back, both from the moment at which the work began."""

    def elapsed_s(self, work_s: float) -> float:
        """Return when so much work is done."""
        ...

    def timeline_s(self, begin_s: float, work_s: float, gap_s: float, n_tok: int) -> Floats:
        """Return when `work_s` and each `gap_s` more are done, ``n_tok`` >= 1 in all, for work that began at `begin_s`.

        That is ``begin_s + elapsed_s(...)``, for the first and the last to the bit.
        """
        ...

    def work_s(self, elapsed_s: float) -> float:
        """Return how much work is done by then."""
        ...

    def heat_after(self, elapsed_s: float) -> float:
        """Return the heat after working for so long, in [0, 1]; 0 for a pace that keeps none."""
        ...


class TwoSpeeds:
    """Full speed for a while, then a fixed share of it.

    Parameters
    ----------
    room_s : float
        How long the full speed lasts, >= 0.
    sustained : float
        The speed after that, in (0, 1].
    """

    __slots__ = ("_room_s", "_sustained")

    def __init__(self, room_s: float, sustained: float) -> None:
        self._room_s = room_s
        self._sustained = sustained

    def elapsed_s(self, work_s: float) -> float:
        """Return when so much work is done."""
        return work_s if work_s <= self._room_s else self._room_s + (work_s - self._room_s) / self._sustained

    def timeline_s(self, begin_s: float, work_s: float, gap_s: float, n_tok: int) -> Floats:
        """Return when `work_s` and each `gap_s` more are done, ``n_tok`` in all, for work that began at `begin_s`."""
        times_s = even(work_s, gap_s, n_tok)
        hot_s = self._room_s + (times_s - self._room_s) / self._sustained
        np.maximum(times_s, hot_s, out=times_s)
        times_s += begin_s
        return times_s

    def work_s(self, elapsed_s: float) -> float:
        """Return how much work is done by then."""
        if elapsed_s <= self._room_s:
            return elapsed_s
        return self._room_s + (elapsed_s - self._room_s) * self._sustained

    def heat_after(self, elapsed_s: float) -> float:  # noqa: ARG002 - a throttle counts busy seconds instead
        """Return 0: a throttle counts busy seconds instead."""
        return 0.0


class Warming:
    """Speed that falls as heat rises; see `Heat` for the law.

    Parameters
    ----------
    heat : Heat
        The law.
    begin : float
        Heat at the begin, in [0, 1].

    Notes
    -----
    With c the distance from the highest heat, ``c(t) = c(0) exp(-t / heating_s)``. The heat passes the onset at
    ``t_k = heating_s log(c(0) / (1 - onset))``, or has passed it (``t_k = 0``). From there on, with x the time since
    t_k in units of heating_s, speed is ``f + a exp(-x)`` (f the floor, a what is above it at t_k), so that the work in
    the same units is ``q = f x + a (1 - exp(-x))``.

    The inverse of that is Lambert's W; iterations find it quicker, from a start that is nearer, and lose no digits
    behind the knee. Newton's from the left of a function that rises and is concave stay there; a lower bound is the
    larger of ``q / (f + a)`` and ``(q - a) / f``. Near the end Halley's take over: the second and the third derivative
    over the first are at most 1, so that a step h leaves at most ``h**3 / 2``. For many tokens the first and the last
    are found so, and one in the middle of each stretch; the others follow from its series (`heat_series`).
    """

    __slots__ = ("_above", "_cool", "_floor", "_heating_s", "_knee_s", "_known_s")

    def __init__(self, heat: Heat, begin: float) -> None:
        cool, knee = 1.0 - begin, 1.0 - heat.onset
        self._heating_s = heat.heating_s
        self._floor = heat.floor
        self._cool = cool
        self._knee_s = heat.heating_s * math.log(cool / knee) if cool > knee else 0.0
        self._above = (1.0 - heat.floor) * min(cool / knee, 1.0)
        self._known_s: dict[float, float] = {}  # a stream asks for its first and last token several times

    def elapsed_s(self, work_s: float) -> float:
        """Return when so much work is done."""
        if work_s <= self._knee_s:
            return work_s
        known_s = self._known_s.get(work_s)
        if known_s is None:
            x = self._inverse((work_s - self._knee_s) / self._heating_s)
            known_s = self._known_s[work_s] = self._knee_s + self._heating_s * x
        return known_s

    def _inverse(self, q: float) -> float:
        """Return x of ``q = f x + a (1 - exp(-x))``, > 0."""
        floor, above = self._floor, self._above
        speed = floor + above
        x = q / speed
        if x < NEAR:
            x += 0.5 * above / speed * x * x
        else:
            x = max(x, (q - above) / floor)
        for _ in range(MOST_STEPS):
            low = math.expm1(-x)
            bend = above * (1.0 + low)
            slope = floor + bend
            step = (q - floor * x + above * low) / slope
            if -NEAR < step < NEAR:
                step /= 1.0 - 0.5 * step * bend / slope
            x += step
            if abs(step * step * step) <= 1e-16 * x:
                break
        return x

    def timeline_s(self, begin_s: float, work_s: float, gap_s: float, n_tok: int) -> Floats:
        """Return when `work_s` and each `gap_s` more are done, ``n_tok`` in all, for work that began at `begin_s`."""
        last_work_s = (n_tok - 1) * gap_s + work_s
        first_s, last_s = self.elapsed_s(work_s) + begin_s, self.elapsed_s(last_work_s) + begin_s
        if n_tok == 1:
            return np.array([last_s])
        if last_s - first_s <= TOO_CLOSE * n_tok * last_s:
            return np.linspace(first_s, last_s, n_tok)
        knee_s = self._knee_s
        if last_work_s <= knee_s:
            times_s = even(work_s, gap_s, n_tok)
            times_s += begin_s
        elif work_s >= knee_s:
            times_s = self._hot_s(begin_s, work_s, gap_s, n_tok)
        else:
            n_full = min(n_tok - 1, int((knee_s - work_s) / gap_s) + 1)
            full_s = even(work_s, gap_s, n_full)
            full_s += begin_s
            hot_s = self._hot_s(begin_s, work_s + n_full * gap_s, gap_s, n_tok - n_full)
            times_s = np.concatenate((full_s, hot_s))
        times_s[0], times_s[-1] = first_s, last_s
        return times_s

    def _hot_s(self, begin_s: float, work_s: float, gap_s: float, n_tok: int) -> Floats:
        """Return the times of tokens beyond the knee."""
        if n_tok <= MOST_TOK:  # mostly one stretch will do
            middle, elapsed_s = 0, self.elapsed_s(work_s)
            above, speed, gap = self._at(elapsed_s, gap_s)
            span = gap * n_tok
            if span > NEAR_FEW:
                middle = n_tok >> 1
                elapsed_s = self.elapsed_s(middle * gap_s + work_s)
                above, speed, gap = self._at(elapsed_s, gap_s)
                span = gap * (n_tok - middle)
            radius = 1.0 if span <= NEAR_FEW else reach(above / speed)  # none is less
            if span <= REACH * radius:
                n_terms = FEW_TERMS if span <= NEAR_FEW * radius else N_TERMS
                coefficients = series(above / speed, gap, self._heating_s, n_terms)
                times_s: Floats = total(powers(-middle, n_tok - middle, n_terms), coefficients)
                times_s += begin_s + elapsed_s
                return times_s
        times_s = np.empty(n_tok)
        self._fill(times_s, work_s, gap_s)
        times_s += begin_s
        return times_s

    def _at(self, elapsed_s: float, gap_s: float) -> tuple[float, float, float]:
        """Return what speed is above the floor behind the knee, the speed, and the gap at it, in heating times."""
        above = self._above * math.exp((self._knee_s - elapsed_s) / self._heating_s)
        speed = self._floor + above
        return above, speed, gap_s / (self._heating_s * speed)

    def _fill(self, times_s: Floats, work_s: float, gap_s: float) -> None:
        """Write how long amounts beyond the knee take, stretch by stretch."""
        n, begin, elapsed_s = times_s.size, 0, self.elapsed_s(work_s)
        while begin < n:
            above, speed, gap = self._at(elapsed_s, gap_s)
            if above < LEAST_BEND * speed:
                times_s[begin:] = even(self.elapsed_s(begin * gap_s + work_s), gap_s / speed, n - begin)
                return
            most = min(n - begin, MOST_TOK)
            ahead = AHEAD * reach(above / speed)
            middle = begin + (most // 2 if gap * most < 2.0 * ahead else int(ahead / gap))
            middle_s = self.elapsed_s(middle * gap_s + work_s)
            above, speed, gap = self._at(middle_s, gap_s)
            span = REACH * reach(above / speed)
            end = min(begin + most, middle + 1 + (most if gap * most < span else int(span / gap)))
            part_s = times_s[begin:end]
            if end - begin > 1:
                part_s[:] = total(powers(begin - middle, end - middle), series(above / speed, gap, self._heating_s))
                part_s += middle_s
            else:
                part_s[0] = middle_s
            begin, elapsed_s = end, float(part_s[-1])

    def work_s(self, elapsed_s: float) -> float:
        """Return how much work is done by then."""
        if elapsed_s <= self._knee_s:
            return elapsed_s
        x = (elapsed_s - self._knee_s) / self._heating_s
        return self._knee_s + self._heating_s * (self._floor * x - self._above * math.expm1(-x))

    def heat_after(self, elapsed_s: float) -> float:
        """Return the heat after working for so long."""
        return 1.0 - self._cool * math.exp(-elapsed_s / self._heating_s)
