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

Floats = NDArray[np.float64]

MOST_STEPS = 60
LONG_SPAN = 16.0
"""Length of a timeline over the heating time from which on knots would be too far apart."""
LEAST_ERROR = 1e-13
UNIT: Floats = np.linspace(0.0, 1.0, 129)


class Pace(Protocol):
    """From work to time and back, both from the moment at which the work began."""

    def elapsed_s(self, work_s: float) -> float:
        """Return when so much work is done."""
        ...

    def elapsed_array_s(self, work_s: Floats) -> Floats:
        """Return :meth:`elapsed_s` of many amounts; may overwrite them."""
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

    def elapsed_array_s(self, work_s: Floats) -> Floats:
        """Return :meth:`elapsed_s` of many amounts, in their place."""
        hot_s = self._room_s + (work_s - self._room_s) / self._sustained
        return np.maximum(work_s, hot_s, out=work_s)

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

    The inverse of that is Lambert's W; Newton's method is quicker and loses no digits behind the knee. The function is
    concave and rises, so from the left every step stays on the left and comes nearer; a lower bound of x to begin with
    is the larger of ``q / (f + a)`` and ``(q - a) / f``. For many tokens the first and the last are found so. Straight
    lines over knots between them, h apart in x, are off by at most ``h**2 / 8`` (the slope changes by at most exp(h)),
    and each of Newton's steps takes an error e to ``e**2 / 2``.
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
        x = max(q / (floor + above), (q - above) / floor)
        for _ in range(MOST_STEPS):
            low = math.expm1(-x)
            step = (q - floor * x + above * low) / (floor + above * (1.0 + low))
            x += step
            if step <= 1e-15 * x:
                break
        return x

    def elapsed_array_s(self, work_s: Floats) -> Floats:
        """Return :meth:`elapsed_s` of many rising amounts; those of the first and the last are the same to the bit."""
        if not work_s.size or work_s[-1] <= self._knee_s:
            return work_s
        n_full = int(work_s.searchsorted(self._knee_s, side="right"))
        if n_full:
            return np.concatenate((work_s[:n_full], self._hot_s(work_s[n_full:])))
        return self._hot_s(work_s)

    def _hot_s(self, work_s: Floats) -> Floats:
        """Return when amounts beyond the knee are done."""
        heating_s, knee_s, floor, above = self._heating_s, self._knee_s, self._floor, self._above
        first_s, last_s = self.elapsed_s(float(work_s[0])), self.elapsed_s(float(work_s[-1]))
        if work_s.size < 3 or last_s <= first_s:
            return np.linspace(first_s, last_s, work_s.size) if work_s.size > 1 else np.array([last_s])
        q = work_s - knee_s
        q /= heating_s
        x0, span = (first_s - knee_s) / heating_s, (last_s - first_s) / heating_s
        if span < LONG_SPAN:
            knots = span * UNIT
            knots += x0
            x = np.interp(q, floor * knots - above * np.expm1(-knots), knots)
            error = (span / UNIT.size) ** 2 / 8.0
            while error > LEAST_ERROR:
                x -= self._newton(x, q)
                error *= error
        else:
            x = np.maximum(q / (floor + above), (q - above) / floor)
            for _ in range(MOST_STEPS):
                step = self._newton(x, q)
                x -= step
                if np.abs(step).max() < LEAST_ERROR:
                    break
        x *= heating_s
        x += knee_s
        x[0] = first_s
        np.minimum(np.maximum.accumulate(x, out=x), last_s, out=x)  # rounding may swap what is close together
        x[-1] = last_s
        return x

    def _newton(self, x: Floats, q: Floats) -> Floats:
        """Return what Newton's method takes off x."""
        low = np.expm1(-x)
        low *= self._above
        step: Floats = self._floor * x
        step -= low
        step -= q
        low += self._floor + self._above
        step /= low
        return step

    def work_s(self, elapsed_s: float) -> float:
        """Return how much work is done by then."""
        if elapsed_s <= self._knee_s:
            return elapsed_s
        x = (elapsed_s - self._knee_s) / self._heating_s
        return self._knee_s + self._heating_s * (self._floor * x - self._above * math.expm1(-x))

    def heat_after(self, elapsed_s: float) -> float:
        """Return the heat after working for so long."""
        return 1.0 - self._cool * math.exp(-elapsed_s / self._heating_s)
