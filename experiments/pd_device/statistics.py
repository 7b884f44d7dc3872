"""Statistics of P/D-Device's claims that are no plain comparison of two policies. Source of all: our choice."""

from __future__ import annotations

import pandas as pd

from discosim.metrics.stats import t_interval
from discosim.reproduce.estimates import Cell


def gains_of(rows: pd.DataFrame, sense: str) -> list[Cell]:
    """Return the largest gain over the measured workloads in one sense, with the workload's name."""
    own = rows[(rows["policy"] == sense) & (rows["workload"] != "long answers")]
    best = own.groupby("workload", sort=False)["gain"].mean().idxmax()
    found = t_interval(own[own["workload"] == best]["gain"])
    return [Cell(f"workload={best}", found.mean, found.mean - found.half_width, found.mean + found.half_width, found.n)]
