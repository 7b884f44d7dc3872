"""The moments of a series in seconds: their unit is said by the name, by the size of Unix time, or by the step."""

from __future__ import annotations

import numpy as np

from discosim.core.errors import UserError
from discosim.traces.readers.base import PER_S, Floats, Ints
from discosim.traces.readers.outcomes import plain_name
from discosim.traces.readers.server_names import Named, split_unit
from discosim.traces.readers.server_times import Times, times_of
from discosim.traces.readers.table_base import Table

_FAR_S = 3600.0
"""Times that begin later are stamps of a clock, and no seconds of a run. Source: our choice."""
_UNIX_S = (1e9, 4.1e9)
"""Unix time from 2001 to 2099 in seconds."""
_STEP_S = (0.05, 50.0)
"""Steps of a series that is written by the second. Source: our choice."""
_MINUTES_S = (60, 120, 180, 300, 600, 900, 1800, 3600)
"""Steps at which monitors look at a server: whole minutes, up to an hour."""
_ODD_STEP_S = (1e-3, 3600.0)
"""Steps beyond which a unit that the name says is doubted. Source: our choice."""


def unit_in_name(name: str) -> str | None:
    """Return the unit of time that a column's name says, or None."""
    word = plain_name(name).rpartition(":")[2]
    return "s" if word == "seconds" else split_unit(word)[1]


def dates_in(table: Table, name: str) -> Times | None:
    """Return the moments of a column of dates, or None where it holds numbers.

    Raises
    ------
    UserError
        If one of several dates is blank or none.
    """
    held = times_of(table, {"t_s": Named(name)}, np.ones(len(table), dtype=np.bool_))["t_s"]
    if held.per_s is None:
        return None
    if not held.seen.all():
        raise table.error(int(np.argmin(held.seen)), name, "is blank: when was that?")
    return held


def seconds(ticks: Ints | Floats, name: str, where: str, unit: str | None = None) -> tuple[Floats, list[str]]:
    """Return times in s, those of a clock from the first row on, and what to say of how they were read.

    Parameters
    ----------
    ticks : array, shape (n,)
        As the file has them, rising.
    name : str
        Their column; its name may say the unit.
    where : str
        File, for errors.
    unit : str, optional
        What the user says of a column whose name does not.

    Raises
    ------
    UserError
        If the unit is neither said nor to be told.

    Notes
    -----
    Source: our choice. Unix time shows its unit by its size, and counts before the name. Else the name says it; else it
    is the one in which the rows are up to 50 s apart, or whole minutes as monitors have them.
    """
    step = float(np.median(np.diff(ticks))) if ticks.size > 1 else 1.0
    said = unit_in_name(name) or unit
    unix = next((u for u, per_s in PER_S.items() if _is_unix(ticks, per_s)), None)
    if unix is not None and said != unix and not _ODD_STEP_S[0] <= step / PER_S[unix] <= _ODD_STEP_S[1]:
        unix = None  # a count of another unit that is as large
    found = unix or said or _by_step(ticks, step)
    if found is None:
        raise UserError(
            f"the rows of {name} are {step:g} apart, which is no step of a series in s, ms, us or ns; put the unit "
            "into the name of the column (t_s, t_ms, t_us, t_ns)",
            where=where,
        )
    per_s = PER_S[found]
    told = []
    if ticks.size > 1:
        told = _told(name, step, found, said=said, unix=unix, is_of_step=_by_step(ticks, step) == found)
    if ticks[0] / per_s <= _FAR_S:
        return np.asarray(ticks / per_s, dtype=np.float64), told
    since = np.asarray((ticks - ticks[0]) / per_s, dtype=np.float64)
    return since, [*told, f"{name} holds stamps of a clock; time counts from the first row."]


def _told(name: str, step: float, found: str, *, said: str | None, unix: str | None, is_of_step: bool) -> list[str]:
    step_s = step / PER_S[found]
    if said is not None and unix is not None and said != unix:
        return [f"{name} holds Unix time in {unix}, although its name says {said}: it was read in {unix}."]
    if unix is None and said is not None and not _ODD_STEP_S[0] <= step_s <= _ODD_STEP_S[1]:
        return [f"{name} was read in {said}, as it says, and its rows are {step_s:g} s apart: is that its unit?"]
    if said is not None:
        return []
    if unix is not None and (step_s < _STEP_S[1] or is_of_step):
        return [] if found == "s" else [f"{name} was read with {PER_S[found]:,} units a second, as Unix time."]
    how = f"{name} was read in {found}" + (", as Unix time" if unix else f", {PER_S[found]:,} units a second")
    if unix is None and found == "s" and step_s < _STEP_S[1]:
        return []
    return [f"{how}: its rows are {step_s:g} s apart. If it is in another unit, put that into its name (t_s, t_ms)."]


def _is_unix(ticks: Ints | Floats, per_s: int) -> bool:
    return _UNIX_S[0] <= float(ticks[0]) / per_s and float(ticks[-1]) / per_s <= _UNIX_S[1]


def _by_step(ticks: Ints | Floats, step: float) -> str | None:
    fits = (u for u, per_s in PER_S.items() if _STEP_S[0] <= step / per_s < _STEP_S[1] or _in_minutes(ticks, per_s))
    return next(fits, None)


def _in_minutes(ticks: Ints | Floats, per_s: int) -> bool:
    """Tell whether rows are whole minutes apart, as most of them are to the unit where a monitor keeps a grid.

    Broken numbers of seconds are near such a step alone: who counts ms has no fractions of them.
    """
    steps_s = np.diff(ticks) / per_s
    step_s = float(np.median(steps_s))
    near = min(_MINUTES_S, key=lambda minutes_s: abs(minutes_s - step_s))
    is_broken = bool(np.any(ticks != np.floor(ticks)))
    if abs(step_s / near - 1.0) > (0.02 if is_broken or per_s > 1 else 0.0):
        return False
    return is_broken or per_s > 1 or float(np.mean(steps_s % 60 == 0)) >= 0.5
