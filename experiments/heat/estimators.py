"""What heat does, beside the same phone at full speed on the same luck. Source: our choice."""

from __future__ import annotations

import pandas as pd

from discosim.metrics.stats import change_of_means
from discosim.reproduce.estimates import Cell


def slowed(rows: pd.DataFrame, policy: str, metric: str) -> list[Cell]:
    """Return the ratio of a metric with a hot phone to that with one at full speed, by rate, paired by seed."""
    cells = []
    for rate, part in rows[rows["policy"] == policy].groupby("rate_per_s"):
        table = part.pivot_table(index="seed", columns="heat", values=metric)
        found = change_of_means(table["measured"], table["none"])
        ratio, half = 1.0 + found.mean / 100.0, found.half_width / 100.0
        cells.append(Cell(f"{rate:g} requests/s", ratio, ratio - half, ratio + half, found.n))
    return cells
