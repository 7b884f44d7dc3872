"""Statistics of the map's claims: how far a cell lies on the side that was foretold, and who is how far from whom."""

from __future__ import annotations

import math

import pandas as pd

from discosim.metrics.stats import change_of_means
from discosim.reproduce.estimates import Cell


def foretold(rows: pd.DataFrame, part: str, away: float) -> list[Cell]:
    """Return for each cell how far its effect lies beyond the threshold, positive on the side that was foretold.

    The interval is that of the effect: 95 % over resamples of the cell's requests, paired. Cells that the closed form
    puts no more than the share ``away`` from the boundary are too near to be told apart by so few requests, whatever
    they show, and are left out.
    """
    cells = []
    for row in rows[(rows["part"] == part) & (rows["at"].abs() > math.log1p(away))].to_dict("records"):
        is_above = bool(row["is_beyond"]) == bool(row["is_above"])
        ends = sorted((row[end] - row["threshold"]) * (1.0 if is_above else -1.0) for end in ("low", "high"))
        mean = (row["effect"] - row["threshold"]) * (1.0 if is_above else -1.0)
        is_idle = row["low"] == row["high"] == row["threshold"]
        cells.append(Cell(f"cell={row['cell']}", mean, *ends, row["n"], is_idle=is_idle))
    return cells


def regret(rows: pd.DataFrame, part: str, policy: str) -> list[Cell]:
    """Return for each cell how much worse than the best a policy is, in the unit of the question, with its interval."""
    own = rows[(rows["part"] == part) & (rows["policy"] == policy)]
    return [
        Cell(f"cell={row['cell']}", row["worse"], row["low"], row["high"], row["n"]) for row in own.to_dict("records")
    ]


def over_rivals(rows: pd.DataFrame, metric: str, policy: str) -> list[Cell]:
    """Return by how many per cent a metric of a policy is above that of each other policy, at each load."""
    cells = []
    for load, group in rows.groupby("load", sort=True):
        table = group.pivot_table(index="seed", columns="policy", values=metric)
        for rival in table.columns.drop(policy):
            found = change_of_means(table[policy], table[rival])
            ends = (found.mean - found.half_width, found.mean + found.half_width)
            is_idle = bool((table[policy] == table[rival]).all())
            cells.append(Cell(f"load={load:g}, {rival}", found.mean, *ends, found.n, floor=-100.0, is_idle=is_idle))
    return cells
