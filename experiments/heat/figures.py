"""The figure of the hot phone, from its table alone."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from discosim.metrics.stats import t_interval
from discosim.report.style import PALETTE, Picture, house_style, legend_below, marker


def ttft_of_a_hot_phone(busy: pd.DataFrame) -> Figure:
    """Draw mean TTFT over the rate of requests: solid where the phone gets hot, dotted where it keeps its speed."""
    with house_style():
        figure = Picture(figsize=(5.2, 3.4), layout="constrained")
        axes = figure.subplots()
        for k, (policy, rows) in enumerate(busy.groupby("policy", sort=False)):
            for heat, line in rows.groupby("heat"):
                is_hot = heat == "measured"
                cells = [(rate, t_interval(part["ttft_mean_s"])) for rate, part in line.groupby("rate_per_s")]
                axes.errorbar(
                    [rate for rate, _ in cells],
                    [cell.mean for _, cell in cells],
                    [cell.half_width for _, cell in cells],
                    color=PALETTE[k],
                    linestyle="-" if is_hot else ":",
                    marker=marker(k),
                    markerfacecolor=PALETTE[k] if is_hot else "white",
                    label=f"{policy}, {'hot' if is_hot else 'at full speed'}",
                )
        axes.set(xlabel="requests of the phone's user [1/s]", ylabel="mean TTFT [s]", yscale="log")
        n = busy["seed"].nunique()
        axes.set_title(f"iPhone 17 Pro with its measured heat, and without; 95 % intervals over {n} seeds")
        legend_below(figure, axes, 2)
    return figure
