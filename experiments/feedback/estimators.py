"""How far offloading relieves the server. Source: our choice."""

from __future__ import annotations

import numpy as np
import pandas as pd

from discosim.metrics.stats import t_interval
from discosim.reproduce.estimates import Cell


def relief(rows: pd.DataFrame, budget: float) -> list[Cell]:
    """Return the factor by which the server's p99 TTFT falls, budget against none, by load.

    Tails near saturation differ by factors between replications, so the interval is that of the logarithms, paired by
    seed.
    """
    cells = []
    for rate, part in rows.groupby("rate_per_s"):
        table = part.pivot_table(index="seed", columns="budget", values="server_p99_s")
        found = t_interval(np.log(table[0.0] / table[budget]))
        low, mid, high = np.exp([found.mean - found.half_width, found.mean, found.mean + found.half_width])
        cells.append(Cell(f"{rate:g} requests/s", float(mid), float(low), float(high), found.n))
    return cells
