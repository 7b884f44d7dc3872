"""Andes' figures: tidy table in, Figure out. Intervals are 95 % over replications, cut at what is possible."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from discosim.metrics.stats import Interval, change_of_means, paired_difference, t_interval
from discosim.report.style import MARKERS, MUTED, PAGE_IN, PALE, PALETTE, Picture, house_style, legend_columns

OPT = "OPT-66B on four A100 (published fit), ShareGPT-like lengths"
DENSE = "Llama-70B on eight A100 (iteration times assumed)"
LOOKS = {
    "FCFS": 0,
    "Andes v1": 1,
    "Andes v2": 2,
    "Andes code": 3,
    "LQSF": 4,
    "round robin": 5,
    "v1, no cap": 5,
    "v2, no refiner": 6,
}
"""Number of colour and marker, the same in every figure; the two that share one never meet in one."""
WORLDS = {
    "MoE, 2.3 req/s": "MoE delivering 11 tokens/s, 2.3 req/s",
    "MoE, 2.6 req/s": "the same MoE saturated, 2.6 req/s",
    "70B, 1 req/s": "70B delivering 4.5 tokens/s, 1 req/s",
}

Estimate = Callable[[pd.DataFrame, str], Interval]


def quality_against_rate(table: pd.DataFrame) -> Figure:
    """Draw average QoE, its ratio to FCFS and the change of throughput against the request rate (a, e)."""
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 3.1), layout="constrained")
        left, middle, right = figure.subplots(1, 3)
        _lines(left, table, "rate_per_s", _mean("qoe_mean"), (0.0, 1.0))
        _lines(middle, table, "rate_per_s", _ratio("qoe_mean"), (0.0, math.inf), without="FCFS")
        _lines(right, table, "rate_per_s", _change_pct("throughput_tok_per_s"), (-100.0, math.inf), without="FCFS")
        middle.axhline(3.2, color=MUTED, linewidth=0.8, linestyle="--")
        middle.annotate("paper: up to 3.2", (table["rate_per_s"].min(), 3.2), va="bottom", fontsize=7, color=MUTED)
        right.axhline(-10, color=MUTED, linewidth=0.8, linestyle="--")
        right.annotate("paper: -10 % at most", (table["rate_per_s"].min(), -10), va="top", fontsize=7, color=MUTED)
        labels = {
            left: "average QoE [0 to 1]",
            middle: "average QoE [times that of FCFS]",
            right: "throughput against FCFS [%]",
        }
        for axes, label in labels.items():
            axes.set_xlabel("request rate [requests/s]")
            axes.set_ylabel(label)
        left.set_ylim(0, 1.03)
        middle.set_ylim(top=3.7)
        middle.axhline(1, color=MUTED, linewidth=0.8)
        right.axhline(0, color=MUTED, linewidth=0.8)
        _legend(figure, left)
        figure.suptitle(f"Andes by request rate, twenty minutes each: {OPT}\n{_over(table)}")
    return figure


def quality_against_bursts(table: pd.DataFrame) -> Figure:
    """Draw average QoE, its ratio to FCFS and preemptions against the intensity of bursts, world by world (c)."""
    worlds = list(dict.fromkeys(table["world"]))
    rows: tuple[tuple[str, Estimate, tuple[float, float], str | None], ...] = (
        ("average QoE [0 to 1]", _mean("qoe_mean"), (0.0, 1.0), None),
        ("average QoE\n[times that of FCFS]", _ratio("qoe_mean"), (0.0, math.inf), "FCFS"),
        ("preemptions\n[per request]", _mean("n_preemptions_mean"), (0.0, math.inf), None),
    )
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 5.2), layout="constrained")
        grid = figure.subplots(len(rows), len(worlds), sharex=True, sharey="row", squeeze=False)
        for column, world in zip(grid.T, worlds, strict=True):
            part = table[table["world"] == world]
            column[0].set_title(f"{WORLDS[world]}\n{_replications(part)}")
            for axes, (_, estimate, possible, without) in zip(column, rows, strict=True):
                _lines(axes, part, "intensity", estimate, possible, without=without)
            column[1].axhline(1, color=MUTED, linewidth=0.8)
            column[-1].set_xlabel("burst rate [times the mean rate]")
            column[-1].set_xticks(sorted(table["intensity"].unique()))
        for axes, (label, *_) in zip(grid[:, 0], rows, strict=True):
            axes.set_ylabel(label)
        grid[0][0].set_ylim(0, 1.03)
        _legend(figure, *grid[0])
        figure.suptitle("Andes under bursts, which last 35 % of the time: 95 % intervals")
    return figure


def ratio_by_world(table: pd.DataFrame) -> Figure:
    """Draw the QoE over that of FCFS in the strongest bursts of each world, beside what it could be at most (c)."""
    part = table[table["intensity"] == table["intensity"].max()]
    worlds, policies = list(dict.fromkeys(part["world"])), [p for p in dict.fromkeys(part["policy"]) if p != "FCFS"]
    with house_style():
        figure = Picture(figsize=(0.85 * PAGE_IN, 2.4), layout="constrained")
        axes = figure.subplots()
        for k, world in enumerate(worlds):
            rows = part[part["world"] == world]
            most = 1.0 / float(rows.loc[rows["policy"] == "FCFS", "qoe_mean"].mean())
            axes.plot([1, most], [k, k], color=PALE, linewidth=6, solid_capstyle="butt", zorder=0)
            for i, policy in enumerate(policies):
                if not (rows["policy"] == policy).any():
                    continue  # the quick profile leaves it out where the load is higher
                found = _ratio("qoe_mean")(rows, policy)
                style = {"label": policy if k == 0 else None, **_look(policy)}
                axes.errorbar(found.mean, k + 0.2 * i - 0.1, xerr=found.half_width, **style, linestyle="none")
        axes.axvline(4.7, color=MUTED, linewidth=0.8, linestyle="--", label="paper: up to 4.7")
        axes.set_yticks(range(len(worlds)), [WORLDS[world] for world in worlds])
        axes.set_ylim(len(worlds) - 0.5, -0.5)
        axes.set_xlim(left=0.8)
        axes.set_xlabel("average QoE [times that of FCFS]")
        _legend(figure, axes)
        figure.suptitle(
            f"Bursts of {part['intensity'].iloc[0]:g} times the mean rate: {_over(part)}\n"
            "grey: all that is possible, as no QoE is above 1"
        )
    return figure


def long_prompts(table: pd.DataFrame) -> Figure:
    """Draw QoE, TTFT and preemptions of long prompts (d); v2 without its refiner packs as v1 without its cap."""
    shown = table[table["policy"] != "v2, no refiner"]
    panels = {
        "qoe_mean": ("average QoE [0 to 1]", 1.0),
        "ttft_mean_s": ("mean TTFT [s]", math.inf),
        "n_preemptions_mean": ("preemptions [per request]", math.inf),
    }
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 3.1), layout="constrained")
        grid = figure.subplots(1, len(panels))
        for axes, (metric, (label, most)) in zip(grid, panels.items(), strict=True):
            _lines(axes, shown, "rate_per_s", _mean(metric), (0.0, most))
            axes.set_xlabel("request rate [requests/s]")
            axes.set_xticks(sorted(table["rate_per_s"].unique()))
            axes.set_ylabel(label)
            axes.set_ylim(bottom=0)
        grid[0].set_ylim(0, 1.03)
        _legend(figure, grid[0])
        figure.suptitle(f"Andes on prompts of 18,000 tokens on average: {DENSE}\n{_over(table)}")
    return figure


def capacity_of_schedulers(table: pd.DataFrame) -> Figure:
    """Draw the highest rate that keeps an average QoE of 0.9, and its ratio to FCFS by length of the run (b)."""
    variants = list(dict.fromkeys(table["variant"]))
    longest = table[table["variant"] == variants[0]]
    policies = list(dict.fromkeys(longest["policy"]))
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 2.3), layout="constrained")
        left, right = figure.subplots(1, 2)
        for i, policy in enumerate(policies):
            found = t_interval(longest.loc[longest["policy"] == policy, "capacity_rps"])
            left.errorbar(found.mean, i, xerr=found.half_width, **_look(policy))
        left.set_yticks(range(len(policies)), policies)
        left.set_ylim(len(policies) - 0.5, -0.5)
        left.set_xlabel("highest rate with an average QoE of 0.9 [requests/s]")
        left.set_title(variants[0])
        for k, variant in enumerate(variants):
            found = _ratio("capacity_rps")(table[table["variant"] == variant], "Andes v1")
            right.errorbar(found.mean, k, xerr=found.half_width, **_look("Andes v1"))
        right.axvspan(1.2, 1.6, color=PALE, zorder=0)
        right.axvline(1, color=MUTED, linewidth=0.8)
        right.set_yticks(range(len(variants)), variants)
        right.set_ylim(len(variants) - 0.5, -0.5)
        right.set_xlabel("the same of Andes v1 [times that of FCFS]")
        right.set_title("by length of the run; grey: paper, second-hand")
        figure.suptitle(f"Capacity: {OPT}\n{_over(table)}")
    return figure


def percentiles_at_overload(table: pd.DataFrame) -> Figure:
    """Draw the 10th, 50th and 90th percentiles of QoE, TTFT and delivery speed, rate by rate (f)."""
    panels = {"qoe": ("", "QoE [0 to 1]", 1.0), "ttft": ("_s", "TTFT [s]", math.inf)}
    panels["tds"] = ("_tok_per_s", "delivery speed [tokens/s]", math.inf)
    policies = [policy for policy in LOOKS if policy in set(table["policy"])]
    rates = list(dict.fromkeys(table["rate_per_s"]))
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 1.1 + 0.32 * len(rates) * len(policies)), layout="constrained")
        grid = figure.subplots(len(rates), 3, sharex="col", sharey=True, squeeze=False)
        for row, rate in zip(grid, rates, strict=True):
            row[0].set_title(f"{rate:g} requests/s")
            for axes, (stem, (unit, _, most)) in zip(row, panels.items(), strict=True):
                if stem == "ttft":
                    axes.set_xscale("log")
                for i, policy in enumerate(policies):
                    own = table[(table["policy"] == policy) & (table["rate_per_s"] == rate)]
                    found = [t_interval(own[f"{stem}_p{p}{unit}"]) for p in (10, 50, 90)]
                    _percentiles(axes, found, i, _look(policy)["color"], (1e-3 if stem == "ttft" else 0.0, most))
                axes.set_yticks(range(len(policies)), policies)
                axes.set_ylim(len(policies) - 0.5, -0.5)
        for axes, (stem, (_, label, _)) in zip(grid[-1], panels.items(), strict=True):
            axes.set_xlabel(label)
            if stem != "ttft":
                axes.set_xlim(left=-0.02 * axes.get_xlim()[1])
        figure.suptitle(
            f"Twenty minutes beyond saturation: OPT-66B on four A100\np10 (◁), median (●), p90 (▷); {_over(table)}"
        )
    return figure


def _percentiles(axes: Axes, found: Sequence[Interval], y: int, colour: str, possible: tuple[float, float]) -> None:
    axes.plot([part.mean for part in found], [y] * len(found), color=colour, lw=0.8)
    for part, shape in zip(found, "<o>", strict=True):
        xerr = _whiskers([part], possible)
        axes.errorbar(part.mean, y, xerr=xerr, fmt=shape, color=colour, markersize=5, capsize=2)


def sensitivity_of_verdicts(table: pd.DataFrame) -> Figure:
    """Draw what Andes changes against FCFS in overload, with one open point changed at a time."""
    names = list(dict.fromkeys(table["variant"]))
    panels: dict[str, tuple[Estimate, str]] = {
        "qoe": (_difference("qoe_mean"), "QoE less that of FCFS [-1 to 1]"),
        "throughput": (_change_pct("throughput_tok_per_s"), "throughput change [%]"),
        "ttft": (_mean("ttft_p50_s"), "median TTFT [s]"),
    }
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 3.4), layout="constrained")
        grid = figure.subplots(1, len(panels), sharey=True)
        for axes, (estimate, label) in zip(grid, panels.values(), strict=True):
            for k, name in enumerate(names):
                rows = table[table["variant"] == name]
                for i, policy in enumerate(("Andes v1", "Andes v2")):
                    if policy not in set(rows["policy"]):
                        continue
                    found = estimate(rows, policy)
                    style = {"label": policy if k == 0 else None, **_look(policy), "linestyle": "none"}
                    axes.errorbar(found.mean, k + 0.2 * i - 0.1, xerr=found.half_width, **style)
            axes.set_xlabel(label)
        for axes in grid[:2]:
            axes.axvline(0, color=MUTED, linewidth=0.8)
        grid[1].axvline(-10, color=MUTED, linewidth=0.8, linestyle="--", label="paper: -10 % at most")
        grid[2].axvline(0.47, color=MUTED, linewidth=0.8, linestyle=":", label="paper: 0.47 s")
        grid[2].set_xlim(left=0)
        grid[0].set_yticks(range(len(names)), names)
        grid[0].set_ylim(len(names) - 0.5, -0.5)
        _legend(figure, *grid)
        figure.suptitle(f"One open point changed at a time, 8 requests/s: OPT-66B on four A100\n{_over(table)}")
    return figure


# --- what figures share -------------------------------------------------------------------------------------------


def _over(table: pd.DataFrame) -> str:
    return f"95 % intervals over {_replications(table)}"


def _replications(table: pd.DataFrame) -> str:
    parts = [name for name in ("world", "variant", "rate_per_s", "intensity") if name in table]
    counts = table.groupby(parts)["seed"].nunique() if parts else pd.Series([table["seed"].nunique()])
    least, most = counts.min(), counts.max()
    return f"{least if least == most else f'{least} to {most}'} replications"


def _look(policy: str) -> dict[str, Any]:
    i = LOOKS[policy]
    return {"color": PALETTE[i], "marker": MARKERS[i], "markersize": 4, "capsize": 2, "elinewidth": 0.8}


def _mean(metric: str) -> Estimate:
    return lambda rows, policy: t_interval(rows.loc[rows["policy"] == policy, metric])


def _paired(metric: str, compare: Callable[[Any, Any], Interval]) -> Estimate:
    def estimate(rows: pd.DataFrame, policy: str) -> Interval:
        by_seed = rows.pivot_table(index="seed", columns="policy", values=metric, dropna=False)
        return compare(by_seed[policy].to_numpy(), by_seed["FCFS"].to_numpy())

    return estimate


def _difference(metric: str) -> Estimate:
    return _paired(metric, paired_difference)


def _change_pct(metric: str) -> Estimate:
    return _paired(metric, change_of_means)


def _ratio(metric: str) -> Estimate:
    def ratio(own: Any, base: Any) -> Interval:
        change = change_of_means(own, base)
        return Interval(1.0 + change.mean / 100.0, change.half_width / 100.0, change.n, change.n_missing)

    return _paired(metric, ratio)


def _lines(
    axes: Axes,
    table: pd.DataFrame,
    x: str,
    estimate: Estimate,
    possible: tuple[float, float],
    without: str | None = None,
) -> None:
    """Draw a line for each scheduler; beside each other by less than a fifth of the smallest step."""
    policies = [policy for policy in LOOKS if policy in set(table["policy"]) and policy != without]
    values = np.sort(table[x].unique())
    step = 0.3 * float(np.diff(values).min()) / len(policies)
    for i, policy in enumerate(policies):
        found = [estimate(table[table[x] == value], policy) for value in values]
        shift = step * (i - (len(policies) - 1) / 2)
        means = [part.mean for part in found]
        axes.errorbar(values + shift, means, yerr=_whiskers(found, possible), label=policy, **_look(policy))


def _whiskers(found: Sequence[Interval], possible: tuple[float, float]) -> np.ndarray:
    low = [min(part.half_width, part.mean - possible[0]) for part in found]
    high = [min(part.half_width, possible[1] - part.mean) for part in found]
    return np.clip([low, high], 0.0, None)


def _legend(figure: Figure, *panels: Axes) -> None:
    entries: dict[str, Any] = {}
    for axes in panels:
        handles, labels = axes.get_legend_handles_labels()
        entries |= dict(zip(labels, handles, strict=True))
    figure.legend(entries.values(), entries, loc="outside lower center", ncols=legend_columns(list(entries)))
