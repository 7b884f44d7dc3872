"""From a table to the cells of a claim: one number each, with its interval over replications."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from discosim.core.errors import UserError, close_match
from discosim.metrics.stats import Interval, change_of_means, paired_difference, t_interval
from discosim.reproduce.code import function_of
from discosim.reproduce.files import Statistic
from discosim.reproduce.reach import reach

if TYPE_CHECKING:
    import pandas as pd

SEED, POLICY = "seed", "policy"


@dataclass(frozen=True)
class Cell:
    """One number of a claim.

    Parameters
    ----------
    name : str
        Which one, for example ``service=groq, budget=0.5``; '' if there is only one.
    mean, low, high : float
        Estimate and its 95 % interval; equal where it is exact, NaN where it is not defined.
    n : int
        Replications behind it.
    floor, ceiling : float
        What it could be at all beside this baseline, see :func:`discosim.reproduce.reach.reach`; infinite where no
        limit is known.
    is_idle : bool
        Whether nothing happened in it: in every replication the policy did exactly as its baseline.
    luck_low, luck_high : float
        The interval by luck alone, where that above holds what few rows of inputs leave open; else NaN.
    few_rows : str
        Those inputs; '' where the interval is the one by luck.
    """

    name: str
    mean: float
    low: float
    high: float
    n: int
    floor: float = -math.inf
    ceiling: float = math.inf
    is_idle: bool = False
    luck_low: float = math.nan
    luck_high: float = math.nan
    few_rows: str = ""


def cells_of(statistic: Statistic, table: pd.DataFrame, code: ModuleType | None = None) -> list[Cell]:
    """Compute a claim's statistic.

    Parameters
    ----------
    statistic : Statistic
        What to compute.
    table : DataFrame
        One row per replication and policy.
    code : module, optional
        estimators.py, where the statistic is a function of it.

    Returns
    -------
    list of Cell
        In the order of the table; of one cell where ``pick`` chooses the extreme.

    Raises
    ------
    UserError
        If the table lacks a column, or has no row that counts.
    """
    rows = chosen(table, statistic.where, statistic.table)
    if statistic.kind == "function":
        where = f"statistic function of table {statistic.table}"
        cells: list[Cell] = list(function_of(code, statistic.function, where)(rows, **statistic.options))
    else:
        cells = _simple(statistic, rows)
    if statistic.pick == "each" or not cells:
        return cells
    choose: Callable[..., Any] = max if statistic.pick == "largest" else min
    found = choose((cell for cell in cells if not math.isnan(cell.mean)), key=lambda cell: cell.mean, default=cells[0])
    floor, ceiling = (choose(getattr(cell, side) for cell in cells) for side in ("floor", "ceiling"))
    return [replace(found, floor=floor, ceiling=ceiling)]


def chosen(table: pd.DataFrame, where: Mapping[str, Any], name: str) -> pd.DataFrame:
    """Return the rows with the wanted values."""
    rows = table
    for column, value in where.items():
        _need(rows, column, name)
        values = list(value) if isinstance(value, list | tuple) else [value]
        rows = rows[rows[column].isin(values)]
    if rows.empty:
        raise UserError(f"has no row with {dict(where)}", where=f"table {name}")
    return rows


def _simple(statistic: Statistic, rows: pd.DataFrame) -> list[Cell]:
    for column in (SEED, POLICY, statistic.metric, *statistic.by):
        _need(rows, column, statistic.table)
    known = rows[POLICY].unique()
    for policy in filter(None, (statistic.policy, statistic.baseline)):
        if policy not in known:
            raise UserError(f"no policy '{policy}'; {close_match(policy, known)}", where=f"table {statistic.table}")
    wanted = {statistic.policy, statistic.baseline} - {""}
    columns = [*statistic.by, SEED, POLICY]
    means = rows[rows[POLICY].isin(wanted)].groupby(columns, sort=False)[statistic.metric].mean()
    samples: dict[tuple[Any, ...], dict[str, dict[Any, float]]] = {}
    for (*key, seed, policy), mean in zip(means.index.tolist(), means.tolist(), strict=True):
        samples.setdefault(tuple(key), {policy: {} for policy in wanted})[policy][seed] = mean
    cells = []
    for key, sample in samples.items():
        if not all(sample.values()):
            continue  # this cell lacks one of the two
        name = ", ".join(f"{column}={value}" for column, value in zip(statistic.by, key, strict=True))
        found = _interval(statistic, sample)
        base = list(sample.get(statistic.baseline, {}).values())
        floor, ceiling = reach(statistic, float(np.mean(base)) if base else math.nan)
        is_idle = statistic.kind != "mean" and sample[statistic.policy] == sample[statistic.baseline]
        low, high = found.mean - found.half_width, found.mean + found.half_width
        cells.append(Cell(name, found.mean, low, high, found.n, floor, ceiling, is_idle))
    return cells


def _interval(statistic: Statistic, sample: Mapping[str, Mapping[Any, float]]) -> Interval:
    seeds = sorted(set().union(*sample.values()))
    own = [sample[statistic.policy].get(seed, math.nan) for seed in seeds]
    if statistic.kind == "mean":
        return t_interval(own)
    base = [sample[statistic.baseline].get(seed, math.nan) for seed in seeds]
    if statistic.kind == "difference":
        return paired_difference(own, base)
    change = change_of_means(own, base)
    if statistic.kind == "change_pct":
        return change
    if statistic.kind == "reduction_pct":
        return Interval(-change.mean, change.half_width, change.n, change.n_missing)
    return Interval(1.0 + change.mean / 100.0, change.half_width / 100.0, change.n, change.n_missing)


def _need(table: pd.DataFrame, column: str, name: str) -> None:
    if column not in table.columns:
        raise UserError(f"no column '{column}'; {close_match(column, list(table.columns))}", where=f"table {name}")
