"""The map's figures: tidy table in, Figure out. Intervals: 95 %, paired, over resamples of a cell's requests."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from discosim.metrics.stats import t_interval
from discosim.report.style import MUTED, PAGE_IN, PALETTE, Picture, house_style, legend_below, look, marker

from .figures_engine import engine_loads

__all__ = ["boundaries", "engine_loads", "loads", "regret", "winners"]
NAMES = {
    "server_only": ("server alone", "S", "#9ecae1"),
    "device_only": ("phone alone", "P", "#fdd49e"),
    "stochastic": ("stochastic", "lot", "#d9d9d9"),
    "race": ("race", "race", "#e6a0c4"),
    "hedge": ("hedge", "hedge", "#f4d03f"),
    "pd_device": ("P/D-Device", "P/D", "#7fc97f"),
    "disco D": ("DiSCo-D", "D-D", "#6a8fd8"),
    "disco S": ("DiSCo-S", "D-S", "#e8855b"),
    "optimal D": ("best wait, phone limited", "w-D", "#b39ddb"),
    "optimal S": ("best wait, server limited", "w-S", "#c9a66b"),
}
"""Policy -> its name, how a cell says it, and its colour."""
QUESTIONS = {
    "p99_ttft, tight": "p99 TTFT, little to spend",
    "p99_ttft, wide": "p99 TTFT, much to spend",
    "qoe, tight": "QoE, little to spend",
    "qoe, wide": "QoE, much to spend",
    "cost": "spend, at equal p99 TTFT",
}
AXES = {
    "prompt_median_tok": ("prompt, median [tok]", 1.0),
    "prefill_tok_per_s": ("phone's prefill [tok/s]", 1.0),
    "service_tail": ("service's TTFT, p99 over p50 [x]", 1.0),
    "usd_per_j": ("price of a joule [µUSD/J]", 1e6),
}
SLICES = {
    "prompts and phones": ("prefill_tok_per_s", "prompt_median_tok"),
    "tails and joules": ("service_tail", "usd_per_j"),
}
MOST_WIDE = 5
"""Cells in a row up to which three panels stand side by side."""
DRAWN = ("design", "kept_out")
KEY = (
    "Below each name: what the better endpoint alone reaches, if it is cheap enough: times the best (of QoE: less than "
    "it).\nLittle to spend: a fifth of the way from the cheaper endpoint's spend to the dearer's; much: the dearer's. "
    "Equal p99: the better endpoint's.\nA tie: no more than 2 % worse (of QoE two hundredths), or a paired 95 % "
    "interval that reaches 0."
)
LABELS = {
    "disco S, no harm": "DiSCo-S, change of the\nservice's p99 TTFT [%]",
    "disco D, gain": "DiSCo-D, change of the\nservice's p99 TTFT [%]",
    "disco S or D": "p99 TTFT of DiSCo-S\nover DiSCo-D's [%]",
    "two beat one": "race, change of the better\nendpoint's p99 TTFT [%]",
    "P/D-Device's bill": "P/D-Device, change of\nthe service's bill [%]",
    "hand-over's QoE": "hand-over, change\nof QoE [hundredths]",
}
EVEN = ("disco D, gain", "two beat one", "hand-over's QoE")
"""Boundaries whose effects are drawn on an even scale; those of the others span decades."""
LOADED = {
    "server_only": "server alone",
    "stochastic, half": "stochastic, half each",
    "hedge": "hedge",
    "race": "race",
    "pd_device": "P/D-Device",
    "disco D, half": "DiSCo-D, half",
    "disco S, half": "DiSCo-S, half",
}


def winners(table: pd.DataFrame, part: str) -> Figure:
    """Draw who is best in every cell of a slice, and how much worse the better endpoint alone is."""
    across, upwards = SLICES[part]
    own = table[table["part"] == part]
    is_fine = own[across].nunique() > MOST_WIDE
    size_pt = 5.0 if is_fine else 6.5
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 9.4 if is_fine else 5.7), layout="constrained")
        panels = figure.subplots(3, 2) if is_fine else figure.subplots(2, 3)
        for axes, question in zip(panels.flat, QUESTIONS, strict=False):
            _map(axes, own[own["question"] == question], (across, upwards), question, size_pt)
        key = panels.flat[-1]
        key.axis("off")
        seen = [name for name in NAMES if name in set(own["policy"])]
        handles = [Patch(color=NAMES[name][2], label=f"{NAMES[name][1]}: {NAMES[name][0]}") for name in seen]
        key.legend(handles=handles, loc="center left", title="the simplest policy\nthat ties with the best")
        figure.supxlabel(KEY, fontsize=6.5, linespacing=1.5)
        for axes in panels[:, 0]:
            axes.set_ylabel(AXES[upwards][0])
        for axes in panels.flat[:-1]:
            axes.set_xlabel(AXES[across][0])
        figure.suptitle(f"Which policy where: {part}; 1,050 requests a cell, ten policies at equal spend")
    return figure


def _map(axes: Axes, rows: pd.DataFrame, by: tuple[str, str], question: str, size_pt: float) -> None:
    across, upwards = by
    columns, lines = sorted(rows[across].unique()), sorted(rows[upwards].unique())
    for row in rows.to_dict("records"):
        x, y = columns.index(row[across]), lines.index(row[upwards])
        _, code, colour = NAMES[row["policy"]]
        axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1.0, 1.0, facecolor=colour, edgecolor="white", linewidth=1.0))
        axes.text(
            x, y, f"{code}\n{_margin(row, question)}", ha="center", va="center", fontsize=size_pt, linespacing=1.2
        )
    axes.set_xlim(-0.5, len(columns) - 0.5)
    axes.set_ylim(-0.5, len(lines) - 0.5)
    for ticks, values, name in ((axes.set_xticks, columns, across), (axes.set_yticks, lines, upwards)):
        ticks(range(len(values)), [_number(AXES[name][1] * value) for value in values])
    axes.grid(visible=False)
    axes.tick_params(length=0, labelsize=size_pt + 0.5)
    axes.set_title(QUESTIONS[question])


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100.0 else f"{value:.3g}"


def _margin(row: dict[str, Any], question: str) -> str:
    worse = row["alone_worse"]
    if math.isnan(worse):
        return ""
    if row["policy"] in {"server_only", "device_only"}:
        return "–"
    if question.startswith("qoe"):
        return f"−{worse / 100.0:.2f}"
    ratio = 1.0 + worse / 100.0
    return f"{ratio:.3g}x" if ratio < 99.5 else f"{ratio:.0f}x"


def regret(table: pd.DataFrame) -> Figure:
    """Draw how much worse than the best each policy is, a dot per cell of the design and of those kept out."""
    own = table[table["part"].isin(DRAWN)]
    n_cells = own["cell"].nunique()
    order = list(NAMES)[::-1]
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 6.4), layout="constrained")
        panels = figure.subplots(3, 2, sharey=True)
        for axes, question in zip(panels.flat, QUESTIONS, strict=False):
            rows = own[own["question"] == question]
            for y, policy in enumerate(order):
                mine = rows[rows["policy"] == policy].sort_values("cell")
                worse = np.maximum(mine["worse"].to_numpy(float), 0.0)
                offsets = 0.2 * (2.0 * ((np.arange(worse.size) * 0.618034) % 1.0) - 1.0)
                axes.plot(worse, y + offsets, ".", color=MUTED, markersize=3, alpha=0.7)
                if worse.size:
                    axes.plot(np.median(worse), y, "|", color="black", markersize=9, markeredgewidth=1.6)
                axes.annotate(
                    f"{int(mine['is_tied'].sum())}/{worse.size}",
                    (1.0, y),
                    xycoords=("axes fraction", "data"),
                    xytext=(3, 0),
                    textcoords="offset points",
                    va="center",
                    fontsize=6,
                )
            axes.set_xscale("symlog", linthresh=1.0 if question.startswith("qoe") else 2.0)
            axes.set_xlim(left=-0.2)
            axes.xaxis.set_major_formatter("{x:,.0f}")
            axes.set_title(QUESTIONS[question])
            axes.set_yticks(range(len(order)), [NAMES[name][0] for name in order])
            axes.set_xlabel(
                "QoE lost against the best [hundredths]" if question.startswith("qoe") else "above the best [%]"
            )
        panels.flat[-1].axis("off")
        panels.flat[-1].text(
            0.0,
            0.5,
            f"A dot a cell, {n_cells} cells that fill the space;\nthe bar is the median.\n\nRight: cells in which the "
            "policy is best or ties\nwith the best, of those where it can\nkeep to the spend (or to the tail).",
            transform=panels.flat[-1].transAxes,
            va="center",
        )
        figure.suptitle("How much is lost by a policy that is not the best of its cell")
    return figure


def boundaries(table: pd.DataFrame) -> Figure:
    """Draw each cell's effect against how far it lies beyond the boundary; what was foretold is shaded."""
    names = list(dict.fromkeys(table["boundary"]))
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 4.8), layout="constrained")
        panels = figure.subplots(2, 3)
        for axes, name in zip(panels.flat, names, strict=True):
            _boundary(axes, table[table["boundary"] == name])
            axes.set_ylabel(LABELS[name])
            axes.set_xlabel("beyond the boundary [x]")
        legend_below(figure, panels.flat[0])
        n_found, n_kept = (table[table["part"].eq("kept_out") == kept]["cell"].nunique() for kept in (False, True))
        figure.suptitle(
            f"Closed forms against simulated cells, {n_found} and {n_kept} kept out; 95 % intervals; shaded: foretold"
        )
    return figure


def _boundary(axes: Axes, rows: pd.DataFrame) -> None:
    threshold, is_above = float(rows["threshold"].iloc[0]), bool(rows["is_above"].iloc[0])
    x = np.exp(np.clip(rows["at"].to_numpy(float), math.log(1e-3), math.log(1e3)))
    for is_kept, colour, size, label in (
        (False, MUTED, 2.5, "cells of the map"),
        (True, PALETTE[2], 4, "kept-out cells"),
    ):
        mine = rows["part"].eq("kept_out").to_numpy() == is_kept
        effect = rows["effect"].to_numpy(float)[mine]
        below, above = effect - rows["low"].to_numpy(float)[mine], rows["high"].to_numpy(float)[mine] - effect
        axes.errorbar(
            x[mine],
            effect,
            yerr=np.maximum(0.0, [below, above]) if is_kept else None,
            fmt="o",
            color=colour,
            markersize=size,
            linewidth=0.8,
            label=label,
            zorder=3 if is_kept else 2,
        )
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("")
    if x.max() / x.min() < 20.0:
        ticks = [tick for tick in (0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0) if x.min() <= tick <= 1.2 * x.max()]
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    if str(rows["boundary"].iloc[0]) not in EVEN:
        axes.set_yscale("symlog", linthresh=20.0)
        axes.set_yticks([-100, -10, 0, 10, 100, 1_000, 10_000])
    axes.yaxis.set_major_formatter("{x:,.0f}")
    left, right = x.min() / 1.15, x.max() * 1.15
    bottom, top = rows["low"].min(), rows["high"].max()
    bottom, top = bottom - 0.1 * abs(bottom) - 0.2, top + (0.3 * top if top > 100.0 else 0.1 * (top - bottom))
    beyond = (threshold, top) if is_above else (bottom, threshold)
    before = (bottom, threshold) if is_above else (threshold, top)
    axes.fill_between([1.0, right], *beyond, color="#e5f2e5", zorder=0, linewidth=0)
    axes.fill_between([left, 1.0], *before, color="#e5f2e5", zorder=0, linewidth=0)
    axes.axvline(1.0, color="black", linewidth=0.8, linestyle="--")
    axes.axhline(threshold, color="black", linewidth=0.8, linestyle="--")
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)


def loads(table: pd.DataFrame) -> Figure:
    """Draw tail, QoE and spend of every setting against the load of a service with eight slots."""
    panels = {"ttft_p99_s": "p99 TTFT [s]", "qoe_mean": "mean QoE [0 to 1]", "spend_mean_usd": "spend a request [mUSD]"}
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 3.2), layout="constrained")
        for axes, (metric, label) in zip(figure.subplots(1, 3), panels.items(), strict=True):
            for i, (policy, name) in enumerate(LOADED.items()):
                mine = table[table["policy"] == policy]
                scale = 1e3 if metric == "spend_mean_usd" else 1.0
                cells = {load: t_interval(scale * part[metric]) for load, part in mine.groupby("load")}
                axes.errorbar(
                    list(cells),
                    [cell.mean for cell in cells.values()],
                    yerr=[min(cell.half_width, cell.mean * 0.99) for cell in cells.values()],
                    marker=marker(i),
                    markersize=3.5,
                    linewidth=1.1,
                    elinewidth=0.7,
                    label=name,
                    **look(i),
                )
            axes.set_xscale("log")
            ticks = sorted(table["load"].unique())
            axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks], minor=False)
            axes.xaxis.set_minor_formatter("")
            axes.set_xlabel("load [of capacity]")
            axes.set_ylabel(label)
            if metric == "ttft_p99_s":
                axes.set_yscale("log")
                axes.set_yticks([1, 2, 5, 10, 20, 50, 100, 200], ["1", "2", "5", "10", "20", "50", "100", "200"])
                axes.yaxis.set_minor_formatter("")
        legend_below(figure, axes, 4)
        n = table["seed"].nunique()
        figure.suptitle(f"A service that fills up (eight at once): {n} replications, 95 % intervals")
    return figure
