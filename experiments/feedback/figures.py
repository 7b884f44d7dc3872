"""The figure of the relieved server, from its table alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from discosim.metrics.stats import t_interval
from discosim.report.figures.server_relief import draw_server_relief


def server_relief(relief: pd.DataFrame) -> Figure:
    """Draw the server's tail against the share that devices answer; geometric means, as tails differ by factors."""
    rows = []
    for (load, setting), part in relief.groupby(["rate_per_s", "budget"], sort=True):
        found = t_interval(np.log(part["server_p99_s"]))
        low, mid, high = np.exp([found.mean - found.half_width, found.mean, found.mean + found.half_width])
        share = part["offloaded_share"].mean()
        rows.append((load, setting, share, mid, low, high, len(part)))
    names = ["load", "setting", "offloaded_share", "p99_s", "p99_low_s", "p99_high_s", "n_replications"]
    return draw_server_relief(pd.DataFrame(rows, columns=names))
