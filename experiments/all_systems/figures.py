"""The comparison's figures: tidy table in, Figure out. Intervals are 95 % over replications."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from discosim.metrics.stats import t_interval
from discosim.report.style import MARKERS, MUTED, PAGE_IN, PALETTE, Picture, house_style, legend_below

NAMES = {"server_only": "server only", "device_only": "device only", "PD-Device": "P/D-Device"}
PANELS = (
    ("ttft_mean_s", 1.0, "mean TTFT [s]"),
    ("tbt_pooled_p99_s", 1.0, "p99 TBT [s]"),
    ("qoe_andes_mean", 1.0, "average QoE [1]"),
    ("quality_assumed_mean", 1.0, "assumed quality [1]"),
    ("unified_cost_mean_usd", 1e3, "cost [USD/1,000 requests]"),
    ("energy_mean_j", 1.0, "device, edge [J/request]"),
    ("engine_gpu_s", 1.0, "GPU time of a run [s]"),
    ("e2e_mean_s", 1.0, "mean latency [s]"),
)
HATCHES = ("", "////", "....")
COLOURS = (PALETTE[1], PALETTE[2], PALETTE[6])


def _over(table: pd.DataFrame) -> str:
    return f"95 % intervals over {table['seed'].nunique()} replications; our reconstructions"


def systems(table: pd.DataFrame, rate: float) -> Figure:
    """Draw a panel for each of a few columns at one load: systems down, schedulers side by side."""
    rows = table[table["rate_per_s"] == rate]
    names, schedulers = list(dict.fromkeys(rows["system"])), list(dict.fromkeys(rows["scheduler"]))
    height = 0.8 / len(schedulers)
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 1.4 + 0.68 * len(names)), layout="constrained")
        grid = figure.subplots(2, len(PANELS) // 2, sharey=True)
        for axes, (metric, factor, label) in zip(grid.flat, PANELS, strict=True):
            for i, scheduler in enumerate(schedulers):
                own = rows[rows["scheduler"] == scheduler]
                cells = [t_interval(factor * own.loc[own["system"] == name, metric]) for name in names]
                axes.barh(
                    [y + (i - (len(schedulers) - 1) / 2) * height for y in range(len(names))],
                    [cell.mean for cell in cells],
                    height=height,
                    xerr=[cell.half_width for cell in cells],
                    color=COLOURS[i],
                    edgecolor="black",
                    linewidth=0.4,
                    hatch=HATCHES[i],
                    error_kw={"linewidth": 0.7, "capsize": 1.5},
                    label=f"{scheduler} at the server",
                )
            axes.set_xlabel(label)
            axes.grid(visible=False, axis="y")
            axes.set_xlim(left=0.0)
        grid[0, 0].set_yticks(range(len(names)), [NAMES.get(name, name) for name in names])
        grid[0, 0].invert_yaxis()
        legend_below(figure, grid[0, 0], len(schedulers))
        figure.suptitle(f"All systems at {rate:g} requests/s: {_over(rows)}")
    return figure


def quality_and_time(table: pd.DataFrame) -> Figure:
    """Draw what each system gives for its time: average QoE against assumed quality, a panel for each load."""
    rates = sorted(table["rate_per_s"].unique())
    names, schedulers = list(dict.fromkeys(table["system"])), list(dict.fromkeys(table["scheduler"]))
    fills = ("full", "none", "left")
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 3.2), layout="constrained")
        grid = figure.subplots(1, len(rates), sharey=True, sharex=True, squeeze=False)[0]
        for axes, rate in zip(grid, rates, strict=True):
            for i, name in enumerate(names):
                for k, scheduler in enumerate(schedulers):
                    own = table[
                        (table["rate_per_s"] == rate) & (table["system"] == name) & (table["scheduler"] == scheduler)
                    ]
                    x, y = t_interval(own["quality_assumed_mean"]), t_interval(own["qoe_andes_mean"])
                    axes.errorbar(
                        x.mean,
                        y.mean,
                        xerr=x.half_width,
                        yerr=y.half_width,
                        fmt=MARKERS[i],
                        fillstyle=fills[k],
                        color=PALETTE[i],
                        markersize=6,
                        capsize=1.5,
                        elinewidth=0.7,
                    )
            axes.set_title(f"{rate:g} requests/s")
            axes.set_xlabel("assumed quality [1]")
            axes.set_xlim(0.68, 0.92)
            axes.set_ylim(0, 1.05)
        grid[0].set_ylabel("average QoE [1]")
        handles = [
            *(Line2D([], [], marker=MARKERS[i], color=PALETTE[i], lw=0) for i in range(len(names))),
            *(Line2D([], [], marker="o", color=MUTED, fillstyle=fills[k], lw=0) for k in range(len(schedulers))),
        ]
        labels = [*(NAMES.get(name, name) for name in names), *(f"{name} at the server" for name in schedulers)]
        figure.legend(handles, labels, loc="outside lower center", ncols=5)
        figure.suptitle(f"Delivery against assumed quality: {_over(table)}")
    return figure
