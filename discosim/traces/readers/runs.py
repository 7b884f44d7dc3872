"""Files of several runs or services: each has a name of its own, and one without times does not block the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import TypeVar

import numpy as np

from discosim.core.errors import MANY, UserError
from discosim.traces.readers.base import Ints, LatencySeries

_Name = TypeVar("_Name", str, tuple[str, str])


class NothingSeenError(UserError):
    """A load test, or one run of a file of several, in which no time was seen."""


def require_figure(
    names: Sequence[str], has_it: bool, present: Iterable[str], where: str, *, what: str = "", advice: str = ""
) -> None:
    """Raise NothingSeenError unless some success has a figure, with the nearest of the names that stand there instead.

    Parameters
    ----------
    names : sequence of str
        Names under which it was looked for.
    has_it : bool
        Whether some success has it.
    present : iterable of str
        Names that the successes have.
    where : str
        File and place.
    what : str
        What is meant, for instance ``TTFT``.
    advice : str
        What to do about it, in a few words.
    """
    if has_it:
        return
    there = sorted(set(present))
    hint = f" ({advice})" if advice else ""
    looked_for = " or ".join(repr(name) for name in names)
    if any(name in there for name in names):
        raise NothingSeenError(f"no success has a {what} above 0 under {looked_for}{hint}", where=where)
    near = list(dict.fromkeys(hit for name in names for hit in get_close_matches(name, there, n=3, cutoff=0.5)))
    listed = f"nearest names: {', '.join(near)}" if near else f"names: {', '.join(there[:MANY]) or 'none'}"
    raise NothingSeenError(f"no success has a {what}; looked for {looked_for}{hint}; {listed}", where=where)


def series_of_runs(
    runs: Mapping[str, Callable[[], LatencySeries]], format_name: str, where: str, *, word: str = "run"
) -> dict[str, LatencySeries]:
    """Return the series of all runs of a file, by group; a run in which nothing was seen does not block the others.

    Parameters
    ----------
    runs : mapping of str to callable
        What reads each run, by group, in the order of the file.
    format_name : str
        Name of the reader, for the notes.
    where : str
        File, for errors.
    word : str
        What a group is called.

    Raises
    ------
    NothingSeenError
        If no run has a time that was seen.
    """
    found: dict[str, LatencySeries] = {}
    faults: list[NothingSeenError] = []
    for group, read_run in runs.items():
        try:
            found[group] = read_run()
        except NothingSeenError as fault:
            faults.append(fault)
            found[group] = _empty(group, format_name, f"The {word} holds no times: {fault.message}.")
    without = [group for group, series in found.items() if not len(series)]
    if len(without) == len(found):
        if faults:
            raise faults[0]
        raise NothingSeenError(
            f"none of the {sum(s.is_failed.size for s in found.values()):,} attempts succeeded", where=where
        )
    if without and word == "run":
        names = ", ".join(without)
        doubt = f"Left out, as nothing was seen in them: {names} ({len(without)} of {len(found)} runs of the file)."
        found = {g: replace(s, warnings=(*s.warnings, doubt)) if len(s) else s for g, s in found.items()}
    return found


def _empty(group: str, format_name: str, why: str) -> LatencySeries:
    none = np.empty(0)
    whole = np.empty(0, dtype=np.int64)
    return LatencySeries(
        group, none, none, whole, np.empty(0, dtype=np.bool_), notes={"format": format_name}, warnings=(why,)
    )


def rows_by_name(names: Iterable[_Name]) -> dict[_Name, Ints]:
    """Return the rows of each name, from 0, in the order of their first."""
    found: dict[_Name, list[int]] = {}
    for i, name in enumerate(names):
        found.setdefault(name, []).append(i)
    return {name: np.array(rows, dtype=np.int64) for name, rows in found.items()}


def unused_name(name: str, taken: Iterable[str]) -> str:
    """Return a name for a group that none has yet: itself, or ``name#2`` and so on."""
    held = set(taken)
    number, free = 1, name
    while free in held:
        number += 1
        free = f"{name}#{number}"
    return free
