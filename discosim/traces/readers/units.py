"""Units of measured times: taken from the format, or said by the user, and doubted where no service is like that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from discosim.core.errors import UserError, close_match
from discosim.traces.readers.base import Floats, LatencySeries, RttSeries

AUTO = "auto"
UNITS_S = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
"""Units a user can say, in seconds; ``auto`` is the format's own."""

LONG_TTFT_S = 60.0
"""Median TTFT that is worth a note: a queue of a minute, or ms taken for s."""
LONGEST_TTFT_S = 600.0
"""Median TTFT that is refused: most clients have given up."""
SHORTEST_TTFT_S = 1e-3
"""Median TTFT that is refused: a request, a forward pass and an answer take longer on one host."""
LONGEST_TPOT_S = 1.0
"""Median TPOT that is refused: a quarter of reading speed; ms taken for s reach it at 1,000 tokens a second."""
SHORTEST_TPOT_S = 1e-4
"""Median TPOT that is doubted: 10,000 tokens a second is some five times what the fastest hosted services publish."""
BURST_TTFT_S = 0.01
"""Median TTFT above which so short a TPOT is an answer in bursts, and not a wrong unit."""
LONGEST_RTT_S = 10.0
SHORTEST_RTT_S = 2e-5
"""Median round trips that are doubted: no path takes 10 s, and the loopback of a host takes about 30 us."""
STATED_RATIO = (500.0, 2000.0)
OUTLIER_RATIO = 300.0
"""Times of single requests over the median that are worth a note; the heaviest published series reaches 60."""
AMBIGUOUS = (2e-2, 2.0)
"""Median round trips, as written, that may be in ms as well as in s: others are too many s, or too few ms."""
NO_UNIT = "Its numbers name no unit and were taken for ms."
_SERIES = TypeVar("_SERIES", LatencySeries, RttSeries)
HOW_TO_SAY = "say which with server.series_unit or --unit (s, ms, us, ns)"
HOW_TO_SAY_RTT = "say which with link.series_unit or --unit (s, ms, us, ns)"
SLOW_RTT_S = 2.0
QUICK_RTT_S = 2e-4
"""Median round trips that are worth a note: a satellite's is 0.6 s, and a cable in the room's 0.2 ms."""


def may_be_seconds(numbers: Floats) -> bool:
    """Tell whether round trips that name no unit, and mostly are in ms, could be in s just as well."""
    return AMBIGUOUS[0] <= _median(numbers[numbers > 0.0]) <= AMBIGUOUS[1]


def in_unit(series: _SERIES, unit: str, where: str) -> _SERIES:
    """Return a series whose file was in ``unit``, whatever its format says.

    Parameters
    ----------
    series : LatencySeries or RttSeries
        As its reader returned it.
    unit : {"auto", "s", "ms", "us", "ns"}
        Unit of the file's times; ``auto`` changes nothing.
    where : str
        File, for errors.

    Raises
    ------
    UserError
        If the unit is unknown, or the file names a unit beside each value.
    """
    if unit == AUTO:
        if isinstance(series, RttSeries) and not series.is_unit_stated:
            raise UserError(f"does not say what its times are in{_readings(series)}; {HOW_TO_SAY_RTT}", where=where)
        return series
    if unit not in UNITS_S:
        raise UserError(f"unknown unit of time {unit!r}; {close_match(unit, (AUTO, *UNITS_S))}", where=where)
    if series.unit_s is None:
        raise UserError(
            f"names its units itself, so they cannot be said to be {unit}; leave the unit at auto", where=where
        )
    factor = UNITS_S[unit] / series.unit_s
    names = ("rtt_s",) if isinstance(series, RttSeries) else ("ttft_s", "tpot_s")
    times: dict[str, Any] = {name: getattr(series, name) * factor for name in names}
    doubts = tuple(doubt for doubt in series.warnings if doubt != NO_UNIT)  # now somebody has named it
    return replace(series, **times, warnings=doubts)


def require_plausible(series: _SERIES, unit: str, where: str) -> _SERIES:
    """Return a series with its doubts about the size of the times, or raise where no service or path is like that.

    Parameters
    ----------
    series : LatencySeries or RttSeries
        Times in s.
    unit : str
        As in `in_unit`; where the user has said one, or the file names its own, a fault is a doubt and no refusal.
    where : str
        File, for errors.

    Raises
    ------
    UserError
        With the unit that would make the times ordinary, and the key that says it.
    """
    fault: str = fault_of(series)
    if isinstance(series, LatencySeries) and series.unit_doubt and unit == AUTO:
        raise UserError(f"{series.group}: {series.unit_doubt}", where=where)
    if fault and unit == AUTO and series.unit_s is not None:
        raise UserError(f"{series.group}: {fault}", where=where)
    found: tuple[str, ...] = (*((fault,) if fault else ()), *doubts_of(series))
    return replace(series, warnings=(*series.warnings, *found)) if found else series


def fault_of(series: LatencySeries | RttSeries) -> str:
    """Return why the times of a series cannot be in the unit they were taken for, in one sentence, or ''.

    Notes
    -----
    Source: our choice of limits, each with its reason above. A median decides, so that single outliers do not.
    """
    if isinstance(series, RttSeries):
        rtt_s = _median(series.received_s)
        off = rtt_s > LONGEST_RTT_S or rtt_s < SHORTEST_RTT_S
        return f"The median round trip would be {rtt_s:g} s{_meant(series, rtt_s=rtt_s)}." if off else ""
    ttft_s, tpot_s = _median(series.seen_ttft_s), _median(series.seen_tpot_s)
    if not _is_off(ttft_s, tpot_s):
        return _contradiction(series, ttft_s)
    figures = [f"TTFT {ttft_s:g} s"] if np.isfinite(ttft_s) else []
    figures += [f"time per token {tpot_s:g} s"] if np.isfinite(tpot_s) else []
    meant = _meant(series, ttft_s=ttft_s, tpot_s=tpot_s)
    return f"The medians would be {' and '.join(figures)}: no service is like that{meant}."


def doubts_of(series: LatencySeries | RttSeries) -> Iterator[str]:
    """Yield what is to be doubted about the size of the times, short of a fault."""
    if isinstance(series, RttSeries):
        yield from _rtt_doubts(series)
        return
    ttft_s, tpot_s = _median(series.seen_ttft_s), _median(series.seen_tpot_s)
    if LONG_TTFT_S < ttft_s <= LONGEST_TTFT_S and not fault_of(series):
        how = f", or ms taken for s; {HOW_TO_SAY}" if series.unit_s is not None else ""
        yield f"The median TTFT is {ttft_s:g} s: a long queue{how}."
    if tpot_s < SHORTEST_TPOT_S and ttft_s >= BURST_TTFT_S:
        yield (
            f"The median time per token is {tpot_s:g} s: answers arrive in bursts, so the TTFT holds most of the time "
            "that their tokens took."
        )
    for name, times_s, smallest in (("TTFT", series.seen_ttft_s, True), ("time per token", series.seen_tpot_s, False)):
        middle_s = _median(times_s)
        n_off = int(np.sum(times_s > OUTLIER_RATIO * middle_s))
        n_off += int(np.sum(times_s < middle_s / OUTLIER_RATIO)) if smallest else 0  # bursts make short times per token
        if n_off:
            yield (
                f"The {name} of {n_off:,} of {times_s.size:,} requests is more than {OUTLIER_RATIO:g} times off the "
                f"median of {middle_s:g} s: outliers, or rows in another unit."
            )


def _readings(series: RttSeries) -> str:
    """Return in which units the median would be an ordinary round trip, as a clause."""
    assert series.unit_s is not None
    number = _median(series.received_s) / series.unit_s
    usual = [unit for unit, size_s in UNITS_S.items() if QUICK_RTT_S <= number * size_s <= SLOW_RTT_S]
    return f": a median of {number:g} would be usual in {' or '.join(usual)}" if usual else ""


def _rtt_doubts(series: RttSeries) -> Iterator[str]:
    rtt_s = _median(series.received_s)
    if fault_of(series) or QUICK_RTT_S <= rtt_s <= SLOW_RTT_S:
        return
    slow = rtt_s > SLOW_RTT_S
    what = "slower than by satellite, or ms taken for s" if slow else "quicker than any last hop, or s taken for ms"
    yield f"The median round trip is {rtt_s:g} s: {what}" + (
        f"; {HOW_TO_SAY_RTT}." if series.unit_s is not None else "."
    )


def units_of_service(medians: Callable[[str], tuple[float, float]]) -> list[str]:
    """Return the units in which median TTFT and time per token are those of a service.

    Parameters
    ----------
    medians : callable
        ``medians(unit)`` gives both in s, NaN where one is not known.
    """
    return [unit for unit in UNITS_S if not _is_off(*medians(unit))]


def _median(times_s: Floats) -> float:
    return float(np.median(times_s)) if times_s.size else float("nan")


def _is_off(ttft_s: float, tpot_s: float) -> bool:
    """Tell whether no service has these medians; NaN is no evidence."""
    fast = ttft_s < SHORTEST_TTFT_S or (tpot_s < SHORTEST_TPOT_S and not ttft_s >= BURST_TTFT_S)
    return ttft_s > LONGEST_TTFT_S or tpot_s > LONGEST_TPOT_S or fast


def _meant(
    series: LatencySeries | RttSeries, *, ttft_s: float = np.nan, tpot_s: float = np.nan, rtt_s: float = np.nan
) -> str:
    """Return the unit with which the medians would be ordinary and how to say it, as clauses."""
    if series.unit_s is None:
        return ""
    how = HOW_TO_SAY_RTT if isinstance(series, RttSeries) else HOW_TO_SAY
    for unit, size_s in UNITS_S.items():
        factor = size_s / series.unit_s
        if factor == 1.0 or _is_off(ttft_s * factor, tpot_s * factor):
            continue
        if rtt_s * factor > LONGEST_RTT_S or rtt_s * factor < SHORTEST_RTT_S:
            continue
        return f", so the file's times are probably in {unit}; {how}"
    return f", and no one unit mends it: are its columns in different units? Else {how}"


def _contradiction(series: LatencySeries, ttft_s: float) -> str:
    """Return how the TTFTs contradict what the file says about its own run, or ''."""
    if series.run_s is not None and 0 < series.run_s < ttft_s:
        return (
            f"The median TTFT would be {ttft_s:g} s in a run that took {series.run_s:g} s: are its times in different "
            f"units? {HOW_TO_SAY[0].upper()}{HOW_TO_SAY[1:]}."
        )
    stated_s = series.stated_ttft_s
    if stated_s is not None and stated_s > 0 and ttft_s > 0:
        low, high = STATED_RATIO
        if low <= ttft_s / stated_s <= high or low <= stated_s / ttft_s <= high:
            return (
                f"The median TTFT of the single requests would be {ttft_s:g} s, and the file's own summary says "
                f"{stated_s:g} s: are its times in different units? {HOW_TO_SAY[0].upper()}{HOW_TO_SAY[1:]}."
            )
    return ""
