"""What is implausible about a trace of requests, in sentences that name the key which settles it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection
from datetime import UTC, datetime

import numpy as np

from discosim.core.errors import UserError
from discosim.traces.readers.base import PER_S, Floats, Ints, Words

YEAR_S = 365.25 * 86400.0
FEW = 5
"""Requests below which a rate says nothing."""
_FAST_PER_S = {"s": 1000.0}
_FAST_OTHERS_PER_S = 100.0
"""Mean rates above which a unit is doubted. Source: our choice. Of the public traces the busiest, a whole model at
Alibaba's, has 187 a second (ServeGen, m-large); seconds read as milliseconds make 0.1 a second a hundred."""
_SLOW_GAP_S = {True: 60.0, False: 120.0}
"""Mean gap above which whole, or broken, numbers are doubted: milliseconds read as seconds. Source: our choice; a
service is asked more often than that, and who has the trace of one person says so with the unit."""
_UNIX_S = (1e9, 4.1e9)
"""Unix time from 2001 to 2099 in seconds."""
_LONGEST_YEARS = 100.0
_LONG_PROMPT_TOK, _LONG_OUTPUT_TOK = 200_000, 100_000
"""Medians above which lengths are doubted: the context of most models is shorter. Source: our choice."""
_MANY_OF_ONE, _PERSON_GAP_S = 50, 1.0
"""Requests and mean gap from which an owner is no person. Source: our choice; nobody asks faster for long."""
_MANY = 20
"""Requests of a file from which an owner of most of them is doubted. Source: our choice."""
_ORDINARY_GAP_S = (0.005, 120.0)
"""Mean gaps of ordinary traces: a unit is offered only where it gives one; of several, that nearest to a second."""
_CHOSEN_GAP_S = (0.001, 600.0)
"""Mean gaps beyond which a unit is doubted although the user has named it. Source: our choice."""
_LARGE = 1000.0
"""Span of whole numbers, read in s, from which they are perhaps none: four digits. Source: our choice."""


def require_plausible_clock(first: float, last: float, unit: str, arrival: str, where: str, *, n: int = 0) -> None:
    """Raise UserError where arrivals read in their format's unit begin beyond any clock, or span a century.

    Parameters
    ----------
    first, last : float
        Arrivals in units of the file.
    unit : str
        What they are read in.
    arrival : str
        Their column.
    where : str
        The file.
    n : int
        Requests, for the unit that would make their gaps ordinary.
    """
    first_s, span_s = first / PER_S[unit], (last - first) / PER_S[unit]
    if first_s > _UNIX_S[1]:
        fits = [name for name, per_s in PER_S.items() if _UNIX_S[0] <= first / per_s <= _UNIX_S[1]]
        if fits:
            day = datetime.fromtimestamp(first / PER_S[fits[0]], tz=UTC).date()
            raise UserError(
                f"{arrival} begins at {first:.15g}, which is Unix time in {fits[0]} ({day}) and beyond any clock in "
                f"{unit}; say so with workload.time_unit: {fits[0]}",
                where=where,
            )
        raise UserError(
            f"{arrival} begins at {first:.6g} {unit}, which is no time; set workload.time_unit", where=where
        )
    if span_s > _LONGEST_YEARS * YEAR_S:
        other = _meant(span_s / max(n - 1, 1), unit)
        key = "set workload.time_unit" + (f": {other} if that is what it is in" if other else "")
        raise UserError(
            f"{arrival} spans {span_s / YEAR_S:.6g} years, read in {unit}; {key}, or cut the file",
            where=where,
        )


def clock_doubts(
    arrival_s: Floats, unit: str, arrival: str, *, is_whole: bool, is_chosen: bool, is_whole_usual: bool = False
) -> list[str]:
    """Return what to doubt about the times of arrival.

    Parameters
    ----------
    arrival_s : array of float, shape (n,)
        From the first request on.
    unit : str
        What they were read in.
    arrival : str
        Their column.
    is_whole : bool
        All of them were whole numbers in the file.
    is_chosen : bool
        The user has named the unit: then it is doubted only beyond `_CHOSEN_GAP_S`.
    is_whole_usual : bool
        The format's stamps are whole numbers.

    Notes
    -----
    Rates are doubted, and digits: broken numbers where the format counts whole ms, us or ns; whole numbers of four
    digits or more where it has seconds and another unit would make them an ordinary trace. Source: our choice.
    """
    n, span_s = arrival_s.size, float(arrival_s[-1])
    if n >= 3 and span_s == 0.0:
        return [f"all {n} requests arrive at the same moment"]
    if span_s == 0.0:
        return []
    rate, gap_s = (n - 1) / span_s, span_s / (n - 1)
    other = _meant(gap_s, unit)
    fast = _FAST_PER_S.get(unit, _FAST_OTHERS_PER_S) * (1.0 if is_whole or unit == "s" else 0.5)
    fast, slow_s = (1.0 / _CHOSEN_GAP_S[0], _CHOSEN_GAP_S[1]) if is_chosen else (fast, _SLOW_GAP_S[is_whole])
    said = []
    if n >= FEW and rate > fast:
        told = f"if {arrival} is in {other}, set workload.time_unit: {other}" if other else "is that so?"
        said.append(f"{n} requests arrive in {span_s:.3g} s, {rate:.4g} a second, read in {unit}; {told}")
    elif n >= FEW and gap_s > slow_s and other:
        said.append(
            f"one request in {gap_s:.4g} s on average, read in {unit}; {_settle(arrival, other, unit, is_chosen)}"
        )
    elif not is_chosen and unit != "s" and not is_whole:
        told = _settle(arrival, other, unit, is_chosen) if other else "are they?"
        said.append(f"{arrival} holds broken numbers, where this format's are whole {unit}; {told}")
    elif not (is_chosen or is_whole_usual) and is_whole and n >= 3 and span_s >= _LARGE and other:
        told = _settle(arrival, other, unit, is_chosen)
        said.append(f"{arrival} holds whole numbers alone, and large ones (over {span_s:,.0f}), read in {unit}; {told}")
    if span_s > YEAR_S:
        said.append(f"the trace spans {span_s / YEAR_S:.3g} years, read in {unit}; workload.time_unit says otherwise")
    return said


def _settle(arrival: str, other: str, unit: str, is_chosen: bool) -> str:
    return f"if {arrival} is in {other}, set workload.time_unit: {other}" + ("" if is_chosen else f", else to {unit}")


def _meant(gap_s: float, unit: str) -> str:
    """Return the unit, other than that read in, with which the mean gap would be an ordinary one, or ''."""
    gaps_s = {name: gap_s * PER_S[unit] / per_s for name, per_s in PER_S.items() if name != unit}
    fitting = {name: gap for name, gap in gaps_s.items() if _ORDINARY_GAP_S[0] <= gap <= _ORDINARY_GAP_S[1]}
    return min(fitting, key=lambda name: abs(math.log10(fitting[name])), default="")


def owner_doubts(names: Words | None, arrival_s: Floats, column: str, but: Collection[str] = ()) -> list[str]:
    """Return what to doubt about an owner who is perhaps no person with one device, in at most one sentence.

    An owner is doubted who asks faster than a person does, and who owns most of a file that others own the rest of. The
    one owner of a whole file may be one person's log, and is doubted only where half of the gaps are below a second.
    Of the names in ``but`` something is said already.
    """
    asked = {} if names is None else Counter(names.tolist())
    asked.pop("", None)
    if names is None or not asked:
        return []
    most, n_most = max(asked.items(), key=lambda item: item[1])
    has_most = names.size >= _MANY and n_most > names.size / 2 and most not in but
    many = {name for name, n in asked.items() if n >= _MANY_OF_ONE and name not in but} | (
        {most} if has_most else set()
    )
    if not many:
        return []
    times_s: dict[str, list[float]] = {name: [] for name in many}
    for name, at_s in zip(names.tolist(), arrival_s.tolist(), strict=True):
        if name in many:
            times_s[name].append(at_s)
    gap_s = {name: (at_s[-1] - at_s[0]) / (len(at_s) - 1) for name, at_s in times_s.items()}
    busy = [name for name, gap in gap_s.items() if asked[name] >= _MANY_OF_ONE and gap < _PERSON_GAP_S]
    told = "each user is one person with one device; leave the column out if it names services"
    if busy:
        name = max(busy, key=lambda name: asked[name])
        others = f" (and {len(busy) - 1} others likewise)" if len(busy) > 1 else ""
        return [f"{column} {name[:40]!r} sends {asked[name]} requests, one in {gap_s[name]:.3g} s{others}: {told}"]
    is_shared = n_most < names.size or float(np.median(np.diff(times_s[most]))) < _PERSON_GAP_S
    if has_most and is_shared:
        return [f"{column} {most[:40]!r} sends {n_most} of the {names.size} requests: {told}"]
    return []


def length_doubts(prompt_tok: Ints, output_tok: Ints) -> list[str]:
    """Return what to doubt about the lengths of prompts and answers."""
    return [
        f"the median {name} has {np.median(values):,.0f} tokens, more than most models take; are these bytes?"
        for name, values, most in (
            ("prompt", prompt_tok, _LONG_PROMPT_TOK),
            ("answer", output_tok, _LONG_OUTPUT_TOK),
        )
        if np.median(values) > most
    ]
