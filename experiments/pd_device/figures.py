"""P/D-Device's figures: tidy table in, Figure out. Intervals are 95 % over replications."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from discosim.metrics.stats import t_interval
from discosim.report.style import MARKERS, PAGE_IN, Picture, house_style, legend_columns, look

NAMES = {"PD": "P/D-Device", "server_only": "cloud only", "device_only": "device only"}
NOTE = "95 % intervals over replications; our reconstruction"


def first_tokens(table: pd.DataFrame) -> Figure:
    """Draw mean TTFT against prompt length, one panel per phone."""
    return _against_prompt(table[table["policy"] != "no controller"], "ttft_mean_s", "mean TTFT [s]", "First tokens")


def gaps(table: pd.DataFrame) -> Figure:
    """Draw the longest displayed gap of an answer against prompt length, one panel per phone."""
    shown = table[table["policy"] != "server_only"]
    return _against_prompt(shown, "gap_mean_max_ms", "longest gap of an answer, mean [ms]", "Longest gaps", log=True)


def _against_prompt(table: pd.DataFrame, metric: str, label: str, title: str, *, log: bool = False) -> Figure:
    phones = list(dict.fromkeys(table["phone"]))
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 2.9), layout="constrained")
        panels = figure.subplots(1, len(phones), sharey=True)
        for axes, phone in zip(panels, phones, strict=True):
            part = table[table["phone"] == phone]
            for i, policy in enumerate(dict.fromkeys(part["policy"])):
                _line(axes, part[part["policy"] == policy], "prompt_tok", metric, i)
            axes.set_title(phone)
            axes.set_xlabel("prompt [tok]")
        if log:
            panels[0].set_yscale("log")
        else:
            panels[0].set_ylim(bottom=0)
        panels[0].set_ylabel(label)
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=legend_columns(labels))
        figure.suptitle(f"{title}: {NOTE}")
    return figure


def kept_share(table: pd.DataFrame) -> Figure:
    """Draw tokens from the cloud and assumed quality against the kept share."""
    refined = table[table["policy"].str.startswith("refined")].copy()
    refined["kept_share"] = refined["policy"].str.split(", ").str[1].astype(float)
    whole = (
        table[table["policy"] == "whole prompt, at once"]
        if "whole prompt, at once" in set(table["policy"])
        else table[table["policy"] == "PD"]
    )
    panels = {"n_tok_server_mean": "tokens from the cloud [tok]", "quality_assumed_mean": "assumed quality [1]"}
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 3.0), layout="constrained")
        for axes, (metric, label) in zip(figure.subplots(1, 2), panels.items(), strict=True):
            for i, phone in enumerate(dict.fromkeys(refined["phone"])):
                _line(
                    axes, refined[refined["phone"] == phone], "kept_share", metric, i, name=f"{phone}, refined prompt"
                )
                level = t_interval(whole[whole["phone"] == phone][metric]).mean
                axes.axhline(level, color=look(i)["color"], linestyle=":", label=f"{phone}, whole prompt at once")
            axes.set_xlabel("kept share of an 8,000-token prompt [1]")
            axes.set_ylabel(label)
            axes.set_ylim(bottom=0)
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2)
        figure.suptitle(f"Prompt refinement: {NOTE}")
    return figure


def gain_by_sense(table: pd.DataFrame) -> Figure:
    """Draw the closed-form gain in throughput by workload and sense."""
    senses, workloads = list(dict.fromkeys(table["policy"])), list(dict.fromkeys(table["workload"]))
    width = 0.8 / len(senses)
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 3.0), layout="constrained")
        axes = figure.subplots()
        for i, sense in enumerate(senses):
            cells = [
                t_interval(table[(table["policy"] == sense) & (table["workload"] == w)]["gain"]) for w in workloads
            ]
            at = [k + (i - (len(senses) - 1) / 2) * width for k in range(len(workloads))]
            axes.bar(
                at,
                [c.mean for c in cells],
                0.9 * width,
                yerr=[c.half_width for c in cells],
                label=sense,
                color=look(i)["color"],
                edgecolor="black",
                linewidth=0.5,
                hatch=("", "//", "..", "xx")[i],
                capsize=2,
            )
        axes.axhline(15.0, color="black", linewidth=0.8, linestyle="--", label="the paper's 'up to 15x'")
        axes.set_yscale("log")
        axes.set_ylim(bottom=1.0)
        axes.set_xticks(range(len(workloads)), workloads)
        axes.set_xlabel("workload [-]")
        axes.set_ylabel("requests per cloud resource,\nover cloud-only [1]")
        figure.legend(loc="outside lower center", ncols=3)
        figure.suptitle(f"Throughput by sense, closed form: {NOTE}")
    return figure


def _line(axes: Any, rows: pd.DataFrame, x: str, y: str, i: int, *, name: str = "") -> None:
    groups = [(key, t_interval(part[y])) for key, part in rows.groupby(x)]
    style: dict[str, Any] = {**look(i), "marker": MARKERS[i], "markersize": 3.5, "capsize": 2, "elinewidth": 0.8}
    axes.errorbar(
        [key for key, _ in groups],
        [found.mean for _, found in groups],
        yerr=[found.half_width for _, found in groups],
        label=name or NAMES.get(policy := str(rows["policy"].iloc[0]), policy),
        **style,
    )
