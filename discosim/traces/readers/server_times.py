"""Stamps and durations of a server's log in seconds: the unit is declared, recognised beyond doubt, or refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discosim.core.errors import UserError, close_match
from discosim.traces.readers.azure import ticks_of
from discosim.traces.readers.base import PER_S, Bools, Floats, Ints
from discosim.traces.readers.columns import ArrowColumn, JsonColumn
from discosim.traces.readers.server_names import DURATIONS, VLLM, Named
from discosim.traces.readers.table_base import Table
from discosim.traces.readers.units import (
    AUTO,
    LONGEST_TPOT_S,
    LONGEST_TTFT_S,
    SHORTEST_TPOT_S,
    SHORTEST_TTFT_S,
    UNITS_S,
)

_UNIX_S = (1e9, 4.1e9)
"""Unix time from 2001 to 2099 in seconds."""
ONE_CLOCK_S = 3600.0
"""Median time between two stamps of one request up to which they are of one clock. Source: our choice; no queue is
as long as an hour."""
_MOST_TOK_PER_S = 1e6
"""Tokens a second beyond what one server makes. Source: our choice; racks of today publish a tenth of that."""
_SLIP = 300.0
"""Times over the median from which a stamp is looked at as one of another unit."""
_DATE_PER_S = 10_000_000


@dataclass(frozen=True, eq=False)
class Times:
    """One column of times.

    Parameters
    ----------
    name : str
        Column in the file.
    ticks : array, shape (n,)
        As the file has them, whole numbers where all are; 0 where not seen.
    seen : array of bool, shape (n,)
        Where the cell is not blank.
    per_s : int or None
        Units in a second, where the file or the user says so.
    """

    name: str
    ticks: Ints | Floats
    seen: Bools
    per_s: int | None

    def in_s(self) -> Floats:
        """Return the times in s, NaN where not seen."""
        assert self.per_s is not None
        return np.where(self.seen, self.ticks / self.per_s, np.nan)

    def since(self, first: Times, n: int | None = None) -> Floats:
        """Return the time since the stamps of another column, or since its stamp ``n``, in s; NaN where not seen."""
        start: Any = first.ticks if n is None else first.ticks[n]
        seen = self.seen & first.seen if n is None else self.seen
        assert self.per_s is not None
        assert first.per_s is not None
        if self.per_s == first.per_s:
            since = (self.ticks - start) / self.per_s  # exact for whole numbers, however far from 0
        else:
            since = self.ticks / self.per_s - start / first.per_s
        return np.where(seen, since, np.nan)


def times_of(table: Table, fields: Mapping[str, Named], kept: Bools) -> dict[str, Times]:
    """Return the columns of times of a table; rows that are not kept may hold anything.

    Raises
    ------
    UserError
        At the first cell that is neither blank nor a number of at least 0, or a date.
    """
    return {field: _times(table, named, kept) for field, named in fields.items()}


def _times(table: Table, named: Named, kept: Bools) -> Times:
    column = table.columns[named.name]
    if isinstance(column, ArrowColumn):
        is_date = column.moments_ns() is not None
    else:
        words = table.words(named.name)[kept]
        is_date = bool(words.size) and all("-" in word[1:] and ":" in word for word in words.tolist() if word)
        is_date = is_date and any(words.tolist())
    seen = kept & ~column.blank()
    if isinstance(column, JsonColumn):
        seen &= np.array([cell == cell for cell in column.cells])  # noqa: PLR0124 - NaN alone differs from itself
    rows = np.flatnonzero(seen)
    if is_date:
        ticks: Ints | Floats = np.zeros(len(table), dtype=np.int64)
        ticks[rows] = ticks_of(table.take(rows), named.name)
        return Times(named.name, ticks, seen, _DATE_PER_S)
    found = table.take(rows).ticks(named.name) if rows.size else np.empty(0)
    ticks = np.zeros(len(table), dtype=np.int64) if found.dtype.kind == "i" else np.zeros(len(table))
    ticks[rows] = found
    return Times(named.name, ticks, seen, None if named.unit is None else PER_S[named.unit])


def in_units(
    times: Mapping[str, Times], output_tok: Ints, unit: str, where: str, table: Table
) -> tuple[dict[str, Times], tuple[str, ...]]:
    """Return all times with their unit, and what to say about it.

    Parameters
    ----------
    times : mapping of str to Times
        By field.
    output_tok : array of int, shape (n,)
        Tokens of the answers.
    unit : str
        What the user says of the columns that do not say it themselves; ``auto`` looks.
    where : str
        File, for errors.
    table : Table
        The file, for the rows of errors.

    Raises
    ------
    UserError
        If the unit is unknown, or cannot be told beyond doubt.

    Notes
    -----
    Source: our choice. Columns without a unit share one, but for stamps that are Unix time, whose size says it. It is
    the one in which the medians are those of a service (`units.LONGEST_TTFT_S` and its neighbours); vLLM's own names
    are in s where that is one of them. Where two fit, or none, the user has to say it.
    """
    if unit != AUTO and unit not in UNITS_S:
        raise UserError(f"unknown unit of time {unit!r}; {close_match(unit, (AUTO, *UNITS_S))}", where=where)
    open_ = {field: held for field, held in times.items() if held.per_s is None}
    if not open_:
        if unit != AUTO:
            raise UserError(
                f"names its units itself, so they cannot be said to be {unit}; leave the unit at auto", where=where
            )
        return dict(times), ()
    said: tuple[str, ...] = ()
    _refuse_slips(open_, table, is_said=unit != AUTO)
    if unit != AUTO:
        found = dict.fromkeys(open_, unit)
    else:
        found, said = _recognised(open_, output_tok, where)
    settled = {
        field: Times(held.name, held.ticks, held.seen, held.per_s or PER_S[found[field]])
        for field, held in times.items()
    }
    return settled, said


def unix_unit(held: Times) -> str | None:
    """Return the unit in which stamps are Unix time, or None where they are none in any."""
    low, high = (float(f(held.ticks[held.seen])) for f in (np.min, np.max)) if held.seen.any() else (0.0, 0.0)
    return next((u for u, per_s in PER_S.items() if _UNIX_S[0] <= low / per_s and high / per_s <= _UNIX_S[1]), None)


def is_unix(held: Times) -> bool:
    """Tell whether stamps with a unit count from 1970."""
    assert held.per_s is not None
    middle = float(np.median(held.ticks[held.seen])) / held.per_s if held.seen.any() else 0.0
    return _UNIX_S[0] <= middle <= _UNIX_S[1]


def is_one_clock(first: Times, later: Times) -> bool:
    """Tell whether two columns of stamps are of one clock: they begin at one moment, and lie an hour apart at most."""
    if is_unix(first) != is_unix(later):
        return False
    since = later.since(first)
    return not np.isfinite(since).any() or abs(float(np.nanmedian(since))) <= ONE_CLOCK_S


def _recognised(open_: Mapping[str, Times], output_tok: Ints, where: str) -> tuple[dict[str, str], tuple[str, ...]]:
    ttft, tpot, span = _figures(open_, output_tok)
    fits = [unit for unit, size_s in UNITS_S.items() if _is_service(ttft * size_s, tpot * size_s)]
    n_tok = int(output_tok.sum())
    fits = [unit for unit in fits if not n_tok / (span * UNITS_S[unit]) > _MOST_TOK_PER_S] if span > 0 else fits
    unix = {field: unit for field, held in open_.items() if field not in DURATIONS and (unit := unix_unit(held))}
    names = {held.name for held in open_.values()}
    if np.isnan(ttft) and np.isnan(tpot):  # the stamps of arrival alone, beside durations that say their unit
        others = set(open_) - set(unix)
        if not others:
            return dict(unix), ()
        name = open_[min(others)].name
        raise UserError(
            f"the unit of {name} is not to be told: it is neither in its name nor in its numbers; say it with --unit "
            "(s, ms, us, ns), or name the column with it",
            where=where,
        )
    if len(fits) > 1 and "s" in fits and names & VLLM:
        fits = ["s"]
    if ttft <= 0 and "first_token" in open_:
        first, start = open_["first_token"].name, open_["queued" if "queued" in open_ else "arrival"].name
        raise UserError(
            f"{first} - {start} is {ttft:.6g} in the median, in the file's unit, which is no TTFT; are the two of one clock "
            "and in one unit?",
            where=where,
        )
    if len(fits) != 1:
        figures = " and ".join(
            f"{what} {value:.6g}" for what, value in (("TTFT", ttft), ("time per token", tpot)) if np.isfinite(value)
        )
        why = f"{' or '.join(fits)} would both do" if fits else "no service is like that in any unit: is it one unit?"
        raise UserError(
            f"the medians would be {figures} in the file's unit, and {why}; say it with --unit (s, ms, us, ns)",
            where=where,
        )
    unit = fits[0]
    found = dict.fromkeys(open_, unit)
    found |= {field: said for field, said in unix.items() if said != unit and _is_apart(field, open_)}
    if unit == "s":
        return found, ()
    what, value = ("TTFT", ttft) if np.isfinite(ttft) else ("time per token", tpot)
    note = f"Times without a unit in their name were read in {unit}: in s the median {what} would be {value:.6g} s."
    return found, (note,)


def _is_apart(field: str, open_: Mapping[str, Times]) -> bool:
    """Tell whether no other stamps without a unit are near those of a field: it has a clock of its own."""
    own = open_[field]
    others = [held for name, held in open_.items() if name != field and name not in DURATIONS and held.seen.any()]
    if not own.seen.any():
        return True
    middle = float(np.median(own.ticks[own.seen]))
    return all(abs(float(np.median(held.ticks[held.seen])) / middle - 1.0) > 1e-2 for held in others)


def _figures(times: Mapping[str, Times], output_tok: Ints) -> tuple[float, float, float]:
    """Return the median TTFT and time per token, and the span, in units of the file; NaN where not to be had."""
    ttft, tpot, span = np.nan, np.nan, np.nan
    more = output_tok > 1
    start = times.get("queued") or times.get("arrival")
    first, last = times.get("first_token"), times.get("last_token")
    if start and first and unix_unit(start) == unix_unit(first):
        ttft = _median(first.ticks - start.ticks, first.seen & start.seen)
    if first and last:
        tpot = _median((last.ticks - first.ticks) / np.maximum(output_tok - 1, 1), first.seen & last.seen & more)
    if start and start.seen.any():
        end = last if last and last.seen.any() and unix_unit(last) == unix_unit(start) else start
        span = float(end.ticks[end.seen].max() - start.ticks[start.seen].min())
    whole, to_first = times.get("e2e"), times.get("ttft")
    if np.isnan(ttft) and to_first:
        ttft = _median(to_first.ticks, to_first.seen)
    if np.isnan(tpot) and times.get("tpot"):
        tpot = _median(times["tpot"].ticks, times["tpot"].seen)
    if np.isnan(tpot) and whole:
        since = whole.ticks - (to_first.ticks if to_first else 0)
        tpot = _median(since / np.maximum(output_tok - 1, 1), whole.seen & more)
    if np.isnan(tpot) and start and last and unix_unit(start) == unix_unit(last):
        tpot = _median((last.ticks - start.ticks) / np.maximum(output_tok, 1), last.seen & start.seen)
    return ttft, tpot, span


def _is_service(ttft_s: float, tpot_s: float) -> bool:
    """Tell whether a service may have these medians; NaN is no evidence."""
    is_off = ttft_s > LONGEST_TTFT_S or ttft_s < SHORTEST_TTFT_S or tpot_s > LONGEST_TPOT_S or tpot_s < SHORTEST_TPOT_S
    return not is_off


def _median(values: NDArray[Any], seen: Bools) -> float:
    return float(np.median(values[seen])) if seen.any() else float("nan")


def _refuse_slips(times: Mapping[str, Times], table: Table, *, is_said: bool) -> None:
    """Raise UserError where single cells of a column would be among the others only in another unit."""
    for field, held in times.items():
        values = np.asarray(held.ticks, dtype=np.float64)
        seen = held.seen & (values > 0)
        if is_said or seen.sum() < 3:
            continue
        middle = float(np.median(values[seen]))
        low, high = middle / _SLIP, middle * _SLIP
        for off in (seen & (values > high), seen & (values < low) if field not in DURATIONS else seen & False):
            rest = seen & ~off
            if not off.any() or not rest.any():
                continue
            i = int(np.argmax(off))
            span = (float(values[rest].min()), float(values[rest].max()))
            if any(span[0] <= values[i] * factor <= span[1] for factor in (1e-3, 1e-6, 1e-9, 1e3, 1e6, 1e9)):
                raise table.error(
                    i,
                    held.name,
                    f"holds {table.shown(held.name, i)} where the median is {middle:.10g}: rows in different units? "
                    "Write all in one, or say with --unit (s, ms, us, ns) that they are",
                )
