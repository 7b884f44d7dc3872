"""What policies spent of the budgets they were allowed, point by point, and where two rivals spent differently."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from discosim.core.scenario import PolicySpec, Scenario
from discosim.metrics.stats import Interval, paired_difference, t_interval
from discosim.policies.budget import Side, resolve_constraint
from discosim.policies.view import View
from discosim.runs.build import build
from discosim.sweep.axes import key_of
from discosim.sweep.compare import Difference
from discosim.sweep.plan import Plan

if TYPE_CHECKING:
    import pandas as pd

MATTERS = 0.005
"""Share of the prompt tokens from which on a difference is said: half a per cent. Source: our choice."""


@dataclass(frozen=True)
class Spent:
    """What one policy used of its budget at one point.

    Parameters
    ----------
    policy : str
        Its name.
    side : str
        Endpoint that the budget limits.
    allowed : float
        The budget, a share of the prompt tokens.
    used : Interval
        The share used, over seeds.
    by_seed : array of float
        The shares behind it; NaN where a run is missing.
    """

    policy: str
    side: Side
    allowed: float
    used: Interval
    by_seed: NDArray[np.float64]


@dataclass(frozen=True)
class Rivals:
    """Two policies of one comparison at one point whose budgets limit the same endpoint."""

    row: Difference
    policy: Spent
    baseline: Spent

    @property
    def difference(self) -> Interval:
        """Used share of the policy minus that of its baseline, paired over seeds."""
        return paired_difference(self.policy.by_seed, self.baseline.by_seed, self.row.level)

    @property
    def spent_differently(self) -> bool:
        """Whether the two used different shares by more than luck, and by enough to matter."""
        found = self.difference
        half = 0.0 if math.isnan(found.half_width) else found.half_width
        return abs(found.mean) > max(half, MATTERS)


def spent_at(
    plan: Plan, table: pd.DataFrame, seeds: Sequence[int], differences: Sequence[Difference]
) -> dict[tuple[int, str], Spent]:
    """Return by point and policy what was spent, for those policies of the comparisons that have a budget.

    Notes
    -----
    Which endpoint a budget limits is said by the option ``constraint``; where prices settle that (``auto``), what
    the policies see says it, except with a white-box server, whose past is a run of its own.
    """
    named = {name for row in differences for name in (row.policy, row.baseline)}
    done = table[(table["status"] == "finished") & table["policy"].notna()]
    by_run = done.set_index(["point", "policy", "seed"]).sort_index()
    views: dict[str, View] = {}
    found = {}
    for point in plan.points:
        for spec in (spec for spec in point.scenario.policies if spec.name in named):
            budget = _budget(spec, point.scenario, views)
            if budget is None:
                continue
            side, allowed = budget
            index = [(point.index, spec.name, seed) for seed in seeds]
            shares = by_run[f"budget_used_{side}"].reindex(index).to_numpy(dtype=float)
            found[point.index, spec.name] = Spent(spec.name, side, allowed, t_interval(shares), shares)
    return found


def _budget(spec: PolicySpec, scenario: Scenario, views: dict[str, View]) -> tuple[Side, float] | None:
    share, side = spec.options.get("budget"), spec.options.get("constraint")
    if not isinstance(share, int | float) or isinstance(share, bool):
        return None
    if side == "server" or side == "device":  # noqa: PLR1714 - the type checker reads this form only
        return side, float(share)
    if side != "auto" or scenario.server.kind == "engine":
        return None
    key = repr(replace(scenario, policies=(), baseline=None, seed=0))
    if key not in views:
        views[key] = build(scenario).view
    return resolve_constraint("auto", views[key]), float(share)


def of_rows(
    plan: Plan, rows: Sequence[Difference], spent: Mapping[tuple[int, str], Spent]
) -> list[tuple[Spent | None, Spent | None]]:
    """Return beside each comparison what its policy and its baseline spent; None for whoever has no budget."""
    points = {key_of(dict(point.values)): point.index for point in plan.points}
    found = []
    for row in rows:
        here, there = points[key_of(row.values)], points[key_of({**row.values, **row.against})]
        found.append((spent.get((here, row.policy)), spent.get((there, row.baseline))))
    return found


def rivals_of(rows: Sequence[Difference], sides: Sequence[tuple[Spent | None, Spent | None]]) -> list[Rivals]:
    """Return the comparisons of two policies whose budgets limit the same endpoint, each pair and point once."""
    found: dict[tuple[str, ...], Rivals] = {}
    for row, (own, base) in zip(rows, sides, strict=True):
        if own is None or base is None or own.side != base.side:
            continue
        key = (row.policy, row.baseline, key_of(row.values), key_of(row.against))
        found.setdefault(tuple(map(str, key)), Rivals(row, own, base))
    return list(found.values())
