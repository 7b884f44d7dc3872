"""Differences of a sweep with what few rows behind its inputs leave open, beside those by luck alone.

More seeds make luck smaller and leave the inputs as they are, so rules that stop a sweep go by luck.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from discosim.core.scenario import Scenario
from discosim.metrics.definitions import definition
from discosim.metrics.influence import is_beyond
from discosim.metrics.input_uncertainty import Part, t_quantile
from discosim.runs.finished import Finished, Side, deviations, finished, part_of, version_half_width
from discosim.runs.input_intervals import asks
from discosim.runs.inputs import MeasuredInput
from discosim.sweep.axes import key_of
from discosim.sweep.compare import Difference, verdict_of
from discosim.sweep.plan import Plan
from discosim.sweep.store import Store

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
N_VERSIONS = 40
"""Versions of a table: the spread of so many is known to 11 %."""


@dataclass
class SweepInputs:
    """The inputs of a sweep's points, read when they are asked for.

    Parameters
    ----------
    store : Store
        Where the runs are.
    scenarios : mapping of int to Scenario
        Point -> its scenario.
    table : DataFrame
        As :func:`discosim.sweep.table.collect` gives it.
    names : collection of str
        Numbers of the summary that will be asked for.
    """

    store: Store
    scenarios: Mapping[int, Scenario]
    table: pd.DataFrame
    names: Collection[str]

    def __post_init__(self) -> None:
        self._points: dict[int, Finished] = {}
        whole = self.table[self.table["status"] == "finished"]
        self._folders = {
            int(str(point)): dict(zip(rows["seed"].astype(int), rows["run"], strict=True))
            for point, rows in whole.groupby("point")
        }

    def seeds(self, point: int) -> list[int]:
        """Return the seeds of a point that are finished."""
        return sorted(self._folders.get(point, {}))

    def of(self, point: int) -> Finished:
        """Return the finished runs of a point."""
        if point not in self._points:
            self._points[point] = self.read(point)
        return self._points[point]

    def read(self, point: int) -> Finished:
        """Read the finished runs of a point, and keep nothing of them."""
        runs = self.store.folder / "runs"
        folders = {seed: runs / name for seed, name in self._folders.get(point, {}).items()}
        return finished(self.scenarios[point], folders, self.names) if folders else NOTHING


NOTHING = Finished((), False, (), {}, ())


def with_inputs(
    differences: Sequence[Difference], plan: Plan, store: Store, table: pd.DataFrame
) -> tuple[Difference, ...]:
    """Return comparisons with their bounds with inputs, where an input of theirs has few rows or was drawn anew."""
    scenarios = {point.index: point.scenario for point in plan.points}
    points = {key_of(dict(point.values)): point.index for point in plan.points}
    return with_inputs_at(differences, scenarios, points, store, table)


def with_inputs_at(
    differences: Sequence[Difference],
    scenarios: Mapping[int, Scenario],
    points: Mapping[str, int],
    store: Store,
    table: pd.DataFrame,
) -> tuple[Difference, ...]:
    """Return comparisons with their bounds with inputs, of points whose scenarios are known.

    Parameters
    ----------
    differences : sequence of Difference
        Comparisons by luck alone.
    scenarios : mapping of int to Scenario
        Point -> its scenario.
    points : mapping of str to int
        Key of the values of a point (``key_of``) -> the point.
    store : Store
        Where the runs are.
    table : DataFrame
        As :func:`discosim.sweep.table.collect` gives it.
    """
    inputs = SweepInputs(store, scenarios, table, {row.metric for row in differences})
    return tuple(_widened(row, points, inputs) for row in differences)


@dataclass(frozen=True)
class Versions:
    """The numbers of a sweep under versions of its inputs of few rows.

    Parameters
    ----------
    table : DataFrame
        As the sweep's up to the column of policies, with the number of a version for the seed, and behind it the
        numbers asked for: means over the seeds that deviate to first order. NaN where that is not known.
    n_rows : int
        Rows of the input that has the fewest.
    few_rows : str
        Those inputs.
    """

    table: pd.DataFrame
    n_rows: int
    few_rows: str

    def part(self, sample: Sequence[float]) -> Part:
        """Return what the inputs leave open in something that was computed of each version."""
        values = np.asarray(sample, dtype=float)
        if np.isnan(values).any():
            return Part(math.nan)
        sd = float(np.std(values, ddof=1))
        return Part(sd, 1.0 / (1.0 / max(1, self.n_rows - 1) + 1.0 / (values.size - 1)))


def versions_of(
    scenarios: Mapping[int, Scenario], store: Store, table: pd.DataFrame, columns: Sequence[str], n: int = N_VERSIONS
) -> Versions | None:
    """Return the numbers of a sweep under ``n`` versions of its inputs; None where no input has few rows.

    Parameters
    ----------
    scenarios : mapping of int to Scenario
        Point -> its scenario.
    store : Store
        Where the runs are.
    table : DataFrame
        As :func:`discosim.sweep.table.collect` gives it.
    columns : sequence of str
        Numbers of the summary.
    n : int
        Versions.

    Notes
    -----
    Whatever is computed of a sweep's table can be computed of each version, and its spread is what the inputs leave
    open in it: ratios, means over points, differences of policies. Not for runs whose inputs were drawn anew
    (`inputs.resample`): there the seeds are the versions.
    """
    inputs = SweepInputs(store, scenarios, table, columns)
    heads = list(table.columns[: list(table.columns).index("policy") + 1])
    kept = table[table["status"] == "finished"][list(dict.fromkeys((*heads, *columns)))]
    thin: dict[tuple[str, str], MeasuredInput] = {}
    numbers: dict[Any, dict[str, Floats]] = {}  # by the first row of each policy at a point
    for point, rows in kept.groupby("point", sort=False):
        given, drawn = _drawn_of(inputs.read(int(str(point))), rows, columns, n)
        thin |= given
        numbers |= drawn
    if not thin or any(scenarios[point].inputs.resample for point in scenarios if inputs.seeds(point)):
        return None
    firsts = sorted(numbers)
    of_all = {name: np.concatenate([numbers[first][name] for first in firsts]) for name in columns}
    versions = kept.loc[np.repeat(firsts, n)].reset_index(drop=True)
    versions = versions.assign(seed=np.tile(np.arange(n), len(firsts)), **of_all)
    found = sorted(thin.values(), key=lambda given: given.n)
    few = ", ".join(dict.fromkeys(f"{given.role} {given.n:,} {given.unit}" for given in found))
    return Versions(versions, found[0].n, few)


def _drawn_of(
    runs: Finished, table: pd.DataFrame, columns: Sequence[str], n: int
) -> tuple[dict[tuple[str, str], MeasuredInput], dict[Any, dict[str, Floats]]]:
    """Return the inputs of a point, and numbers under their versions by the first row of each policy.

    Requests are held for one point at a time, of what may be thousands.
    """
    numbers = {}
    for policy, rows in table.groupby("policy", sort=False):
        side = Side(runs, str(policy))
        numbers[rows.index[0]] = {name: float(rows[name].mean()) + deviations(name, side, n) for name in columns}
    return {(given.role, given.name): given for given in runs.inputs}, numbers


def _widened(row: Difference, points: Mapping[str, int], inputs: SweepInputs) -> Difference:
    point = points[key_of(row.values)]
    other = points[key_of({**row.values, **row.against})]
    own, base = Side(inputs.of(point), row.policy), Side(inputs.of(other), row.baseline)
    said = "; ".join(dict.fromkeys(text for side in (own, base) if (text := side.runs.rows_text())))
    if not said or math.isnan(row.half_width):
        return row
    if own.runs.is_resampled and base.runs.is_resampled:
        halves = _of_versions(row, own, base, inputs, (point, other))
    else:
        part = part_of(row.metric, own, base)
        two_sided, one_sided = part.half_width(row.level), part.half_width(2.0 * row.level - 1.0)
        halves = (
            (math.hypot(row.diff - row.low, two_sided), math.hypot(row.high - row.diff, two_sided)),
            math.hypot(_one_sided(row), one_sided),
        )
    (below, above), harm = halves
    low, high = row.diff - below, row.diff + above
    return replace(
        row,
        few_rows=said,
        low_with_inputs=low,
        high_with_inputs=high,
        verdict_with_inputs=_verdict(row, low, high, harm),
        rests_on_no_row=any(
            is_beyond(given.n, row.metric) and asks(side.runs.columns[side.policy], given.role)
            for side in (own, base)
            for given in side.runs.inputs
        ),
    )


def _of_versions(
    row: Difference, own: Side, base: Side, inputs: SweepInputs, at: tuple[int, int]
) -> tuple[tuple[float, float], float]:
    """Return the halves of a difference whose seeds had versions of their own."""
    both = [seed for seed in inputs.seeds(at[0]) if seed in inputs.seeds(at[1])]
    by = inputs.table.set_index(["point", "policy", "seed"])[row.metric]
    a, b = (
        by.reindex([(point, policy, seed) for seed in both]).to_numpy(dtype=float)
        for point, policy in zip(at, (row.policy, row.baseline), strict=True)
    )
    sides = (own, base) if own.runs.sizes == base.runs.sizes else (own, replace(base, runs=NOTHING))
    half, harm = (
        version_half_width(row.metric, (a - b).tolist(), *sides, level) for level in (row.level, 2.0 * row.level - 1.0)
    )
    return (half, half), harm


def _one_sided(row: Difference) -> float:
    """Return the half-width by luck of the interval that a margin is compared with."""
    if row.n < 2:
        return math.nan
    return row.half_width * t_quantile(row.n - 1, 2.0 * row.level - 1.0) / t_quantile(row.n - 1, row.level)


def _verdict(row: Difference, low: float, high: float, harm: float) -> str:
    direction = definition(row.metric).direction
    if math.isnan(row.margin):
        return "unknown" if np.isnan([low, high]).any() else verdict_of(direction, low, high)
    above, below = row.diff + harm < row.margin, row.diff - harm > -row.margin
    is_shown = {"lower": above, "higher": below}.get(direction, above and below)
    return "no worse" if is_shown else "not shown"
