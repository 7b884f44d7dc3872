"""What the rows of one service show beside quantiles and memory; each is kept only where a stated rule says so."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from discosim.core.empirical import CorrelatedSeries
from discosim.traces.readers.base import LatencySeries
from discosim.traces.recipes import measure
from discosim.traces.recipes.measure import Floats, lag1
from discosim.traces.rows_digest import HourFactors, PromptSlope, RefusalRuns

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

SLOPE_LEVEL = 0.99
"""Level of the slope's interval: one file in 200 without any dependence shows a slope above 0."""
FEWEST_ROWS, FEWEST_LENGTHS = 20, 3
"""Rows and distinct prompt lengths below which no slope is looked for."""
MOST_ROWS = 1500
"""Rows whose pairs are all looked at; of more, so many are drawn, the same ones every time."""
HOUR_LEVEL = 0.005
"""False alarms of each of the two tests for hours (TTFT, time per token)."""
SHIFT_LEVEL = 0.05
HOUR_S, DAY_S, HOURS = 3600.0, 86_400.0, 24
FEWEST_IN_HOUR, FEWEST_HOURS = 3, 12
"""Rows of an hour that give it a factor, and hours that have one; the others lie between their neighbours."""
DAYS_TO_COMPARE, HOURS_OF_A_DAY = 3, 18
"""Days that can tell the hour from a drift, and hours with rows that make a day."""
N_SHIFTS = 999


@dataclass(frozen=True, eq=False)
class Slope:
    """TTFT against the length of the prompt: the slope, its interval, and the times with it taken out.

    Parameters
    ----------
    s_per_tok, low, high : float
        Theil-Sen slope and its interval, in s per token.
    n : int
        Rows behind it.
    shortest_tok, longest_tok : int
        Prompts.
    flat_ttft_s : array of float, shape (n_rows,)
        TTFT at the shortest prompt; NaN where TTFT or prompt is not known.
    n_raised : int
        Of these, how many would lie below the shortest TTFT that was seen, and were set to it.
    """

    s_per_tok: float
    low: float
    high: float
    n: int
    shortest_tok: int
    longest_tok: int
    flat_ttft_s: Floats
    n_raised: int

    @property
    def is_shown(self) -> bool:
        """Whether the interval lies above 0."""
        return self.low > 0


def prompt_slope(series: LatencySeries) -> Slope | None:
    """Return how TTFT depends on the prompt; None where the rows cannot tell.

    Notes
    -----
    Source: Theil (1950), Sen (1968): the median of the slopes of all pairs, with an interval by Kendall's tau, which
    single slow requests do not move. It takes the rows for independent; where lengths are mixed at random, the memory
    of the service does no harm.
    """
    from scipy.stats import theilslopes

    if series.prompt_tok is None:
        return None
    known = np.flatnonzero(np.isfinite(series.ttft_s) & (series.prompt_tok > 0))
    ttft_s, prompt_tok = series.ttft_s[known], series.prompt_tok[known]
    if known.size < FEWEST_ROWS or np.unique(prompt_tok).size < FEWEST_LENGTHS:
        return None
    used = np.arange(known.size)
    if known.size > MOST_ROWS:
        used = np.sort(np.random.Generator(np.random.PCG64(0)).permutation(known.size)[:MOST_ROWS])
    found = theilslopes(ttft_s[used], prompt_tok[used].astype(np.float64), alpha=SLOPE_LEVEL)
    slope, low, high = float(found.slope), float(found.low_slope), float(found.high_slope)
    shortest = int(prompt_tok.min())
    straight_s = ttft_s - max(slope, 0.0) * (prompt_tok - shortest)
    flat_ttft_s = np.full(series.ttft_s.size, np.nan)
    flat_ttft_s[known] = np.maximum(straight_s, ttft_s.min())
    n_raised = int(np.sum(straight_s < ttft_s.min()))
    return Slope(slope, low, high, int(used.size), shortest, int(prompt_tok.max()), flat_ttft_s, n_raised)


@dataclass(frozen=True, eq=False)
class Hours:
    """Times against the hour of the day.

    Parameters
    ----------
    days : float
        Span of the rows.
    is_utc : bool
        Whether hours are those of a wall clock.
    ttft_factor, tpot_factor : array of float, shape (24,)
        Times of each hour over those of all; 1 where the rows do not show a dependence.
    ttft_s, tpot_s : array of float, shape (n_rows,)
        The times with their factors taken out.
    """

    days: float
    is_utc: bool
    ttft_factor: Floats
    tpot_factor: Floats
    ttft_s: Floats
    tpot_s: Floats

    @property
    def is_shown(self) -> bool:
        """Whether one of the two depends on the hour."""
        return bool(np.any(self.ttft_factor != 1) or np.any(self.tpot_factor != 1))


def hours_of_day(series: LatencySeries, ttft_s: Floats | None = None) -> Hours | None:
    """Return how times depend on the hour of the day; None where the rows span no day, or say not when they were sent.

    Parameters
    ----------
    series : LatencySeries
        The rows.
    ttft_s : array of float, optional
        TTFTs in place of the series' own: with the slope taken out.

    Notes
    -----
    Source: our choice. Hours are told apart by Kruskal and Wallis's test, whose statistic is divided by
    (1 + r) / (1 - r), r the lag-1 autocorrelation of the ranks inside the hours: neighbours that are alike are no
    evidence. The days must also agree: the spread of the hours' means over days must exceed that of days turned against
    each other at random, which a drift does not survive. Of 100 series each without any hours, of three and seven
    days, with a memory of up to 0.9 a row or drifting by a fifth a day, 2 % at most passed; of one day, up to two
    thirds passed the first test alone. So one or two days show nothing.
    """
    if series.start_s is None:
        return None
    at_s = series.start_s[series.attempt] + (series.begin_unix_s or 0.0)
    if not np.isfinite(at_s).all() or not at_s.size or np.ptp(at_s) < DAY_S - HOUR_S:
        return None
    hour, day = (at_s // HOUR_S % HOURS).astype(np.int64), ((at_s - at_s.min()) // DAY_S).astype(np.int64)
    parts = [_factors(times, hour, day) for times in (series.ttft_s if ttft_s is None else ttft_s, series.tpot_s)]
    (ttft_factor, flat_ttft_s), (tpot_factor, flat_tpot_s) = parts
    is_utc = series.begin_unix_s is not None
    return Hours(float(np.ptp(at_s)) / DAY_S, is_utc, ttft_factor, tpot_factor, flat_ttft_s, flat_tpot_s)


def _factors(times_s: Floats, hour: Ints, day: Ints) -> tuple[Floats, Floats]:
    """Return the factor of each hour, all 1 where none is shown, and the times without them."""
    seen = np.flatnonzero(np.isfinite(times_s))
    x, hour, day = np.log(times_s[seen]), hour[seen], day[seen]
    held = [h for h in range(HOURS) if np.sum(hour == h) >= FEWEST_IN_HOUR]
    if len(held) < FEWEST_HOURS or not (_is_uneven(x, hour, held) and _days_agree(x, hour, day)):
        return np.ones(HOURS), times_s
    level = np.zeros(x.size)
    for one in np.unique(day):  # a drift from day to day is not of the hour
        level[day == one] = np.median(x[day == one])
    known = np.array([np.median((x - level)[hour == h]) for h in held])
    around = np.concatenate([np.array(held) - HOURS, held, np.array(held) + HOURS])
    factor = np.exp(np.interp(np.arange(HOURS), around, np.tile(known, 3)))
    flat_s = times_s.copy()
    flat_s[seen] = times_s[seen] / factor[hour]
    return factor, flat_s


def _is_uneven(x: Floats, hour: Ints, held: list[int]) -> bool:
    from scipy.stats import chi2, kruskal, rankdata

    ranks = rankdata(x)
    inside = ranks.copy()
    for h in range(HOURS):
        if np.any(hour == h):
            inside[hour == h] -= ranks[hour == h].mean()
    if np.ptp(x) == 0:
        return False
    memory = min(max(lag1(inside), 0.0), 0.999)
    found = kruskal(*(x[hour == h] for h in held))
    return float(chi2.sf(found.statistic * (1 - memory) / (1 + memory), len(held) - 1)) < HOUR_LEVEL


def _days_agree(x: Floats, hour: Ints, day: Ints) -> bool:
    """Tell whether days agree on their hours; False where there are too few to ask."""
    rows = []
    for one in np.unique(day):
        cells = np.array(
            [np.median(x[own]) if (own := (day == one) & (hour == h)).any() else np.nan for h in range(HOURS)]
        )
        if np.isfinite(cells).sum() >= HOURS_OF_A_DAY:
            cells -= np.nanmean(cells)
            rows.append(np.nan_to_num(cells))
    if len(rows) < DAYS_TO_COMPARE:
        return False
    profile = np.array(rows)
    spread = float(profile.mean(axis=0).var())
    rng = np.random.Generator(np.random.PCG64(0))
    turned = rng.integers(0, HOURS, (N_SHIFTS, len(rows), 1))
    at = (np.arange(HOURS) + turned) % HOURS
    means = np.take_along_axis(np.broadcast_to(profile, (N_SHIFTS, *profile.shape)), at, axis=2).mean(axis=1)
    return bool((1 + np.sum(means.var(axis=1) >= spread)) / (1 + N_SHIFTS) <= SHIFT_LEVEL)


def refusal_runs(is_failed: Bools) -> tuple[int, float] | None:
    """Return how many runs of failures there are and how long they are on average; None where fewer than two failed."""
    n = int(is_failed.sum())
    if n < 2:
        return None
    n_runs = int(np.sum(is_failed & ~np.concatenate(([False], is_failed[:-1]))))
    return n_runs, n / n_runs


@dataclass(frozen=True, eq=False)
class RowLaws:
    """All that the rows of a service show; None each where they cannot tell."""

    slope: Slope | None
    hours: Hours | None
    runs: tuple[int, float] | None


def row_laws(series: LatencySeries) -> RowLaws:
    """Return what the rows show; hours are looked for beside the slope, where that is shown."""
    slope = prompt_slope(series)
    flat_ttft_s = slope.flat_ttft_s if slope is not None and slope.is_shown else None
    return RowLaws(slope, hours_of_day(series, flat_ttft_s), refusal_runs(series.is_failed))


def kept(laws: RowLaws) -> tuple[PromptSlope | None, HourFactors | None, RefusalRuns | None]:
    """Return the laws as a digest keeps them."""
    slope, hours = laws.slope, laws.hours

    def law(times_s: Floats) -> CorrelatedSeries:
        return measure.series(times_s[np.isfinite(times_s)])

    kept_slope, kept_hours = None, None
    if slope is not None:
        kept_slope = PromptSlope(
            s_per_tok=slope.s_per_tok,
            low_s_per_tok=slope.low,
            high_s_per_tok=slope.high,
            n=slope.n,
            shortest_tok=slope.shortest_tok,
            longest_tok=slope.longest_tok,
            ttft=law(slope.flat_ttft_s) if slope.is_shown else None,
        )
    if hours is not None:
        kept_hours = HourFactors(
            days=hours.days,
            clock="utc" if hours.is_utc else "first_row",
            ttft_factor=tuple(hours.ttft_factor.tolist()) if hours.is_shown else (),
            tpot_factor=tuple(hours.tpot_factor.tolist()) if hours.is_shown else (),
            ttft=law(hours.ttft_s) if hours.is_shown else None,
            tpot=law(hours.tpot_s) if hours.is_shown else None,
        )
    runs = None if laws.runs is None else RefusalRuns(n_runs=laws.runs[0], mean_run=laws.runs[1])
    return kept_slope, kept_hours, runs
