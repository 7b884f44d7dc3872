"""The clock of a trace: its tick, by the finest digit that its stamps use, and whether it was put back."""

from __future__ import annotations

import numpy as np

from discosim.traces.readers.base import Floats, Ints

_FINEST_S = 1e-6
"""Ticks that are looked for in broken numbers; what is finer is the noise of a float. Source: our choice."""
_MINUTE_S = 60
_LEAST_MINUTES = 3
"""Distinct stamps, all of them whole minutes, that make a clock of minutes. Source: our choice."""
_HOUR_S, _MOST_OF_AN_HOUR_S = 3600.0, 1800.0
"""How far stamps go back where summer time ends: an hour, less what passed between two rows."""
_AMONG_ENDS_S, _SLACK_S = 600.0, 60.0
"""How far an arrival may be before that of the row above it, where rows stand as requests ended; and at the hour."""


def finest_tick(stamps: Ints | Floats, per_s: int) -> float:
    """Return the step of the finest digit in use, in units of the stamps; 0 where the digits do not end.

    Parameters
    ----------
    stamps : array, shape (n,)
        Whole numbers, or floats.
    per_s : int
        Units in one second.

    Notes
    -----
    At most a second, or a minute where all of three or more distinct stamps are whole minutes. A clock that writes
    zeros ticks no finer than its digits, whatever its format could hold: dates in whole seconds have a tick of 1 s.
    """
    if not stamps.size:
        return 0.0
    if stamps.dtype.kind == "f" and np.abs(stamps).max() >= 2.0**53:  # floats have no digits of units there
        return 0.0
    if np.any(stamps != np.floor(stamps)):
        return _decimal_tick(np.asarray(stamps, dtype=np.float64), per_s)
    whole = stamps.astype(np.int64) if stamps.dtype != np.int64 else stamps
    minute = _MINUTE_S * per_s
    if not np.any(whole % minute) and np.unique(whole).size >= _LEAST_MINUTES:
        return float(minute)
    tick = per_s
    while tick > 1 and np.any(whole % tick):
        tick //= 10
    return float(tick)


def _decimal_tick(stamps: Floats, per_s: int) -> float:
    largest, power = float(np.max(np.abs(stamps))), 1
    while 10.0**-power / per_s >= _FINEST_S * 0.5:
        scale = 10.0**power
        noise = largest * scale * 2.0**-51
        if noise > 0.01:  # the float itself has no such digit
            return 0.0
        scaled = stamps * scale
        if np.all(np.abs(scaled - np.rint(scaled)) <= max(noise, 1e-9)):
            return 1.0 / scale
        power += 1
    return 0.0


def hour_back(stamps_s: Floats, name: str) -> list[str]:
    """Return what to doubt of wall-clock stamps without an offset from UTC, in the order of their file.

    Parameters
    ----------
    stamps_s : array of float, shape (n,)
        Seconds.
    name : str
        What holds them.

    Notes
    -----
    Source: our choice. Stamps that rise, or fall, but for one step against it of up to an hour went over the end of
    summer time, unless two files were put together. Small steps back are of rows in the order of their ends; rows in no
    order at all say nothing.
    """
    steps_s = np.diff(stamps_s)
    if np.sum(steps_s < 0) > np.sum(steps_s > 0):  # the newest row first
        stamps_s, steps_s = stamps_s[::-1], np.diff(stamps_s[::-1])
    back = np.flatnonzero(steps_s < -_AMONG_ENDS_S)
    if back.size != 1 or not -_HOUR_S - _SLACK_S <= steps_s[back[0]] <= -_MOST_OF_AN_HOUR_S:
        return []
    shown = np.datetime64(int(stamps_s[back[0]]), "s").item().strftime("%H:%M:%S")
    said = (
        f"{name} goes back by {-steps_s[back[0]]:,.0f} s after {shown}, and has no offset from UTC: the end of summer"
    )
    return [f"{said} time? Rows are sorted by what it says; write stamps in UTC, or with their offset (+02:00)."]
