"""Statistics of P/D-Device's claims that are no plain comparison of two policies. Source of all: our choice."""

from __future__ import annotations

import numpy as np
import pandas as pd

from discosim.metrics.stats import t_interval
from discosim.reproduce.estimates import Cell


def gains_of(rows: pd.DataFrame, sense: str) -> list[Cell]:
    """Return the largest gain over the measured workloads in one sense, with the workload's name."""
    own = rows[(rows["policy"] == sense) & (rows["workload"] != "long answers")]
    best = own.groupby("workload", sort=False)["gain"].mean().idxmax()
    found = t_interval(own[own["workload"] == best]["gain"])
    return [Cell(f"workload={best}", found.mean, found.mean - found.half_width, found.mean + found.half_width, found.n)]


def break_even(rows: pd.DataFrame, extra: float) -> list[Cell]:
    """Return the kept share at which a refined prompt needs as many cloud tokens as a whole one, per phone.

    K is linear in the kept share but for whole chunks and whole tokens; a straight line is fitted to each replication.
    """
    cells = []
    own = rows[rows["extra"] == extra]
    for phone, part in own.groupby("phone", sort=False):
        found = []
        for _, one in part.groupby("seed"):
            whole = float(one[one["policy"] == "PD"]["n_tok_server_mean"].iloc[0])
            refined = one[one["policy"] != "PD"]
            shares = refined["policy"].str.split(", ").str[1].astype(float)
            slope, level = np.polyfit(shares, refined["n_tok_server_mean"], 1)
            found.append((whole - level) / slope)
        at = t_interval(found)
        cells.append(Cell(f"phone={phone}", at.mean, at.mean - at.half_width, at.mean + at.half_width, at.n))
    return cells
