"""Paired differences over seeds: what `compare` asks for, and when `stop` is content."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from discosim.metrics.declare import Direction
from discosim.metrics.definitions import definition
from discosim.metrics.equivalence import tost
from discosim.metrics.intervals import bootstrap_interval
from discosim.metrics.stats import paired_difference
from discosim.sweep.axes import key_of
from discosim.sweep.file import Compare, Stop
from discosim.sweep.plan import Plan
from discosim.sweep.rules import name_of

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """One metric of one policy at one point, beside its baseline.

    Parameters
    ----------
    compare : str
        Name of the comparison.
    metric, policy, baseline : str
        What is compared.
    values, against : mapping
        Values of the axes at the point, and those of them that differ at the baseline's point.
    n, n_missing : int
        Pairs used; pairs left out because a run failed or is missing, or the metric is undefined.
    n_requests, n_failed : int
        Requests behind the policy's numbers over all pairs, and those of them that got no full answer.
    mean, baseline_mean, diff, low, high, level : float
        Means over the pairs, the mean difference, its bounds and their coverage.
    method : str
        How the bounds were computed.
    margin : float
        Largest harm that does not matter; NaN where no test was asked for.
    verdict : str
        ``better``, ``worse``, ``unclear``, ``equal`` (in every pair); ``lower`` or ``higher`` for a neutral metric;
        with a margin ``no worse`` or ``not shown``.
    few_rows : str
        Inputs of few rows behind either side; '' where there are none, and then nothing of what follows is known.
    low_with_inputs, high_with_inputs : float
        Bounds that hold what these rows leave open, too; NaN where that is not known of the metric.
    verdict_with_inputs : str
        The verdict by those bounds; ``unknown`` where there are none.
    rests_on_no_row : bool
        Whether the metric is a quantile beyond the rows of one of these inputs.
    """

    compare: str
    metric: str
    policy: str
    baseline: str
    values: Mapping[str, Any]
    against: Mapping[str, Any]
    n: int
    n_missing: int
    n_requests: int
    n_failed: int
    mean: float
    baseline_mean: float
    diff: float
    low: float
    high: float
    level: float
    method: str
    margin: float
    verdict: str
    few_rows: str = ""
    low_with_inputs: float = math.nan
    high_with_inputs: float = math.nan
    verdict_with_inputs: str = ""
    rests_on_no_row: bool = False

    @property
    def half_width(self) -> float:
        """Half the distance of the bounds; NaN where there are none."""
        return (self.high - self.low) / 2.0


@dataclass(frozen=True)
class Place:
    """A point of a sweep as comparisons see it."""

    index: int
    values: Mapping[str, Any]


def compare_all(plan: Plan, table: pd.DataFrame, seeds: Sequence[int]) -> list[Difference]:
    """Compute every comparison of a sweep at every point it applies to.

    Parameters
    ----------
    plan : Plan
        The sweep.
    table : pandas.DataFrame
        As :func:`discosim.sweep.table.collect` gives it.
    seeds : sequence of int
        The seeds that were planned: pairs that are not there are counted as missing.
    """
    return differences_of(compares_of(plan), [Place(p.index, p.values) for p in plan.points], table, seeds)


def compares_of(plan: Plan) -> list[Compare]:
    """Return the comparisons of a sweep, each with its name and its baseline written out."""
    return [
        replace(compare, name=name_of(compare), baseline=plan.baseline(compare), at=dict(compare.at))
        for compare in plan.file.compare
    ]


def differences_of(
    compares: Sequence[Compare], places: Sequence[Place], table: pd.DataFrame, seeds: Sequence[int]
) -> list[Difference]:
    """Compute comparisons that are written out, as :func:`compares_of` or plan.json gives them."""
    sample = _Sample(table, seeds)
    return [
        _difference(compare, point, other, sample) for compare in compares for point, other in _pairs(places, compare)
    ]


def is_content(stop: Stop, differences: Sequence[Difference]) -> bool:
    """Tell whether the comparison that `stop` names is narrow enough at all its points."""
    widths = [row.half_width for row in differences if row.compare == stop.compare]
    return bool(widths) and all(width <= stop.half_width for width in widths)


def _pairs(places: Sequence[Place], compare: Compare) -> list[tuple[Place, Place]]:
    """Return each point that a comparison applies to, beside the point of its baseline."""
    points = {key_of(dict(point.values)): point for point in places}
    found = []
    for point in places:
        if any(key_of(point.values[path]) != key_of(value) for path, value in compare.at.items()):
            continue
        other = points.get(key_of({**point.values, **compare.against}))
        if other is None or (other is point and compare.baseline == compare.policy):
            continue
        found.append((point, other))
    return found


class _Sample:
    """The numbers of one metric by seed, NaN where there is no run."""

    def __init__(self, table: pd.DataFrame, seeds: Sequence[int]) -> None:
        chosen = table.loc[table["status"] == "finished"]
        runs = zip(*(chosen[name].tolist() for name in ("point", "policy", "seed")), strict=True)
        self._row = {run: row for row, run in enumerate(runs)}
        self._seeds, self._chosen = list(seeds), chosen
        self._metrics: dict[str, Floats] = {}

    def __call__(self, point: int, policy: str, metric: str) -> Floats:
        if metric not in self._metrics:
            self._metrics[metric] = np.append(self._chosen[metric].to_numpy(dtype=float), np.nan)
        rows = [self._row.get((point, policy, seed), -1) for seed in self._seeds]
        return self._metrics[metric][rows]


def _difference(compare: Compare, point: Place, other: Place, sample: _Sample) -> Difference:
    baseline = str(compare.baseline)
    a = sample(point.index, compare.policy, compare.metric)
    b = sample(other.index, baseline, compare.metric)
    both = ~(np.isnan(a) | np.isnan(b))
    diff, low, high, method = _bounds(a, b, compare)
    margin = math.nan if compare.margin is None else compare.margin
    return Difference(
        compare=name_of(compare),
        metric=compare.metric,
        policy=compare.policy,
        baseline=baseline,
        values=dict(point.values),
        against={path: value for path, value in other.values.items() if key_of(value) != key_of(point.values[path])},
        n=int(both.sum()),
        n_missing=int(both.size - both.sum()),
        n_requests=int(np.nansum(sample(point.index, compare.policy, "n_requests")[both])),
        n_failed=int(np.nansum(sample(point.index, compare.policy, "n_failed")[both])),
        mean=_mean(a[both]),
        baseline_mean=_mean(b[both]),
        diff=diff,
        low=low,
        high=high,
        level=compare.level,
        method=method,
        margin=margin,
        verdict=_verdict(a, b, compare, low, high),
    )


def _bounds(a: Floats, b: Floats, compare: Compare) -> tuple[float, float, float, str]:
    if compare.interval == "bootstrap":
        found = bootstrap_interval(a - b, compare.level)
        return found.estimate, found.low, found.high, found.method
    paired = paired_difference(a, b, compare.level)
    return paired.mean, paired.mean - paired.half_width, paired.mean + paired.half_width, "paired t"


def _verdict(a: Floats, b: Floats, compare: Compare, low: float, high: float) -> str:
    direction = definition(compare.metric).direction
    if compare.margin is not None:
        test = tost(a, b, compare.margin, alpha=(1.0 - compare.level))
        return "no worse" if test.is_no_worse(direction) else "not shown"
    return verdict_of(direction, low, high)


def verdict_of(direction: Direction, low: float, high: float) -> str:
    """Return what an interval of a difference says."""
    if not (low > 0.0 or high < 0.0):
        return "equal" if low == high else "unclear"
    side = "higher" if low > 0.0 else "lower"
    if direction == "neutral":
        return side
    return "better" if side == direction else "worse"


def _mean(values: Floats) -> float:
    return float(np.mean(values)) if values.size else math.nan
