"""The heat of a device, fitted jointly to runs of it: time constants, onset and floor are shared, starts are not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from discosim.core.device_law import Heat
from discosim.core.errors import UserError
from discosim.traces.heat_law import heat_at_starts, mean_speed
from discosim.traces.readers.base import Words
from discosim.traces.readers.runs import rows_by_name

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ASSUMED_COOLING_S = 200.0
"""Cooling where no run rests. Source: our choice, near what the one measured rest of a phone gives (Pixel 6a)."""
BOUNDS = {"heating_s": (1.0, 3600.0), "cooling_s": (1.0, 36000.0), "onset": (0.0, 0.9), "floor": (0.05, 1.0)}
"""Between which a figure is looked for. Source: our choice, wide of every phone that we know of."""
SCALE = 0.05
"""Relative error beyond which an observation loses weight (soft L1). Source: our choice; speeds wander so."""
BLOCK_S = 30.0
"""Length of the blocks that the bootstrap draws: a phone's governor steps every few tens of seconds."""
N_DRAWS = 60
REST_S, SOON_S = 60.0, 5.0
"""Rest after which the time at work counts anew, and time that is added to it."""
LEAST_REST_S = 10.0
"""Sum of rests from which cooling is looked for."""
AT_BOUND = 0.02
LEAST = 8


@dataclass(frozen=True, kw_only=True, eq=False)
class HeatRun:
    """Work and rest of one device from one start on, and the speeds that were seen.

    Parameters
    ----------
    label : array of str objects, shape (n,)
        What ran at each observation: those of one label share their full speed, over all runs.
    busy_s, idle_s : array of float, shape (p,)
        Each piece of work and the rest after it, in s.
    piece : array of int, shape (n,)
        Piece of each observation.
    from_s, to_s : array of float, shape (n,)
        Stretch of its piece over which an observation is the mean, in s since the piece began.
    rate : array of float, shape (n,)
        Mean speed that was seen, in any unit, > 0.
    start_heat : float or None
        Heat at the beginning where it is known (0 after a long rest); None where it is to be found.
    """

    label: Words
    busy_s: Floats
    idle_s: Floats
    piece: Ints
    from_s: Floats
    to_s: Floats
    rate: Floats
    start_heat: float | None = None

    def mean_speed(self, heat: Heat, start_heat: float) -> Floats:
        """Return what the law says of the observations, over full speed."""
        starts = heat_at_starts(heat, start_heat, self.busy_s, self.idle_s)
        return mean_speed(heat, starts[self.piece], self.from_s, self.to_s)

    def weight(self) -> Floats:
        """Return what each observation counts: every doubling of the time at work alike, so that no plateau decides.

        The time at work is that since the last rest of a minute, or since the beginning.
        """
        began = np.concatenate(([0.0], np.cumsum(self.busy_s + self.idle_s)[:-1]))
        is_fresh = np.concatenate(([True], self.idle_s[:-1] >= REST_S))
        fresh_s = np.maximum.accumulate(np.where(is_fresh, began, 0.0))
        weight = 1.0 / (self.at_s() - fresh_s[self.piece] + SOON_S)
        return np.asarray(weight / weight.sum())

    def at_s(self) -> Floats:
        """Return the end of each observation since the run began, in s."""
        began = np.concatenate(([0.0], np.cumsum(self.busy_s + self.idle_s)[:-1]))
        return np.asarray(began[self.piece] + self.to_s)


@dataclass(frozen=True, kw_only=True)
class HeatFit:
    """What runs say of a device's heat.

    Parameters
    ----------
    heat : Heat
        The law.
    full : mapping of str to float
        Full speed by label, in the unit of the rates.
    start_heat : tuple of float
        Heat at the beginning of each run.
    error : float
        Median absolute relative error over the observations.
    n : int
        Observations.
    intervals : mapping of str to (float, float)
        95 % intervals of the law's figures by blocks of `BLOCK_S`; what was not fitted has none.
    not_identified : mapping of str to str
        Figures that these runs do not tell, and why.
    """

    heat: Heat
    full: Mapping[str, float]
    start_heat: tuple[float, ...]
    error: float
    n: int
    intervals: Mapping[str, tuple[float, float]]
    not_identified: Mapping[str, str]


def steady_run(
    label: str, rate: ArrayLike, *, window_s: float = 5.0, step_s: float = 1.0, start_heat: float | None = None
) -> HeatRun:
    """Return a run without rest, seen as trailing means: observation i is the mean over ``window_s`` from i steps on.

    Seconds without a token (a stall) are left out: they are no speed.
    """
    seen = np.asarray(rate, dtype=float)
    begin_s = step_s * np.arange(seen.size)
    kept = np.isfinite(seen) & (seen > 0)
    return HeatRun(
        label=np.full(int(kept.sum()), label, dtype=np.object_),
        busy_s=np.array([step_s * (seen.size - 1) + window_s]),
        idle_s=np.zeros(1),
        piece=np.zeros(int(kept.sum()), dtype=np.int64),
        from_s=begin_s[kept],
        to_s=begin_s[kept] + window_s,
        rate=seen[kept],
        start_heat=start_heat,
    )


def fit_heat(
    runs: Sequence[HeatRun], *, cooling_s: float | None = None, n_draws: int = N_DRAWS, seed: int = 0
) -> HeatFit:
    """Fit the law to runs of one device.

    Parameters
    ----------
    runs : sequence of HeatRun
        At least one, with eight observations together.
    cooling_s : float, optional
        Taken as given; else fitted where the runs rest, and assumed where they do not.
    n_draws : int
        Draws of the bootstrap; 0 for no intervals.
    seed : int
        Of the draws.

    Raises
    ------
    UserError
        If there are too few observations.

    Notes
    -----
    Source: our choice. Soft L1 on the logarithm of the speed, each run with equal weight (`HeatRun.weight`); the full
    speeds, of which the logarithm is linear, are eliminated; the best of several beginnings.
    """
    n = sum(run.rate.size for run in runs)
    if n < LEAST:
        raise UserError(f"heat needs at least {LEAST} timed speeds (got {n})")
    problem = _Problem(runs, cooling_s)
    found, _ = problem.solve(problem.beginnings(), None)
    heat, starts = problem.read(found)
    draws = np.random.Generator(np.random.PCG64(seed))
    drawn = [problem.solve([found], [_block_weights(run, draws) for run in runs])[0] for _ in range(n_draws)]
    misses = problem.misses(found)
    unknown = _unknown(problem, heat, starts)
    return HeatFit(
        heat=heat,
        full=problem.full(found),
        start_heat=tuple(starts),
        error=float(np.median(np.abs(np.expm1(np.concatenate(misses))))),
        n=n,
        intervals={} if not drawn else problem.intervals(np.asarray(drawn)),
        not_identified=unknown,
    )


def fit_start(heat: Heat, run: HeatRun) -> tuple[float, float]:
    """Return full speed and start heat of one run of a device whose law is known.

    Where the run cannot tell the two apart (it is flat), the coolest start that fits nearly as well is not
    preferred: the best fit is.
    """
    best: tuple[float, float, float] | None = None
    grid = np.linspace(0.0, 1.0, 101) if run.start_heat is None else np.array([run.start_heat])
    for start in grid.tolist():
        miss = np.log(run.rate) - np.log(run.mean_speed(heat, start))
        full = float(np.median(miss))
        loss = float(np.mean(_soft(miss - full)))
        if best is None or loss < best[0]:
            best = loss, float(np.exp(full)), start
    assert best is not None
    return best[1], best[2]


def _soft(miss: Floats) -> Floats:
    return np.asarray(np.sqrt(1.0 + (miss / SCALE) ** 2) - 1.0)


class _Problem:
    """The joint fit as a vector of unknowns: heating, cooling where looked for, onset, floor, open starts."""

    def __init__(self, runs: Sequence[HeatRun], cooling_s: float | None) -> None:
        self.runs = runs
        rests = max((float(run.idle_s[:-1].sum()) for run in runs), default=0.0)
        self.looks_at_cooling = cooling_s is None and rests >= LEAST_REST_S
        self.cooling_s = ASSUMED_COOLING_S if cooling_s is None else cooling_s
        self.names = ["heating_s", *(["cooling_s"] if self.looks_at_cooling else []), "onset", "floor"]
        self.open = [i for i, run in enumerate(runs) if run.start_heat is None]
        label = np.concatenate([run.label for run in runs])
        self.rows = rows_by_name(label.tolist())
        self.mass = np.concatenate([run.weight() for run in runs])
        self.ends = np.cumsum([run.rate.size for run in runs])[:-1]

    def beginnings(self) -> list[Floats]:
        """Return several first guesses."""
        found = []
        for heating_s in (20.0, 60.0, 200.0):
            for onset in (0.02, 0.4):
                guess = {"heating_s": heating_s, "cooling_s": ASSUMED_COOLING_S, "onset": onset, "floor": 0.6}
                found.append(np.array([self._in(name, guess[name]) for name in self.names] + [0.5] * len(self.open)))
        return found

    def _in(self, name: str, value: float) -> float:
        return float(np.log(value)) if name.endswith("_s") else value

    def _bounds(self) -> tuple[list[float], list[float]]:
        low = [self._in(name, BOUNDS[name][0]) for name in self.names] + [0.0] * len(self.open)
        high = [self._in(name, BOUNDS[name][1]) for name in self.names] + [1.0] * len(self.open)
        return low, high

    def figures(self, x: Floats) -> dict[str, float]:
        """Return the unknowns of the law by name."""
        return {
            name: float(np.exp(value)) if name.endswith("_s") else float(value)
            for name, value in zip(self.names, x.tolist(), strict=False)
        }

    def read(self, x: Floats) -> tuple[Heat, list[float]]:
        """Return the law and the start of each run."""
        held = self.figures(x)
        heat = Heat(
            heating_s=held["heating_s"],
            cooling_s=held.get("cooling_s", self.cooling_s),
            onset=min(held["onset"], BOUNDS["onset"][1]),
            floor=held["floor"],
        )
        starts = [0.0 if run.start_heat is None else run.start_heat for run in self.runs]
        for i, value in zip(self.open, x[len(self.names) :].tolist(), strict=True):
            starts[i] = min(max(value, 0.0), 1.0)
        return heat, starts

    def _raw(self, x: Floats) -> list[Floats]:
        heat, starts = self.read(x)
        return [
            np.log(run.rate) - np.log(run.mean_speed(heat, start)) for run, start in zip(self.runs, starts, strict=True)
        ]

    def _levels(self, raw: list[Floats], weights: list[Floats] | None) -> dict[str, float]:
        levels = {}
        whole = np.concatenate(raw)
        all_mass = self.mass if weights is None else self.mass * np.concatenate(weights)
        for label, rows in self.rows.items():
            values, mass = whole[rows], all_mass[rows]
            level = float(np.sum(values * mass) / np.sum(mass))
            for _ in range(3):  # towards the minimum of the soft L1
                own = mass / np.sqrt(1.0 + ((values - level) / SCALE) ** 2)
                level = float(np.sum(values * own) / np.sum(own))
            levels[label] = level
        return levels

    def misses(self, x: Floats, weights: list[Floats] | None = None) -> list[Floats]:
        """Return log(seen / law) of each run, full speeds taken out."""
        raw = self._raw(x)
        levels = self._levels(raw, weights)
        level = np.empty(self.mass.size)
        for label, rows in self.rows.items():
            level[rows] = levels[label]
        return list(np.split(np.concatenate(raw) - level, self.ends))

    def full(self, x: Floats) -> dict[str, float]:
        """Return the full speed of each label."""
        return {label: float(np.exp(level)) for label, level in self._levels(self._raw(x), None).items()}

    def solve(self, beginnings: list[Floats], weights: list[Floats] | None) -> tuple[Floats, float]:
        """Return the unknowns with the least loss, and it."""
        from scipy.optimize import least_squares

        low, high = self._bounds()
        mass = self.mass if weights is None else self.mass * np.concatenate(weights)
        share = np.sqrt(mass)

        def losses(x: Floats) -> Floats:
            return np.asarray(share * np.sqrt(2.0 * _soft(np.concatenate(self.misses(x, weights)))))

        best: tuple[float, Floats] | None = None
        for start in beginnings:
            inside = np.clip(start, np.asarray(low) + 1e-9, np.asarray(high) - 1e-9)
            done = least_squares(
                losses,
                inside,
                bounds=(low, high),
                diff_step=np.full(inside.size, 1e-4),
                xtol=1e-6,
                ftol=1e-7,
                max_nfev=60,
            )
            if best is None or done.cost < best[0]:
                best = float(done.cost), np.asarray(done.x)
        assert best is not None
        return best[1], best[0]

    def intervals(self, drawn: Floats) -> dict[str, tuple[float, float]]:
        """Return the 95 % intervals of the law's figures over the draws."""
        low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
        ends = zip(self.figures(low).items(), self.figures(high).values(), strict=True)
        return {name: (first, last) for (name, first), last in ends}


def _block_weights(run: HeatRun, draws: np.random.Generator) -> Floats:
    """Return how often each observation is drawn where blocks of `BLOCK_S` are drawn with replacement."""
    block = (run.at_s() / BLOCK_S).astype(np.int64)
    block -= block.min()
    n = int(block.max()) + 1
    counts = np.bincount(draws.integers(0, n, n), minlength=n).astype(float)
    return np.asarray(counts[block] + 1e-9)


def _unknown(problem: _Problem, heat: Heat, starts: Sequence[float]) -> dict[str, str]:
    said: dict[str, str] = {}
    if not problem.looks_at_cooling:
        said["cooling_s"] = f"no run rests; {problem.cooling_s:g} s is an assumption"
    if heat.floor > 1.0 - AT_BOUND:
        flat = "no run slows down"
        said |= {"heating_s": flat, "onset": flat}
    elif not any(start < 0.5 for start in starts):
        said["floor"] = "every run starts hot: full speed was not seen, and full speed and floor are not apart"
    for name in ("heating_s", "cooling_s"):
        if name in problem.names and name not in said:
            value, (low, high) = getattr(heat, name), BOUNDS[name]
            if value < low * (1 + AT_BOUND) or value > high * (1 - AT_BOUND):
                said[name] = f"the fit lies at the end of the range looked at ({low:g} to {high:g} s)"
    return said
