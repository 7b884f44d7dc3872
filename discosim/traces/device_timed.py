"""Rows of a device on the clock: what waited in its queue, and the heat that its work and rest show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from discosim.traces.device_fit import Bools, Floats, Ints
from discosim.traces.heat_fit import LEAST, LEAST_REST_S, SCALE, HeatFit, HeatRun, fit_heat
from discosim.traces.heat_law import heat_at_starts, mean_speed
from discosim.traces.readers.base import Words
from discosim.traces.readers.device_rows import DeviceRows
from discosim.traces.readers.runs import rows_by_name

OVERLAP_S = 1e-3
FEW_OVERLAPS = 0.02
QUEUED = 0.95
"""Share of overlapping rows whose time must hold the wait for those before, for the device to be one queue."""
LONG_GAP = 3.0
"""Times the median distance of rows without a duration from which the rest of the distance is a rest."""
LEAST_WORK_S = 60.0
LEAST_ROWS = 20
GAIN = 0.8
"""Loss with heat over the loss without, up to which heat is taken to be shown."""
STANDARD_ERRORS = 3.0
WARM_START = 0.9
"""Error with a start that is free over the error with a cool one, up to which the free one is taken."""
HOTTEST_FLOOR = 0.95
"""Floor above which there is no heat to speak of."""


@dataclass(frozen=True)
class Pieces:
    """Work and rest around each row.

    Parameters
    ----------
    busy_s, idle_s : array of float, shape (n,)
        Time at work of each row, and the rest after it, in s.
    run : array of str objects, shape (n,)
        Run of each row; heat starts anew with each.
    """

    busy_s: Floats
    idle_s: Floats
    run: Words


def without_waits(rows: DeviceRows) -> tuple[DeviceRows, tuple[str, ...]]:
    """Return the rows as if nobody had waited, and what was done.

    A device serves one request at a time: where rows begin before the one before has ended, and their times are long
    enough to hold that wait, it is taken out (Lindley's recursion backwards).
    """
    whole_s = np.where(np.isfinite(rows.total_s), rows.total_s, rows.ttft_s)
    if len(rows) < 2 or not (np.isfinite(rows.start_s).all() and np.isfinite(whole_s).all()):
        return rows, ()
    end_s = rows.start_s + whole_s
    wait_s = np.zeros(len(rows))
    for group in rows_by_name(rows.run.tolist()).values():
        before_s = np.maximum.accumulate(end_s[group])[:-1]
        wait_s[group[1:]] = np.maximum(before_s - rows.start_s[group[1:]], 0.0)
    late = wait_s > OVERLAP_S
    if late.mean() <= FEW_OVERLAPS:
        return rows, ()
    first_s = np.where(np.isfinite(rows.ttft_s), rows.ttft_s, whole_s)
    if (wait_s < first_s)[late].mean() < QUEUED:
        said = (
            f"{late.mean():.0%} of the rows begin before the one before has ended, and do not wait for it: several "
            "were served at once, so that these are no times of a device alone."
        )
        return rows, (said,)
    kept = np.where(wait_s < first_s, wait_s, 0.0)
    said = (
        f"{late.mean():.0%} of the rows begin before the one before has ended: the wait ({wait_s[late].mean():.3g} s "
        "in the mean of these) was taken out, first in first out."
    )
    return replace(rows, ttft_s=rows.ttft_s - kept, total_s=rows.total_s - kept, start_s=rows.start_s + kept), (said,)


def pieces_of(rows: DeviceRows) -> tuple[Pieces, tuple[str, ...]] | None:
    """Return work and rest around each row, and what was assumed; None where rows are not timed."""
    if len(rows) < LEAST or not np.isfinite(rows.start_s).all():
        return None
    whole_s = np.where(np.isfinite(rows.total_s), rows.total_s, rows.ttft_s)
    told: tuple[str, ...] = ()
    busy_s, idle_s = whole_s.copy(), np.zeros(len(rows))
    is_timed = bool(np.isfinite(whole_s).all())
    for group in rows_by_name(rows.run.tolist()).values():
        apart_s = np.diff(rows.start_s[group])
        if group.size < 2:
            busy_s[group] = np.where(np.isfinite(busy_s[group]), busy_s[group], 1.0)
            continue
        if is_timed:
            idle_s[group[:-1]] = np.maximum(apart_s - busy_s[group[:-1]], 0.0)
            continue
        usual_s = float(np.median(apart_s))
        is_rest = apart_s > LONG_GAP * usual_s
        busy_s[group] = np.append(np.where(is_rest, usual_s, apart_s), usual_s)
        idle_s[group[:-1]] = np.where(is_rest, apart_s - usual_s, 0.0)
    if not is_timed:
        said = (
            "Rows have a moment and no duration: the device was taken to work from each row to the next, and to rest "
            f"where they are more than {LONG_GAP:g} times the usual distance apart."
        )
        told = (said,)
    if not (busy_s > 0).all():
        return None
    return Pieces(busy_s, idle_s, rows.run), told


@dataclass(frozen=True)
class ShownHeat:
    """The fit to timed rows, and the heat at which each run began, by the run's name."""

    fit: HeatFit
    start_heat: Mapping[str, float]


def shown_heat(pieces: Pieces, speed: Floats, *, n_draws: int) -> ShownHeat | None:
    """Return the heat that rows show, or None where they show none.

    Parameters
    ----------
    pieces : Pieces
        Work and rest around each row.
    speed : array of float, shape (n,)
        Time of the line over the time measured, NaN for a row that says nothing.
    n_draws : int
        Draws of the bootstrap.
    """
    seen = np.isfinite(speed) & (speed > 0)
    if seen.sum() < LEAST_ROWS or float(pieces.busy_s.sum()) < LEAST_WORK_S:
        return None
    cool = _runs(pieces, speed, seen, 0.0)
    runs, fit = cool, fit_heat(list(cool.values()), n_draws=0)
    if max(float(run.idle_s[:-1].sum()) for run in cool.values()) >= LEAST_REST_S:
        warm = _runs(pieces, speed, seen, None)  # a start that is not cool shows only against rests
        other = fit_heat(list(warm.values()), n_draws=0)
        if other.error < WARM_START * fit.error:
            runs, fit = warm, other
    if fit.heat.floor > HOTTEST_FLOOR:
        return None
    law = np.concatenate(
        [run.mean_speed(fit.heat, start) for run, start in zip(runs.values(), fit.start_heat, strict=True)]
    )
    rate = np.concatenate([run.rate for run in runs.values()])
    level = np.log(rate)
    without = _loss(level - np.median(level))
    beside = level - np.log(law)
    gain = without - _loss(beside - np.median(beside))
    blocks = gain[: gain.size // 5 * 5].reshape(-1, 5).mean(axis=1)  # neighbours err alike
    error = float(blocks.std(ddof=1)) / blocks.size**0.5 if blocks.size > 1 else np.inf
    if gain.mean() < (1.0 - GAIN) * without.mean() or gain.mean() < STANDARD_ERRORS * error:
        return None
    if n_draws:
        fit = fit_heat(list(runs.values()), n_draws=n_draws)
    return ShownHeat(fit, dict(zip(runs, fit.start_heat, strict=True)))


def _loss(miss: Floats) -> Floats:
    return np.asarray(np.sqrt(1.0 + (miss / SCALE) ** 2) - 1.0)


def _runs(pieces: Pieces, speed: Floats, seen: Bools, start_heat: float | None) -> dict[str, HeatRun]:
    found = {}
    for name, group in rows_by_name(pieces.run.tolist()).items():
        places: Ints = np.flatnonzero(seen[group])
        if not places.size:
            continue
        rows = group[places]
        found[name] = HeatRun(
            label=np.full(rows.size, "", dtype=np.object_),
            busy_s=pieces.busy_s[group],
            idle_s=pieces.idle_s[group],
            piece=places,
            from_s=np.zeros(rows.size),
            to_s=pieces.busy_s[rows],
            rate=speed[rows],
            start_heat=start_heat,
        )
    return found


def slowed(pieces: Pieces, shown: ShownHeat, rows: DeviceRows) -> tuple[Floats, Floats, Floats]:
    """Return by what heat multiplies the time to the first token, that of the later ones, and the whole time."""
    first, later, whole = (np.ones(len(rows)) for _ in range(3))
    heat = shown.fit.heat
    for name, group in rows_by_name(pieces.run.tolist()).items():
        busy_s = pieces.busy_s[group]
        starts = heat_at_starts(heat, shown.start_heat.get(name, 0.0), busy_s, pieces.idle_s[group])
        to_first_s = np.where(np.isfinite(rows.ttft_s[group]), np.minimum(rows.ttft_s[group], busy_s), busy_s)
        to_first_s = np.maximum(to_first_s, 1e-9)
        first[group] = 1.0 / mean_speed(heat, starts, 0.0, to_first_s)
        has_later = busy_s > to_first_s * (1 + 1e-6)
        end_s = np.where(has_later, busy_s, to_first_s + 1e-6)
        begin_s = np.where(has_later, to_first_s, 0.0)
        later[group] = 1.0 / mean_speed(heat, starts, begin_s, end_s)
        whole[group] = 1.0 / mean_speed(heat, starts, 0.0, busy_s)
    no_first = ~np.isfinite(rows.ttft_s)
    later[no_first] = whole[no_first]
    return first, later, whole
