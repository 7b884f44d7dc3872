"""Statistics of Andes' claims that are no plain comparison of two schedulers."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from discosim.metrics.stats import t_interval
from discosim.reproduce.estimates import Cell


def tolerated(rows: pd.DataFrame, policy: str, target: float) -> list[Cell]:
    """Return the ratio of the burst intensities at which QoE falls to a target, policy over FCFS.

    The crossing is that of the mean over replications, on a line between the intensities around it. Of single
    replications some lie below the target before there is any burst and cross nothing, the more of them the more are
    run. The interval is the jackknife's over replications. Source: our choice.
    """
    n_intensities = rows.groupby("seed")["intensity"].transform("nunique")
    rows = rows[n_intensities == n_intensities.max()]  # more replications at one intensity say nothing of a crossing
    curves = {
        name: rows[rows["policy"] == name].pivot_table(index="seed", columns="intensity", values="qoe_mean")
        for name in (policy, "FCFS")
    }
    seeds = curves["FCFS"].index
    found = _ratio(curves, policy, target)
    without = [_ratio({name: c.drop(seed) for name, c in curves.items()}, policy, target) for seed in seeds]
    if len(seeds) < 2 or math.isnan(found) or any(map(math.isnan, without)):
        return [Cell(f"the mean QoE does not cross {target:g}", math.nan, math.nan, math.nan, len(seeds))]
    half = t_interval(len(seeds) * found - (len(seeds) - 1) * np.array(without)).half_width
    return [Cell("", found, found - half, found + half, len(seeds))]


def _ratio(curves: dict[str, pd.DataFrame], policy: str, target: float) -> float:
    return _crossing(curves[policy].mean(), target) / _crossing(curves["FCFS"].mean(), target)


def _crossing(qoe: pd.Series, target: float) -> float:
    """Return the intensity at which QoE first falls below the target; NaN if it does not, or begins below it."""
    values, intensities = qoe.to_numpy(), qoe.index.to_numpy(dtype=float)
    below = np.flatnonzero(values < target)
    if not below.size or not below[0]:
        return math.nan
    i = below[0]
    return float(np.interp(target, values[[i, i - 1]], intensities[[i, i - 1]]))
