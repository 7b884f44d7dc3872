"""PICE's figures: tidy table in, Figure out. Intervals are 95 % over replications."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from discosim.metrics.stats import Interval, change_of_means, paired_difference, t_interval
from discosim.report.style import (
    MARKERS,
    MUTED,
    PAGE_IN,
    PALE,
    PALETTE,
    Picture,
    house_style,
    legend_below,
    look,
    marker,
)

FLOOD_RPS, CALM_RPS, BUSY_RPS = 30.0, 1.2, 1.8
CLOUD, PICE = "cloud only", "PICE"


def _over(table: pd.DataFrame) -> str:
    return f"95 % intervals over {table['seed'].nunique()} replications; our reconstruction"


def _change(rows: pd.DataFrame, metric: str, policy: str) -> Interval:
    """Return the change against cloud only, in percent, paired by seed."""
    by_seed = rows.pivot_table(index="seed", columns="policy", values=metric)
    return change_of_means(by_seed[policy].to_numpy(), by_seed[CLOUD].to_numpy())


# --- map ----------------------------------------------------------------------------------------------------------


def operating_map(table: pd.DataFrame) -> Figure:
    """Draw the gain in throughput and the change of latency over phi, rho and the speed of the boxes, as numbers."""
    speeds = sorted(table["edge_tok_per_s"].unique())
    n_rho = len(_fixed(table))
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 1.7 + 0.46 * 2 * n_rho), layout="constrained")
        grid = figure.subplots(2, len(speeds), sharex=True, sharey=True)
        for row, (rate, metric, name) in enumerate(
            (
                (FLOOD_RPS, "throughput_rps", "throughput [times cloud only's]"),
                (CALM_RPS, "e2e_mean_s", "latency against cloud only [%]"),
            )
        ):
            for axes, speed in zip(grid[row], speeds, strict=True):
                part = table[(table["rate_per_s"] == rate) & (table["edge_tok_per_s"] == speed)]
                image = _cells(axes, part, metric)
                if row == 0:
                    axes.set_title(f"boxes of {speed:.0f} tok/s")
                else:
                    axes.set_xlabel("questions in parts, $\\phi$ [share]")
            grid[row][0].set_ylabel("sketch, $\\rho$ [share of the answer]")
            figure.colorbar(image, ax=grid[row], label=name, shrink=0.95, extend="max")
        figure.suptitle(
            "Fixed sketch lengths: throughput of a flooded server (top), mean latency at 1.2 requests/s (bottom)\n"
            f"Framed: mean of at least 1.5 times, at least 43 % less; {_over(table)}"
        )
    return figure


def _fixed(table: pd.DataFrame) -> list[str]:
    return sorted((name for name in table["policy"].unique() if name.startswith("rho")), reverse=True)


def _cells(axes: Axes, part: pd.DataFrame, metric: str) -> Any:
    """Fill a panel: one cell per phi and rho, its number on it, framed where the paper's figure is reached."""
    phis, policies = sorted(part["phi"].unique()), _fixed(part)
    is_gain = metric == "throughput_rps"
    found = [[_change(part[part["phi"] == phi], metric, policy) for phi in phis] for policy in policies]
    values = np.array([[1 + cell.mean / 100 if is_gain else cell.mean for cell in row] for row in found])
    low, high = (0.0, 2.5) if is_gain else (-90.0, 90.0)  # a change has its white at 0
    image = axes.imshow(values, cmap="Blues" if is_gain else "PuOr_r", vmin=low, vmax=high, aspect="auto")
    size = 6.5 if len(phis) <= 4 else 4.8
    for y, row in enumerate(found):
        for x, cell in enumerate(row):
            value, half = values[y, x], cell.half_width / 100 if is_gain else cell.half_width
            text = f"{value:.2f}\n±{half:.2f}" if is_gain else f"{value:.0f}\n±{half:.0f}"
            is_reached = value >= 1.5 if is_gain else value <= -43
            shade = (value - low) / (high - low)
            is_dark = shade > 0.62 if is_gain else abs(shade - 0.5) > 0.36
            axes.text(
                x,
                y,
                text,
                ha="center",
                va="center",
                fontsize=size,
                fontweight="bold" if is_reached else "normal",
                color="white" if is_dark else "black",
            )
            if is_reached:
                axes.add_patch(_frame(x, y))
    axes.set_xticks(range(len(phis)), [f"{phi:g}" for phi in phis])
    axes.set_yticks(range(len(policies)), [policy.removeprefix("rho = ") for policy in policies])
    axes.grid(visible=False)
    return image


def _frame(x: int, y: int) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x - 0.47, y - 0.46), 0.94, 0.92, fill=False, edgecolor="black", linewidth=1.1)


# --- load ---------------------------------------------------------------------------------------------------------


def against_load(table: pd.DataFrame) -> Figure:
    """Draw latency and assumed quality of adaptive and fixed lengths against load, and their scores beside PICE's."""
    names = [CLOUD, PICE, *sorted(_fixed(table))]
    panels = {
        "e2e_mean_s": ("mean latency [s]", "lower is better"),
        "quality_assumed": ("assumed quality [0 to 1]", "higher is better"),
        "score": ("score less PICE's, paired [0 is equal]", "above 0: PICE is better"),
    }
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 3.2), layout="constrained")
        for axes, (metric, (label, title)) in zip(figure.subplots(1, 3), panels.items(), strict=True):
            for i, name in enumerate(names):
                groups = [(rate, _beside(part, metric, name)) for rate, part in table.groupby("rate_per_s")]
                style = {**look(i), "marker": marker(i), "markersize": 3.5}
                axes.errorbar(
                    [rate + 0.02 * (i - len(names) / 2) for rate, _ in groups],
                    [found.mean for _, found in groups],
                    yerr=[found.half_width for _, found in groups],
                    label=_adaptive(name),
                    capsize=2,
                    elinewidth=0.8,
                    **style,
                )
            axes.set_xlabel("request rate [1/s]")
            axes.set_ylabel(label)
            axes.set_title(title)
            if metric == "e2e_mean_s":
                axes.set_ylim(bottom=0)
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels) if len(labels) < 6 else 4)
        figure.suptitle(
            f"Adaptive against fixed sketch length: {_over(table)}\n"
            "Score: latency over that of a lone request, plus four times the assumed loss of quality"
        )
    return figure


def _beside(rows: pd.DataFrame, metric: str, name: str) -> Interval:
    """Return a metric of a policy; of the score its difference from PICE's, paired by seed."""
    by_seed = rows.pivot_table(index="seed", columns="policy", values=metric)
    own = by_seed[name].to_numpy()
    return paired_difference(own, by_seed[PICE].to_numpy()) if metric == "score" else t_interval(own)


def _adaptive(name: str) -> str:
    return {PICE: "PICE (adaptive)"}.get(name, name.replace("rho", "$\\rho$"))


# --- beside baselines, ablations, variants ------------------------------------------------------------------------


def beside_baselines(table: pd.DataFrame) -> Figure:
    """Draw throughput of a flooded server, and latency, first tokens and assumed quality of a busy one, by policy."""
    panels = (
        (FLOOD_RPS, "throughput_rps", "throughput, flooded [1/s]"),
        (BUSY_RPS, "e2e_mean_s", "mean latency [s]"),
        (BUSY_RPS, "ttft_mean_s", "mean TTFT [s]"),
        (BUSY_RPS, "quality_assumed", "assumed quality [0 to 1]"),
    )
    policies = list(dict.fromkeys(table["policy"]))
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 2.9), layout="constrained")
        grid = figure.subplots(1, len(panels), sharey=True)
        for axes, (rate, metric, label) in zip(grid, panels, strict=True):
            _dots(axes, table[table["rate_per_s"] == rate], policies, metric, label)
        grid[-1].set_xlim(0.6, 1.0)
        grid[0].set_yticks(range(len(policies)), [name.replace("rho", "$\\rho$") for name in policies])
        figure.suptitle(
            f"Llama-2-70B on 4 A100, eight boxes of 41 tok/s; latency, TTFT, quality at 1.8 requests/s\n{_over(table)}"
        )
    return figure


def _dots(axes: Axes, rows: pd.DataFrame, names: list[str], metric: str, label: str) -> None:
    for i, name in enumerate(names):
        found = t_interval(rows.loc[rows["policy"] == name, metric])
        is_pice = name.startswith("PICE")
        axes.errorbar(
            found.mean,
            i,
            xerr=found.half_width,
            fmt="D" if is_pice else "o",
            color=PALETTE[2] if is_pice else PALETTE[1],
            markersize=4,
            capsize=2,
            elinewidth=0.8,
        )
    axes.set_xlabel(label)
    axes.set_xlim(left=0)
    axes.set_ylim(len(names) - 0.5, -0.5)


def length_grouping(table: pd.DataFrame) -> Figure:
    """Draw latency and empty slots with and without length grouping, by how much parts differ and by boxes."""
    panels = {"e2e_sketched_mean_s": "latency of sketched answers [s]", "edge_idle_slot_share": "empty slots [share]"}
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 2.9), layout="constrained")
        for axes, (metric, label) in zip(figure.subplots(1, 2), panels.items(), strict=True):
            i = 0
            for boxes, group in table.groupby("n_boxes"):
                for policy, rows in group.groupby("policy", sort=False):
                    cells = [(sigma, t_interval(part[metric])) for sigma, part in rows.groupby("part_sigma")]
                    axes.errorbar(
                        [sigma + 0.012 * (i - 1.5) for sigma, _ in cells],
                        [found.mean for _, found in cells],
                        yerr=[found.half_width for _, found in cells],
                        label=f"{boxes} boxes, {policy}",
                        **{**look(i), "marker": MARKERS[i], "markersize": 4, "capsize": 2, "elinewidth": 0.8},
                    )
                    i += 1
            axes.set_xlabel("spread of the parts' lengths, sigma [of the logarithm]")
            axes.set_ylabel(label)
            axes.set_ylim(bottom=0)
        legend_below(figure, axes)
        figure.suptitle(f"Length grouping, $\\rho$ = 0.3, 1.8 requests/s: {_over(table)}")
    return figure


def candidates(table: pd.DataFrame) -> Figure:
    """Draw what an ensemble gives and costs."""
    panels = {
        "quality_assumed": "assumed quality [0 to 1]",
        "e2e_sketched_mean_s": "latency of sketched answers [s]",
        "edge_busy_share": "time in which boxes work [share]",
    }
    names = list(dict.fromkeys(table["policy"]))
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 2.2), layout="constrained")
        grid = figure.subplots(1, 3, sharey=True)
        for axes, (metric, label) in zip(grid, panels.items(), strict=True):
            _dots(axes, table, names, metric, label)
        grid[0].set_xlim(0.84, 0.88)
        grid[0].set_yticks(range(len(names)), names)
        figure.suptitle(f"Candidates of each part and what picks one, $\\rho$ = 0.3, 1.8 requests/s\n{_over(table)}")
    return figure


def sensitivity_of_verdicts(table: pd.DataFrame) -> Figure:
    """Draw the gain in throughput and the fall in latency with one open point changed at a time."""
    names = list(dict.fromkeys(table["variant"]))
    panels = (
        (FLOOD_RPS, "throughput_rps", "throughput [times cloud only's]", (1.5, 2.0), "flooded server"),
        (BUSY_RPS, "e2e_mean_s", "reduction of mean latency [%]", (33.0, 53.0), "1.8 requests/s"),
    )
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 4.3), layout="constrained")
        grid = figure.subplots(1, 2, sharey=True)
        for axes, (rate, metric, label, paper, title) in zip(grid, panels, strict=True):
            axes.axvspan(*paper, color=PALE, zorder=0)
            axes.axvline(1.0 if rate == FLOOD_RPS else 0.0, color=MUTED, linewidth=0.8)
            for k, name in enumerate(names):
                rows = table[(table["variant"] == name) & (table["rate_per_s"] == rate)]
                change = _change(rows, metric, PICE)
                mean, half = change.mean, change.half_width
                mean, half = (1 + mean / 100, half / 100) if rate == FLOOD_RPS else (-mean, half)
                axes.errorbar(
                    mean, k, xerr=half, fmt="Do"[k > 0], color=PALETTE[2 if k == 0 else 1], markersize=4, capsize=2
                )
            axes.set_xlabel(label)
            axes.set_title(title)
        grid[0].set_yticks(range(len(names)), names)
        grid[0].set_ylim(len(names) - 0.5, -0.5)
        figure.suptitle(
            "PICE with one open point changed at a time; grey: 1.5 to 2 times, and within ten points of 43 %\n"
            f"{_over(table)}"
        )
    return figure
