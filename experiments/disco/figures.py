"""DiSCo's figures: tidy table in, Figure out. Intervals are 95 % over replications, paired where two are compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from discosim.metrics.stats import t_interval
from discosim.report.style import MARKERS, MUTED, PAGE_IN, PALE, PALETTE, Picture, house_style, look

from .statistics import reduction

PIXEL, XIAOMI = "Pixel 7 Pro, B-1.1B", "Xiaomi 14, Q-0.5B"
PUBLISHED = {
    "S": {"GPT": (23.85, 44.04), "LLaMA": (11.08, 26.29), "Command": (47.93, 52.23)},
    "D": {"GPT": (26.39, 16.32), "LLaMA": (35.67, 21.29), "Command": (34.78, 24.42)},
}
"""Constraint -> service -> tail reduction in per cent on (Pixel with B-1.1B, Xiaomi with Q-0.5B). Secondary source."""
CONSTRAINT = {"S": "server budget", "D": "device budget"}
COST = "unified_cost_mean_usd"
ABSTRACT = {"ttft_p99_s": (11, 52), "ttft_mean_s": (6, 78)}
NAMES = {"ttft_p99_s": "p99 TTFT", "ttft_mean_s": "mean TTFT"}


def ttft_against_length(points: pd.DataFrame, correlation: pd.DataFrame) -> Figure:
    """Draw TTFT against prompt length: services above and left, devices last; Pearson's r in each title."""
    endpoints = list(dict.fromkeys(points["endpoint"]))
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 4.8), layout="constrained")
        panels = figure.subplots(2, 3).flat
        for axes, endpoint in zip(panels, endpoints, strict=True):
            own = points[points["endpoint"] == endpoint]
            axes.plot(own["prompt_tok"], own["ttft_s"], ".", color=PALETTE[1], markersize=2.5, alpha=0.6)
            r = t_interval(correlation.loc[correlation["endpoint"] == endpoint, "pearson_r"])
            axes.set_title(f"{endpoint}\nr = {r.mean:.2f} ± {r.half_width:.2f}")
            axes.set_xlabel("prompt length [tok]")
            axes.set_ylabel("TTFT [s]")
            axes.set_ylim(bottom=0)
        n = correlation.groupby("endpoint").size().iloc[0]
        figure.suptitle(
            f"TTFT against prompt length (Azure prompts): 300 requests drawn; r over {n} replications, 95 % interval"
        )
    return figure


def mean_ttft_against_budget(table: pd.DataFrame, side: str, device: str) -> Figure:
    """Draw mean TTFT against the budget ratio for one constraint and device, a panel per service."""
    title = f"Mean TTFT, {CONSTRAINT[side]}, {device}"
    rows = table[table["device"] == device]
    policies = {
        "server_only": "server only",
        "device_only": "device only",
        f"Stoch-{side}": f"Stoch-{side}, exclusive",
        f"Stoch-{side}-racing": f"Stoch-{side}, racing",
        f"DiSCo-{side}": f"DiSCo-{side}",
        f"optimal-{side}": "best wait rule",
        f"oracle-{side}": "clairvoyant",
    }
    services = list(dict.fromkeys(rows["service"]))
    with house_style():
        n_rows = -(-(len(services) + 1) // 3)
        figure = Picture(figsize=(PAGE_IN, 1.75 * n_rows + 0.2), layout="constrained")
        key, *panels = figure.subplots(n_rows, 3, sharex=True).flat
        for axes, service in zip(panels, services, strict=False):
            own = rows[rows["service"] == service]
            for i, policy in enumerate(policies):
                # beside each other where several coincide
                _line(axes, own[own["policy"] == policy], "budget", "ttft_mean_s", i, shift=0.014 * (i - 3))
            axes.set_title(service)
            axes.set_ylim(bottom=0)
            axes.set_xlim(0, 1)
            axes.set_ylabel("mean TTFT [s]")
        for axes in [key, *panels[len(services) :]]:
            axes.axis("off")
        for axes in panels[max(0, len(services) - 3) : len(services)]:
            axes.set_xlabel("budget ratio [1]")
            axes.tick_params(labelbottom=True)
        handles = [Line2D([], [], **look(i), marker=MARKERS[i], markersize=3) for i in range(len(policies))]
        key.legend(handles, list(policies.values()), loc="center", ncols=1)
        figure.suptitle(
            f"{title}: {_over(rows)}, side by side\n"
            "Services measured, or shaped to the paper's words where named so; speed of the phone recollected"
        )
    return figure


def _line(axes: Axes, rows: pd.DataFrame, x: str, y: str, i: int, scale: float = 1.0, shift: float = 0.0) -> None:
    """Draw means over replications with intervals."""
    groups = [(key, t_interval(scale * part[y])) for key, part in rows.groupby(x)]
    axes.errorbar(
        [key + shift for key, _ in groups],
        [found.mean for _, found in groups],
        yerr=[found.half_width for _, found in groups],
        **{**look(i), "marker": MARKERS[i], "markersize": 3, "capsize": 1.5, "elinewidth": 0.7, "lw": 1.0},
    )


def tail_reduction(table: pd.DataFrame) -> Figure:
    """Draw the reduction of p99 TTFT by DiSCo: the six published cells of each constraint above ours."""
    services = list(dict.fromkeys(table["service"]))
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 6.4), layout="constrained")
        both = figure.subplots(1, 2, sharey=True)
        for axes, side in zip(both, ("S", "D"), strict=True):
            axes.axvspan(11, 52, color=PALE, zorder=0)
            axes.axvline(0, color=MUTED, linewidth=0.6)
            names = []
            for service, cells in PUBLISHED[side].items():
                for k, value in enumerate(cells):
                    axes.plot(
                        value, len(names) + (0.16 if k else -0.16), "D*"[k], color=PALETTE[0], markersize=5 + 2 * k
                    )
                names.append(f"paper: {service}")
            axes.axhline(len(names) - 0.5, color=MUTED, linewidth=0.6)
            for service in services:
                for k, device in enumerate((PIXEL, XIAOMI)):
                    own = table[(table["service"] == service) & (table["device"] == device)]
                    for racing in (False, True):
                        row = len(names) + 0.36 * (k - 0.5) + 0.18 * (racing - 0.5)
                        baseline = f"Stoch-{side}" + ("-racing" if racing else "")
                        mean, half = reduction(own, "ttft_p99_s", f"DiSCo-{side}", baseline)
                        axes.errorbar(
                            mean,
                            row,
                            xerr=half,
                            fmt="os"[k],
                            color=PALETTE[2] if racing else PALETTE[1],
                            markerfacecolor="white" if racing else None,
                            markersize=3.5,
                            elinewidth=0.7,
                        )
                names.append(service)
            axes.set_title(f"DiSCo-{side}, {CONSTRAINT[side]}")
            axes.set_xlabel("reduction of p99 TTFT against Stoch [%]")
            axes.set_yticks(range(len(names)), names)
            axes.set_ylim(len(names) - 0.5, -0.5)
            axes.set_xlim(-20, 100)
        handles: Sequence[Any] = [
            Line2D([], [], marker="D", color=PALETTE[0], lw=0, markersize=5),
            Line2D([], [], marker="*", color=PALETTE[0], lw=0, markersize=7),
            Line2D([], [], marker="o", color=PALETTE[1], lw=0, markersize=4),
            Line2D([], [], marker="s", color=PALETTE[1], lw=0, markersize=4),
            Line2D([], [], marker="o", color=PALETTE[2], markerfacecolor="white", lw=0, markersize=4),
            Patch(color=PALE),
        ]
        labels = [
            "paper (second-hand), Pixel",
            "paper (second-hand), Xiaomi",
            "ours, Pixel, exclusive baseline",
            "ours, Xiaomi, exclusive baseline",
            "racing baseline (open; circle Pixel, square Xiaomi)",
            "abstract: 11 to 52 %",
        ]
        figure.legend(handles, labels, loc="outside lower center", ncols=3)
        figure.suptitle(
            f"Reduction of the tail TTFT, mean over budgets: {_over(table)}\n"
            "Our services are not the paper's: measured, or shaped to its words where named so"
        )
        for axes in both:
            _mark_outside(axes)
    return figure


def _mark_outside(axes: Axes) -> None:
    """Put an arrow at the left edge where a point lies, or its interval goes on, beyond it."""
    low = axes.get_xlim()[0]
    for container in axes.containers:
        line, _, bars = container
        y = float(line.get_ydata()[0])
        ends = [x for bar in bars for segment in bar.get_segments() for x, _ in segment]
        if min(float(line.get_xdata()[0]), *ends) < low:
            axes.plot(low, y, marker="<", color=line.get_color(), markersize=4, clip_on=False, lw=0)


def _over(table: pd.DataFrame) -> str:
    return f"95 % intervals over {table['seed'].nunique()} replications"


def migration(table: pd.DataFrame) -> Figure:
    """Draw the p99 of gaps on the screen with and without migration, and late tokens per migration."""
    regimes = {"S": (5.5e-7, "server scarce"), "D": (5.5e-5, "device scarce")}
    cells = [(service, device) for service in dict.fromkeys(table["service"]) for device in (PIXEL, XIAOMI)]
    names = [f"{service}\n{device}" for service, device in cells]
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 0.75 + 0.42 * len(cells)), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        right.axvspan(3, 17, color=PALE, zorder=0)
        for i, (side, (usd_per_j, _)) in enumerate(regimes.items()):
            for k, (service, device) in enumerate(cells):
                is_here = (
                    (table["service"] == service) & (table["device"] == device) & (table["usd_per_j"] == usd_per_j)
                )
                own = table[is_here]
                for suffix, is_filled in (("", False), ("-migrating", True)):
                    rows = own[own["policy"] == f"DiSCo-{side}{suffix}"].groupby("seed").mean(numeric_only=True)
                    y = k + 0.42 * (i - 0.5) + (0.105 if is_filled else -0.105)
                    _dot(left, t_interval(rows["tbt_displayed_pooled_p99_s"]), y, i, is_filled=is_filled)
                    if is_filled:
                        _dot(right, t_interval(rows["n_tok_late_per_migration"]), y, i, is_filled=True)
        left.set_yticks(range(len(names)), names)
        left.set_ylim(len(names) - 0.5, -0.5)
        left.set_xlim(0, max(0.3, 1.1 * left.get_xlim()[1]))
        left.axvline(1 / 4.8, color=MUTED, linewidth=0.8, linestyle=":")
        left.set_title("Gaps on the screen (dotted: the reader's own)")
        left.set_xlabel("p99 of all gaps [s]")
        right.set_title("Late tokens (grey: 3 to 17, paper, second-hand)")
        right.set_xlabel("late tokens per migration [tok]")
        right.set_xlim(left=-0.5)
        handles = [
            Line2D([], [], marker=MARKERS[i], color=PALETTE[i + 1], lw=0, markerfacecolor=None if filled else "white")
            for i in range(2)
            for filled in (False, True)
        ]
        labels = [
            f"DiSCo-{side}, {words}, {what} migration"
            for side, (_, words) in regimes.items()
            for what in ("without", "with")
        ]
        figure.legend(handles, labels, loc="outside lower center", ncols=2)
        figure.suptitle(f"Migration: mean over budgets, {_over(table)}")
    return figure


def _dot(axes: Axes, found: Any, y: float, i: int, *, is_filled: bool) -> None:
    axes.errorbar(
        found.mean,
        y,
        xerr=found.half_width,
        fmt=MARKERS[i],
        color=PALETTE[i + 1],
        markerfacecolor=None if is_filled else "white",
        markersize=4,
        elinewidth=0.7,
        capsize=1.5,
    )


def cost_against_budget(table: pd.DataFrame) -> Figure:
    """Draw unified cost against the budget, with and without migration, where either endpoint is scarce."""
    services = list(dict.fromkeys(table["service"]))
    rows = table[table["device"] == PIXEL]
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 4.2), layout="constrained")
        panels = figure.subplots(2, len(services), sharex=True, squeeze=False)
        for row, (side, usd_per_j, words) in enumerate(
            (("S", 5.5e-7, "server scarce"), ("D", 5.5e-5, "device scarce"))
        ):
            for axes, service in zip(panels[row], services, strict=True):
                own = rows[(rows["service"] == service) & (rows["usd_per_j"] == usd_per_j)]
                _line(axes, own[own["policy"] == f"DiSCo-{side}"], "budget", "unified_cost_mean_usd", 2, 1000.0)
                migrating = own[own["policy"] == f"DiSCo-{side}-migrating"]
                _line(axes, migrating, "budget", "unified_cost_mean_usd", 1, 1000.0)
                axes.set_title(f"DiSCo-{side}, {words}\n{service}")
                axes.set_ylim(bottom=0)
                axes.set_xlim(0, 1)
        for axes in panels[:, 0]:
            axes.set_ylabel("cost [USD/1,000 requests]")
        for axes in panels[-1]:
            axes.set_xlabel("budget ratio [1]")
        handles = [Line2D([], [], **look(i), marker=MARKERS[i], markersize=3) for i in (2, 1)]
        figure.legend(handles, ["without migration", "with migration"], loc="outside lower center", ncols=2)
        figure.suptitle(f"Cost against the budget ratio, {PIXEL}: exchange rates assumed; {_over(table)}")
    return figure


def arrival_patterns(table: pd.DataFrame) -> Figure:
    """Draw DiSCo's reduction of mean and p99 TTFT under four arrival patterns."""
    services = list(dict.fromkeys(table["service"]))
    cells = list(table[["devices", "arrivals"]].drop_duplicates().itertuples(index=False, name=None))
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 3.9), layout="constrained")
        both = figure.subplots(1, 2, sharey=True)
        for axes, metric in zip(both, ("ttft_mean_s", "ttft_p99_s"), strict=True):
            axes.axvline(0, color=MUTED, linewidth=0.8)
            for k, (devices, pattern) in enumerate(cells):
                for i, service in enumerate(services):
                    is_here = (table["devices"] == devices) & (table["arrivals"] == pattern)
                    own = table[is_here & (table["service"] == service)]
                    mean, half = reduction(own, metric, "DiSCo-S", "Stoch-S")
                    axes.errorbar(
                        mean,
                        k + 0.22 * (i - 1),
                        xerr=half,
                        fmt=MARKERS[i],
                        color=PALETTE[i],
                        markersize=4,
                        elinewidth=0.8,
                    )
            axes.axhline(len(cells) / 2 - 0.5, color=MUTED, linewidth=0.6)
            axes.set_xlabel(f"reduction of {NAMES[metric]} against Stoch-S [%]")
            axes.set_title(NAMES[metric])
        both[0].set_yticks(range(len(cells)), [f"{devices}, {pattern}" for devices, pattern in cells])
        both[0].set_ylim(len(cells) - 0.5, -0.5)
        handles = [Line2D([], [], marker=MARKERS[i], color=PALETTE[i], lw=0) for i in range(len(services))]
        figure.legend(handles, services, loc="outside lower center", ncols=3)
        figure.suptitle(f"DiSCo-S at b = 0.5 by arrival pattern, mean gap 30 s: {_over(table)}")
    return figure


def scheduler_overhead(table: pd.DataFrame) -> Figure:
    """Draw the time to set the thresholds against the number of samples."""
    with house_style():
        figure = Picture(figsize=(PAGE_IN * 0.6, 2.9), layout="constrained")
        axes = figure.subplots()
        for i, (policy, rows) in enumerate(table.groupby("policy", sort=False)):
            groups = rows.groupby("n_samples")["prepare_ms"]
            low, middle, high = groups.min(), groups.median(), groups.max()
            axes.errorbar(
                low.index * (1.0 + 0.06 * (i - 0.5)),
                middle,
                yerr=[middle - low, high - middle],
                **{**look(i + 1), "marker": MARKERS[i], "markersize": 4, "capsize": 2, "elinewidth": 0.8},
                label=f"{policy}, here",
            )
        for i, (policy, paper_ms) in enumerate({"DiSCo-S": 9.08, "DiSCo-D": 14.86}.items()):
            axes.plot(100_000, paper_ms, "*", color=PALETTE[i + 1], markersize=9, label=f"{policy}, paper (secondary)")
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_ylim(top=60)
        axes.set_xlabel("past requests [1]")
        axes.set_ylabel("time to set the thresholds [ms]")
        axes.legend(loc="upper left", ncols=1)
        axes.set_title(f"Scheduler overhead: median and range of {table['seed'].nunique()} trials")
    return figure


def sensitivity_of_verdicts(table: pd.DataFrame) -> Figure:
    """Draw DiSCo's reductions with one open point changed at a time, beside the abstract's ranges."""
    variants, devices = (list(dict.fromkeys(table[column])) for column in ("variant", "device"))
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 5.4), layout="constrained")
        panels = figure.subplots(1, 5, sharey=True)
        choices = [
            (f"{NAMES[metric]},\nDiSCo-{side}", metric, f"DiSCo-{side}", f"Stoch-{side}", ABSTRACT[metric])
            for metric in ABSTRACT
            for side in ("S", "D")
        ]
        choices.append(("cost, migrating,\nDiSCo-S", COST, "DiSCo-S-migrating", "DiSCo-S", (0, 84)))
        for axes, (name, metric, policy, baseline, paper) in zip(panels, choices, strict=True):
            axes.axvspan(*paper, color=PALE, zorder=0)
            axes.axvline(0, color=MUTED, linewidth=0.6)
            for k, variant in enumerate(variants):
                for i, device in enumerate(devices):
                    own = table[(table["variant"] == variant) & (table["device"] == device)]
                    mean, half = reduction(own, metric, policy, baseline)
                    y = k + 0.36 * (i - (len(devices) - 1) / 2)
                    axes.errorbar(mean, y, xerr=half, fmt="os"[i], color=PALETTE[i + 1], markersize=3.5, elinewidth=0.8)
            axes.set_xlim(-75, 100)
            axes.set_xticks([-50, 0, 50, 100])
            _mark_outside(axes)
            axes.set_title(name)
            axes.set_xlabel("reduction [%]")
        panels[0].set_yticks(range(len(variants)), variants)
        panels[0].set_ylim(len(variants) - 0.5, -0.5)
        handles: Sequence[Any] = [
            *(Line2D([], [], marker="os"[i], color=PALETTE[i + 1], lw=0) for i in range(len(devices))),
            Patch(color=PALE),
        ]
        figure.legend(handles, [*devices, "abstract's range"], loc="outside lower center", ncols=3)
        services = ", ".join(dict.fromkeys(table["service"]))
        figure.suptitle(
            f"One open point changed at a time: {services}, against Stoch, mean over budgets\n{_over(table)}"
        )
    return figure
