"""Statistics of Andes' claims that are no plain comparison of two schedulers."""

from __future__ import annotations

import numpy as np
import pandas as pd

from discosim.metrics.stats import t_interval
from discosim.reproduce.estimates import Cell


def tolerated(rows: pd.DataFrame, policy: str, target: float) -> list[Cell]:
    """Return the ratio of the burst intensities at which QoE falls to a target, policy over FCFS.

    The crossing is on a line between the two runs around it, replication by replication; where a scheduler is always
    above or always below, there is none, and the ratio is undefined. Source: our choice.
    """
    n_intensities = rows.groupby("seed")["intensity"].transform("nunique")
    rows = rows[n_intensities == n_intensities.max()]  # more replications at one intensity say nothing of a crossing
    crossings = {name: _crossings(rows[rows["policy"] == name], target) for name in (policy, "FCFS")}
    found = t_interval(crossings[policy] / crossings["FCFS"])
    if found.n < rows["seed"].nunique():
        return [
            Cell(
                f"QoE {target:g} is crossed in {found.n} replications",
                float("nan"),
                float("nan"),
                float("nan"),
                found.n,
            )
        ]
    return [Cell("", found.mean, found.mean - found.half_width, found.mean + found.half_width, found.n)]


def _crossings(rows: pd.DataFrame, target: float) -> np.ndarray:
    found = []
    for _, part in rows.sort_values("intensity").groupby("seed"):
        h, qoe = part["intensity"].to_numpy(), part["qoe_mean"].to_numpy()
        is_crossed = qoe.min() < target < qoe.max()
        found.append(float(np.interp(-target, -qoe, h)) if is_crossed else float("nan"))
    return np.array(found)
