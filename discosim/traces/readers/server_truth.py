"""What a server's log tells of each request, from moments of one clock and from durations: TTFT, whole time, queue."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from discosim.core.errors import UserError
from discosim.traces.readers.base import Floats, Ints
from discosim.traces.readers.server_names import MOMENTS
from discosim.traces.readers.server_times import Times, is_one_clock, is_unix
from discosim.traces.readers.table import Table

_AGREE = 0.05
"""Relative distance of two ways to one time that is worth a note. Source: our choice."""


def truth_of(
    table: Table, held: Mapping[str, Times], start: str, output_tok: Ints, label: str
) -> tuple[Floats, Floats, Floats, list[str]]:
    """Return TTFT, whole time and queue in s by row, NaN where not to be had, and what to say.

    Parameters
    ----------
    table : Table
        The file, for the rows of errors.
    held : mapping of str to Times
        Moments and durations by field, with their units.
    start : str
        The moment from which a request counts: ``queued`` or ``arrival``.
    output_tok : array of int, shape (n,)
        Tokens of the answers.
    label : str
        The file, for errors.

    Raises
    ------
    UserError
        If stamps of one clock run backwards, or clocks are such that no time is known.
    """
    begin = held[start]
    moments = {field: held[field] for field in MOMENTS if field in held and field != start}
    near = {field: times for field, times in moments.items() if is_one_clock(begin, times)}
    notes = _of_two_clocks(begin, moments, near) if start == "queued" else []
    if start == "queued":
        for field, other in moments.items():
            if field not in near and field != "arrival":
                raise UserError(
                    f"{begin.name} and {other.name} are not of one clock and in one unit ({_clock(begin)}, "
                    f"{_clock(other)}): the medians are {_middle(begin):.10g} and {_middle(other):.10g} s",
                    where=label,
                )
    _require_forward(table, {start: begin, **{f: t for f, t in near.items() if f != "arrival"}})
    none = np.full(len(table), np.nan)

    def time_of(moment: str, duration: str, what: str) -> Floats:
        by_stamps = near[moment].since(begin) if moment in near else none
        by_length = held[duration].in_s() if duration in held else none
        both = np.isfinite(by_stamps) & np.isfinite(by_length) & (by_stamps > 0)
        if both.any() and float(np.median(np.abs(by_length[both] / by_stamps[both] - 1.0))) > _AGREE:
            notes.append(
                f"The {what} by stamps is {np.median(by_stamps[both]):.4g} s in the median, and that of the column "
                f"{held[duration].name} {np.median(by_length[both]):.4g} s: the stamps count."
            )
        return np.where(np.isfinite(by_stamps), by_stamps, by_length)

    ttft_s = time_of("first_token", "ttft", "TTFT")
    e2e_s = time_of("last_token", "e2e", "whole time")
    queue_s = time_of("scheduled", "queue", "queue wait")
    later = held["tpot"].in_s() * np.maximum(output_tok - 1, 0) if "tpot" in held else none
    if {"first_token", "last_token"} <= set(moments) and is_one_clock(moments["first_token"], moments["last_token"]):
        _require_forward(table, {field: moments[field] for field in ("first_token", "last_token")})
        later = moments["last_token"].since(moments["first_token"])
    e2e_s = np.where(np.isfinite(e2e_s), e2e_s, ttft_s + later)
    ttft_s = np.where(np.isfinite(ttft_s) | ~np.isfinite(later), ttft_s, e2e_s - later)
    if not np.isfinite(ttft_s).any() and not np.isfinite(e2e_s).any() and moments:
        other = next(iter(moments.values()))
        raise UserError(
            f"{begin.name} and {other.name} are of different clocks ({_clock(begin)}, {_clock(other)}), so that no "
            "TTFT is known; name the moment when the server queued the request: --map queued=COLUMN",
            where=label,
        )
    if start == "arrival" and (apart := [other.name for field, other in moments.items() if field not in near]):
        notes.append(
            f"{' and '.join(apart)} and {begin.name} are of different clocks: only times between stamps of one clock "
            "are read from them."
        )
    shorter = e2e_s < ttft_s
    if shorter.any():
        i = int(np.argmax(shorter))
        raise UserError(
            f"the last token comes before the first ({e2e_s[i]:.6g} s and {ttft_s[i]:.6g} s after the arrival)",
            where=f"{label} {table.place(i)}",
        )
    ttft_s, e2e_s = (np.where(times_s > 0, times_s, np.nan) for times_s in (ttft_s, e2e_s))
    return ttft_s, e2e_s, queue_s, notes


def _middle(times: Times) -> float:
    return float(np.nanmedian(times.in_s())) if times.seen.any() else float("nan")


def _clock(times: Times) -> str:
    return "Unix time" if is_unix(times) else "counted from another zero"


def _of_two_clocks(begin: Times, moments: Mapping[str, Times], near: Mapping[str, Times]) -> list[str]:
    if "arrival" not in moments:
        return []
    if "arrival" not in near:
        sent = moments["arrival"]
        told = (
            f"{sent.name} ({_clock(sent)}) and {begin.name} ({_clock(begin)}) are of different clocks: requests arrive "
            f"when they are queued ({begin.name}), and how long they took to get there is not known."
        )
        return [told]
    delay_s = begin.since(near["arrival"])
    middle_s = float(np.nanmedian(delay_s)) if np.isfinite(delay_s).any() else float("nan")
    sent = near["arrival"]
    if middle_s < 0:
        return [f"{sent.name} is later than {begin.name} by {-middle_s:.4g} s in the median; it is not read."]
    told = (
        f"Requests arrive when they are queued ({begin.name}), {middle_s:.4g} s after {sent.name} in the median; TTFT "
        "and queue count from there."
    )
    return [told]


def _require_forward(table: Table, moments: Mapping[str, Times]) -> None:
    """Raise UserError at the first row in which a later moment is before an earlier one."""
    words = {"scheduled": "was scheduled", "first_token": "had its first token", "last_token": "had its last token"}
    fields = list(moments)
    for place, field in enumerate(fields):
        for before in fields[:place]:
            since = moments[field].since(moments[before])
            back = since < 0
            if not back.any():
                continue
            i = int(np.argmax(back))
            name, first = moments[field].name, moments[before].name
            raise table.error(
                i,
                name,
                f"runs backwards: the request {words[field]} {-since[i]:.6g} s before {first} ({table.shown(name, i)} "
                f"and {table.shown(first, i)}); are the two of one clock and in one unit?",
            )
