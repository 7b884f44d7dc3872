"""How fast a device gets on with its work while it grows hot: from work to time and back, in closed form.

Work is counted in seconds of full speed. A pace holds from the moment at which a device turns to a request until it is
done with it; a device that keeps its full speed needs none.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from discosim.core.device_law import Heat

Floats = NDArray[np.float64]


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
    the same units is ``q = f x + a (1 - exp(-x))``. Its inverse is ``x = b + W((a / f) exp(-b))`` with
    ``b = (q - a) / f`` and Lambert's W, taken as Wright's omega of the logarithm, which does not overflow; a step of
    Newton's gives back the digits that the difference loses just behind the knee.
    """

    __slots__ = ("_above", "_cool", "_floor", "_heating_s", "_knee_s", "_log_ratio")

    def __init__(self, heat: Heat, begin: float) -> None:
        cool, knee = 1.0 - begin, 1.0 - heat.onset
        self._heating_s = heat.heating_s
        self._floor = heat.floor
        self._cool = cool
        self._knee_s = heat.heating_s * math.log(cool / knee) if cool > knee else 0.0
        self._above = (1.0 - heat.floor) * min(cool / knee, 1.0)
        self._log_ratio = math.log(self._above / heat.floor) if self._above > 0.0 else -math.inf

    def elapsed_s(self, work_s: float) -> float:
        """Return when so much work is done."""
        if work_s <= self._knee_s:
            return work_s
        return float(self._knee_s + self._heating_s * self._inverse((work_s - self._knee_s) / self._heating_s))

    def elapsed_array_s(self, work_s: Floats) -> Floats:
        """Return :meth:`elapsed_s` of many amounts, in their place where all come before the knee."""
        if not work_s.size or work_s[-1] <= self._knee_s:
            return work_s
        hot_s: Floats = self._knee_s + self._heating_s * self._inverse(
            np.maximum(work_s - self._knee_s, 0.0) / self._heating_s
        )
        return np.where(work_s <= self._knee_s, work_s, hot_s)

    def _inverse(self, q: Any) -> Any:
        """Return x of ``q = f x + a (1 - exp(-x))``; the same arithmetic for one number and for many."""
        if self._above == 0.0:
            return q / self._floor
        from scipy.special import wrightomega

        b = (q - self._above) / self._floor
        x = np.maximum(b + wrightomega(self._log_ratio - b), q)
        low = np.expm1(-x)
        x -= (self._floor * x - self._above * low - q) / (self._floor + self._above * (1.0 + low))
        return np.maximum(x, q)

    def work_s(self, elapsed_s: float) -> float:
        """Return how much work is done by then."""
        if elapsed_s <= self._knee_s:
            return elapsed_s
        x = (elapsed_s - self._knee_s) / self._heating_s
        return self._knee_s + self._heating_s * (self._floor * x - self._above * math.expm1(-x))

    def heat_after(self, elapsed_s: float) -> float:
        """Return the heat after working for so long."""
        return 1.0 - self._cool * math.exp(-elapsed_s / self._heating_s)
