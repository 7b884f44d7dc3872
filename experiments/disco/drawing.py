"""What the figures of DiSCo share: names, regimes, lines with intervals, marks at an edge."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from discosim.metrics.stats import t_interval
from discosim.report.style import MARKERS, look

PIXEL, XIAOMI = "Pixel 7 Pro, B-1.1B", "Xiaomi 14, Q-0.5B"
REGIMES = {"S": (5.5e-7, "server scarce"), "D": (5.5e-5, "device scarce")}
"""Constraint -> USD per joule at which its endpoint is the dear one, and words."""
CONSTRAINT = {"S": "server budget", "D": "device budget"}
COST = "unified_cost_mean_usd"
ABSTRACT = {"ttft_p99_s": (11, 52), "ttft_mean_s": (6, 78)}
NAMES = {"ttft_p99_s": "p99 TTFT", "ttft_mean_s": "mean TTFT"}


def line(axes: Axes, rows: pd.DataFrame, x: str, y: str, i: int, scale: float = 1.0, shift: float = 0.0) -> None:
    """Draw means over replications with intervals."""
    groups = [(key, t_interval(scale * part[y])) for key, part in rows.groupby(x)]
    axes.errorbar(
        [key + shift for key, _ in groups],
        [found.mean for _, found in groups],
        yerr=[found.half_width for _, found in groups],
        **{**look(i), "marker": MARKERS[i], "markersize": 3, "capsize": 1.5, "elinewidth": 0.7, "lw": 1.0},
    )


def mark_outside(axes: Axes) -> None:
    """Put an arrow at the left edge where a point lies, or its interval goes on, beyond it."""
    low = axes.get_xlim()[0]
    for container in axes.containers:
        point, _, bars = container
        y = float(point.get_ydata()[0])
        ends = [x for bar in bars for segment in bar.get_segments() for x, _ in segment]
        if min(float(point.get_xdata()[0]), *ends) < low:
            axes.plot(low, y, marker="<", color=point.get_color(), markersize=4, clip_on=False, lw=0)


def budget_text(table: pd.DataFrame) -> str:
    """Say which budget is shown, or over which ones the mean is."""
    least, most = table["budget"].min(), table["budget"].max()
    return f"b = {least:g}" if least == most else f"mean over b from {least:g} to {most:g}"


def over(table: pd.DataFrame) -> str:
    """Say what intervals are over."""
    return f"95 % intervals over {table['seed'].nunique()} replications"
