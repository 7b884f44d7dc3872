"""Andes' figures: tidy table in, Figure out. Intervals are 95 % over replications."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from discosim.metrics.stats import change_of_means, paired_difference, t_interval
from discosim.report.style import MARKERS, MUTED, PAGE_IN, PALE, PALETTE, Picture, house_style, legend_below, look

OPT = "OPT-66B on 4 A100 (published fit), ShareGPT-like lengths"
LLAMA = "Llama-70B on 8 A100 (iteration times assumed)"


def quality_against_rate(table: pd.DataFrame) -> Figure:
    """Draw average QoE and throughput against the request rate (a, e)."""
    panels = {"qoe_mean": "average QoE [1]", "throughput_tok_per_s": "throughput [tok/s]"}
    return _lines(table, "rate_per_s", "request rate [1/s]", panels, "Andes by request rate", OPT)


def quality_against_bursts(table: pd.DataFrame) -> Figure:
    """Draw average QoE and preemptions against the intensity of bursts (c)."""
    panels = {"qoe_mean": "average QoE [1]", "n_preemptions_mean": "preemptions per request [1]"}
    return _lines(
        table, "intensity", "burst rate over mean rate [1]", panels, "Andes under bursts", f"{LLAMA}, ShareGPT turns"
    )


def long_prompts(table: pd.DataFrame) -> Figure:
    """Draw QoE, TTFT and preemptions of long prompts (d)."""
    panels = {
        "qoe_mean": "average QoE [1]",
        "ttft_p50_s": "median TTFT [s]",
        "n_preemptions_mean": "preemptions per request [1]",
    }
    return _lines(
        table, "rate_per_s", "request rate [1/s]", panels, "Andes on prompts of 18,000 tokens on average", LLAMA
    )


def _lines(table: pd.DataFrame, x: str, x_label: str, panels: dict[str, str], title: str, world: str) -> Figure:
    policies = list(dict.fromkeys(table["policy"]))
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 3.5), layout="constrained")
        step = 0.01 * (table[x].max() - table[x].min())  # beside each other where several coincide
        for axes, (metric, label) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
            for i, policy in enumerate(policies):
                _line(axes, table[table["policy"] == policy], x, metric, i, step * (i - (len(policies) - 1) / 2))
            axes.set_xlabel(x_label)
            axes.set_ylabel(label)
            axes.set_ylim(bottom=0)
        legend_below(figure, axes)
        figure.suptitle(f"{title}: {world}\n{_over(table)}, side by side")
    return figure


def _over(table: pd.DataFrame) -> str:
    return f"95 % intervals over {table['seed'].nunique()} replications"


def _line(axes: Axes, rows: pd.DataFrame, x: str, y: str, i: int, shift: float) -> None:
    groups = [(key, t_interval(part[y])) for key, part in rows.groupby(x)]
    style: dict[str, Any] = {**look(i), "marker": MARKERS[i], "markersize": 3.5, "capsize": 2, "elinewidth": 0.8}
    axes.errorbar(
        [key + shift for key, _ in groups],
        [found.mean for _, found in groups],
        yerr=[found.half_width for _, found in groups],
        label=rows["policy"].iloc[0],
        **style,
    )


def capacity_of_schedulers(table: pd.DataFrame) -> Figure:
    """Draw the highest rate that keeps an average QoE of 0.9 (b)."""
    policies = list(dict.fromkeys(table["policy"]))
    with house_style():
        figure = Picture(figsize=(0.8 * PAGE_IN, 2.3), layout="constrained")
        axes = figure.subplots()
        for i, policy in enumerate(policies):
            found = t_interval(table.loc[table["policy"] == policy, "capacity_rps"])
            axes.errorbar(found.mean, i, xerr=found.half_width, fmt=MARKERS[i], color=PALETTE[i], capsize=2)
        fcfs = float(table.loc[table["policy"] == "FCFS", "capacity_rps"].mean())
        axes.axvspan(1.2 * fcfs, 1.6 * fcfs, color=PALE, zorder=0)
        axes.set_yticks(range(len(policies)), policies)
        axes.set_ylim(len(policies) - 0.5, -0.5)
        axes.set_xlim(left=0)
        axes.set_xlabel("highest request rate with an average QoE of 0.9 [1/s]")
        figure.suptitle(f"Capacity: {OPT}\n{_over(table)}; grey: 1.2 to 1.6 times FCFS (paper, second-hand)")
    return figure


def percentiles_at_overload(table: pd.DataFrame) -> Figure:
    """Draw the 10th, 50th and 90th percentiles of QoE, TTFT and delivery speed (f)."""
    panels = {"qoe": ("", "QoE [1]"), "ttft": ("_s", "TTFT [s]"), "tds": ("_tok_per_s", "delivery speed [tok/s]")}
    policies = list(dict.fromkeys(table["policy"]))
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 2.7), layout="constrained")
        for axes, (stem, (unit, label)) in zip(figure.subplots(1, 3, sharey=True), panels.items(), strict=True):
            for i, policy in enumerate(policies):
                own = table[table["policy"] == policy]
                found = [t_interval(own[f"{stem}_p{p}{unit}"]) for p in (10, 50, 90)]
                axes.plot([part.mean for part in found], [i] * 3, color=PALETTE[i], lw=0.8)
                for part, marker in zip(found, "<o>", strict=True):
                    axes.errorbar(
                        part.mean, i, xerr=part.half_width, fmt=marker, color=PALETTE[i], markersize=5, capsize=2
                    )
            axes.set_xlabel(label)
            axes.set_xlim(left=-0.02 * axes.get_xlim()[1])
            axes.set_yticks(range(len(policies)), policies)
            axes.set_ylim(len(policies) - 0.5, -0.5)
        figure.suptitle(f"Beyond saturation, 8 requests/s: {OPT}\np10 (◁), median (●), p90 (▷); {_over(table)}")
    return figure


def sensitivity_of_verdicts(table: pd.DataFrame) -> Figure:
    """Draw what Andes v1 changes against FCFS, with one open point changed at a time."""
    names, rates = list(dict.fromkeys(table["variant"])), sorted(table["rate_per_s"].unique())
    panels = {"qoe_mean": "average QoE less that of FCFS [1]", "throughput_tok_per_s": "change of throughput [%]"}
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 3.3), layout="constrained")
        grid = figure.subplots(1, 2, sharey=True)
        for axes, (metric, label) in zip(grid, panels.items(), strict=True):
            axes.axvline(0, color=MUTED, linewidth=0.8)
            for i, rate in enumerate(rates):
                for k, name in enumerate(names):
                    rows = table[(table["variant"] == name) & (table["rate_per_s"] == rate)]
                    by_seed = rows.pivot_table(index="seed", columns="policy", values=metric)
                    compare = paired_difference if metric == "qoe_mean" else change_of_means
                    found = compare(by_seed["Andes v1"].to_numpy(), by_seed["FCFS"].to_numpy())
                    axes.errorbar(
                        found.mean,
                        k + 0.3 * (i - (len(rates) - 1) / 2) / max(1, len(rates) - 1),
                        xerr=found.half_width,
                        fmt=MARKERS[i],
                        color=PALETTE[i + 1],
                        markersize=4,
                        capsize=2,
                        elinewidth=0.8,
                        label=f"{rate:g} requests/s" if k == 0 else None,
                    )
            axes.set_xlabel(label)
        grid[1].axvline(-10, color=MUTED, linewidth=0.8, linestyle="--", label="10 % at most (paper, second-hand)")
        grid[0].set_yticks(range(len(names)), names)
        grid[0].set_ylim(len(names) - 0.5, -0.5)
        handles, labels = grid[1].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
        figure.suptitle(f"Andes v1 with one open point changed at a time: {OPT}\n{_over(table)}")
    return figure
