"""When the attempts of a latency table were sent: numbers or dates, from the first or from 1970."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from discosim.traces.readers.azure import ticks_of
from discosim.traces.readers.base import PER_S, Floats, Ints
from discosim.traces.readers.columns import ArrowColumn
from discosim.traces.readers.doubts import YEAR_S
from discosim.traces.readers.table_base import Table

_UNIX_S = (1e9, 4.1e9)
"""Unix time from 2001 to 2099 in seconds."""
_DATE_PER_S = 10_000_000
_LONGEST_S = 100.0 * YEAR_S
"""A span that is refused, as that of a trace of requests is."""


@dataclass(frozen=True, eq=False)
class Clock:
    """Times of sending.

    Parameters
    ----------
    at_s : array of float, shape (n,)
        In s from the earliest on.
    unix_s : float or None
        Unix time of the earliest; None where the file counts from a moment of its own.
    order : array of int, shape (n,)
        Rows in order of sending.
    warnings : tuple of str
        Whole sentences.
    """

    at_s: Floats
    unix_s: float | None
    order: Ints
    warnings: tuple[str, ...] = ()


def clock_of(table: Table, name: str, unit: str | None) -> Clock:
    """Return when the rows of a table were sent.

    Parameters
    ----------
    table : Table
        The file.
    name : str
        Column of moments: numbers, or dates in ISO 8601.
    unit : str or None
        Unit of the numbers; None where the name does not say it: Unix time says it by its size, others are s.

    Raises
    ------
    UserError
        At the first cell that is no moment, where the name says s and the numbers are Unix time in a finer unit, and
        where they are Unix time in two units, or a century apart.
    """
    ticks, per_s = _ticks(table, name, unit)
    order = np.argsort(ticks, kind="stable")
    first = ticks[order[0]]
    begins_s = float(first) / per_s
    span_s = float(ticks[order[-1]] - first) / per_s
    if span_s > _LONGEST_S:
        i = int(order[-1])
        raise table.error(
            i, name, f"is {span_s / YEAR_S:.4g} years after {table.place(int(order[0]))}: are they in one unit?"
        )
    n_back = int(np.sum(ticks[1:] < ticks[:-1]))
    said = (f"{n_back:,} of {len(table):,} rows were sent before the row above them ({name}): put in order.",)
    return Clock(
        at_s=np.asarray((ticks - first) / per_s, dtype=np.float64),
        unix_s=begins_s if _UNIX_S[0] <= begins_s <= _UNIX_S[1] else None,
        order=order,
        warnings=said if n_back else (),
    )


def are_moments(table: Table, name: str) -> bool:
    """Tell whether cells are dates with a time, or Unix time: a column called time may hold durations."""
    column = table.columns[name]
    if isinstance(column, ArrowColumn) and column.moments_ns() is not None:
        return True
    words = [word for word in table.words(name).tolist() if word]
    values = column.floats()
    is_unix = bool(np.isfinite(values).all()) and _unix_unit(float(np.median(values))) is not None
    return is_unix or (bool(words) and all("-" in word[1:] and ":" in word for word in words))


def _require_one_unit(table: Table, name: str, values: Floats) -> None:
    """Raise UserError at the first row whose Unix time is in another unit than that of the first row."""
    units = [_unix_unit(value) for value in values.tolist()]
    odd = next((i for i, unit in enumerate(units) if unit != units[0]), None)
    if odd is not None and None not in units:  # what counts from a moment of its own has numbers of any size
        raise table.error(
            odd,
            name,
            f"holds {table.shown(name, odd)}, which is Unix time in {units[odd]}, and {table.place(0)} has "
            f"{table.shown(name, 0)}, which is in {units[0]}; write all in one unit",
        )


def _unix_unit(middle: float) -> str | None:
    return next((u for u, per_s in PER_S.items() if _UNIX_S[0] <= middle / per_s <= _UNIX_S[1]), None)


def _ticks(table: Table, name: str, unit: str | None) -> tuple[Ints | Floats, int]:
    column = table.columns[name]
    words = [] if isinstance(column, ArrowColumn) else [word for word in table.words(name).tolist() if word]
    is_date = bool(words) and all("-" in word[1:] and ":" in word for word in words)
    if is_date or (isinstance(column, ArrowColumn) and column.moments_ns() is not None):
        return ticks_of(table, name), _DATE_PER_S
    values = table.numbers(name)
    _require_one_unit(table, name, values)
    exact = column.whole() if np.all(values == np.floor(values)) else None
    looks = _unix_unit(float(np.median(values)))
    if unit == "s" and looks not in {None, "s"}:  # numbers of a finer unit may be of any size from 0
        raise table.error(
            0,
            name,
            f"holds {table.shown(name, 0)}, which is Unix time in {looks}; call the column at_{looks}",
        )
    return (values if exact is None else exact), PER_S[unit or looks or "s"]
