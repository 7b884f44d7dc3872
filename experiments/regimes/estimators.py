"""Statistics of the map's claims: how far a cell lies on the side that a closed form foretells."""

from __future__ import annotations

import math

import pandas as pd

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
