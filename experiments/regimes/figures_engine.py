"""The figure of policies at equal spend on an engine that fills up."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from discosim.metrics.stats import Interval, t_interval
from discosim.report.style import PAGE_IN, Picture, house_style, legend_below, look, marker

NAMES = {
    "device_only": "phone alone",
    "stochastic": "stochastic (all: server alone)",
    "race": "race",
    "hedge": "hedge",
    "pd_device": "P/D-Device",
    "disco D": "DiSCo-D",
    "disco S": "DiSCo-S",
}
SPENDS = {"little": "little to spend", "much": "as much as the server alone"}
PANELS = {"p99 TTFT": ("ttft_p99_s", "p99 TTFT [s]"), "QoE": ("qoe_mean", "mean QoE [0 to 1]")}
APART = 0.06
"""Policies lie beside each other by this share of the least step of the load, as many coincide."""


def engine_loads(table: pd.DataFrame) -> Figure:
    """Draw tail and QoE of every policy inside each purse against the load of the engine."""
    loads = sorted(table["load"].unique())
    step = min(after - before for before, after in itertools.pairwise(loads))
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 4.6), layout="constrained")
        panels = figure.subplots(2, 2, sharex=True, sharey="col")
        for row, (spend, words) in zip(panels, SPENDS.items(), strict=True):
            for axes, (question, (metric, label)) in zip(row, PANELS.items(), strict=True):
                own = table[(table["spend"] == spend) & (table["question"] == question)]
                for i, (policy, name) in enumerate(NAMES.items()):
                    cells = {at: t_interval(part[metric]) for at, part in own[own["policy"] == policy].groupby("load")}
                    axes.errorbar(
                        [at + APART * step * (i - (len(NAMES) - 1) / 2) for at in cells],
                        [cell.mean for cell in cells.values()],
                        yerr=np.transpose([_whisker(cell, metric) for cell in cells.values()]),
                        marker=marker(i),
                        markersize=3.5,
                        linewidth=1.1,
                        elinewidth=0.7,
                        label=name,
                        **look(i),
                    )
                axes.set_title(f"{question}, {words}")
                axes.set_ylabel(label)
        for axes in panels[:, 0]:
            axes.set_yscale("log")
            axes.set_yticks([0.1, 0.2, 0.5, 1, 2, 5, 10], ["0.1", "0.2", "0.5", "1", "2", "5", "10"])
            axes.yaxis.set_minor_formatter("")
        for axes in panels[-1]:
            axes.set_xticks(loads)
            axes.set_xlabel("load of the server alone [of what it can take]")
        legend_below(figure, panels[0][0], 4)
        figure.suptitle(
            f"An engine that fills up, policies at equal spend: {table['seed'].nunique()} replications, 95 % intervals"
        )
    return figure


def _whisker(cell: Interval, metric: str) -> tuple[float, float]:
    """Return how far an interval goes down and up, inside what is possible: times above 0, a QoE up to 1."""
    up = min(cell.half_width, 1.0 - cell.mean) if metric == "qoe_mean" else cell.half_width
    return min(cell.half_width, 0.99 * cell.mean), max(0.0, up)
