"""DiSCo's figures of dispatch: TTFT and what is gained of it, against both readings of the baselines."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from discosim.report.style import MARKERS, MUTED, PAGE_IN, PALE, PALETTE, Picture, house_style, look

from .drawing import ABSTRACT, CONSTRAINT, NAMES, PIXEL, XIAOMI, budget_text, line, mark_outside, over
from .estimators import device_trend, reductions

PUBLISHED = {
    "S": {"GPT": (23.85, 44.04), "LLaMA": (11.08, 26.29), "Command": (47.93, 52.23)},
    "D": {"GPT": (26.39, 16.32), "LLaMA": (35.67, 21.29), "Command": (34.78, 24.42)},
}
"""Constraint -> service -> tail reduction in per cent on (Pixel with B-1.1B, Xiaomi with Q-0.5B). Secondary source."""


def mean_ttft_against_budget(table: pd.DataFrame, side: str) -> Figure:
    """Draw mean TTFT against the budget ratio; below each panel, what is left to gain, seed by seed."""
    whole = {
        "server_only": "server only",
        "device_only": "device only",
        f"Stoch-{side}": f"Stoch-{side}, exclusive",
        f"Stoch-{side}-racing": f"Stoch-{side}, racing",
        f"DiSCo-{side}": f"DiSCo-{side}",
    }
    near = {**dict(list(whole.items())[3:]), f"optimal-{side}": "best wait rule"}
    looks = {policy: i for i, policy in enumerate({**whole, **near})}
    services, devices = (list(dict.fromkeys(table[column])) for column in ("service", "device"))
    budgets = sorted(table["budget"].unique())
    step = min(after - before for before, after in itertools.pairwise(budgets))
    best = table[table["policy"] == f"oracle-{side}"].set_index(["service", "device", "budget", "seed"])["ttft_mean_s"]
    keys = pd.MultiIndex.from_frame(table[["service", "device", "budget", "seed"]])
    table = table.assign(left_ms=1000.0 * (table["ttft_mean_s"] - best.reindex(keys).to_numpy()))
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 3.1 * len(services) + 0.9), layout="constrained")
        panels = figure.subplots(2 * len(services), len(devices), sharex=True, sharey="row", squeeze=False)
        for k, service in enumerate(services):
            for j, device in enumerate(devices):
                own = table[(table["service"] == service) & (table["device"] == device)]
                above, below = panels[2 * k][j], panels[2 * k + 1][j]
                for axes, policies, column in ((above, whole, "ttft_mean_s"), (below, near, "left_ms")):
                    for i, policy in enumerate(policies):
                        # beside each other where several coincide
                        shift = 0.05 * step * (i - (len(policies) - 1) / 2)
                        line(axes, own[own["policy"] == policy], "budget", column, looks[policy], shift=shift)
                above.set_title(f"{service}\n{device}")
                above.set_ylim(bottom=0)
                below.axhline(0, color=MUTED, linewidth=0.6)
                below.set_xlim(0, 1)
            panels[2 * k][0].set_ylabel("mean TTFT [s]")
            panels[2 * k + 1][0].set_ylabel("above clairvoyant [ms]")
        for axes in panels[-1]:
            axes.set_xlabel("budget [share of prompt tokens]")
        handles = [Line2D([], [], **look(i), marker=MARKERS[i], markersize=3) for i in looks.values()]
        figure.legend(handles, list({**whole, **near}.values()), loc="outside lower center", ncols=3)
        figure.suptitle(
            f"Mean TTFT, {CONSTRAINT[side]}: {over(table)}; points side by side\n"
            "Services measured, or shaped to the paper's words where named so; speed of the phone recollected"
        )
    return figure


def reduction_by_service(table: pd.DataFrame, metric: str) -> Figure:
    """Draw what DiSCo takes off a metric beside both baselines; of the tail, the six published cells above ours."""
    services = list(dict.fromkeys(table["service"]))
    published = PUBLISHED if metric == "ttft_p99_s" else {"S": {}, "D": {}}
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 1.5 + 0.32 * (len(services) + len(published["S"]))), layout="constrained")
        both = figure.subplots(1, 2, sharey=True)
        for axes, side in zip(both, ("S", "D"), strict=True):
            axes.axvspan(*ABSTRACT[metric], color=PALE, zorder=0)
            axes.axvline(0, color=MUTED, linewidth=0.6)
            names = []
            for service, cells in published[side].items():
                for k, value in enumerate(cells):
                    y = len(names) + (0.16 if k else -0.16)
                    axes.plot(value, y, "D*"[k], color=PALETTE[0], markersize=5 + 2 * k)
                names.append(f"paper: {service}")
            if names:
                axes.axhline(len(names) - 0.5, color=MUTED, linewidth=0.6)
            for service in services:
                for k, device in enumerate((PIXEL, XIAOMI)):
                    own = table[(table["service"] == service) & (table["device"] == device)]
                    for racing in (False, True):
                        y = len(names) + 0.2 * (k - 0.5) + 0.12 * (racing - 0.5)
                        _reduced(axes, own, metric, side, y, k, racing=racing)
                names.append(service)
            axes.set_title(f"DiSCo-{side}, {CONSTRAINT[side]}")
            axes.set_xlabel(f"reduction of {NAMES[metric]} against Stoch-{side} [%]")
            axes.set_yticks(range(len(names)), names)
            axes.set_ylim(len(names) - 0.5, -0.5)
            axes.set_xlim(-20, 100)
        paper = [
            Line2D([], [], marker="D", color=PALETTE[0], lw=0, markersize=5),
            Line2D([], [], marker="*", color=PALETTE[0], lw=0, markersize=7),
        ]
        handles: Sequence[Any] = [*(paper if published["S"] else []), *_baseline_handles(), Patch(color=PALE)]
        words = ["paper (second-hand), Pixel", "paper (second-hand), Xiaomi"] if published["S"] else []
        low, high = ABSTRACT[metric]
        labels = [*words, *BASELINES, f"abstract: {low} to {high} %"]
        figure.legend(handles, labels, loc="outside lower center", ncols=3)
        figure.suptitle(
            f"Reduction of {NAMES[metric]}, mean over budgets: {over(table)}, inputs included\n"
            "Our services are not the paper's: measured, or shaped to its words where named so"
        )
        for axes in both:
            mark_outside(axes)
    return figure


BASELINES = (
    "ours, Pixel, exclusive baseline",
    "ours, Xiaomi, exclusive baseline",
    "ours, Pixel, racing baseline",
    "ours, Xiaomi, racing baseline",
)


def _baseline_handles() -> list[Line2D]:
    return [
        Line2D([], [], marker="os"[k], color=PALETTE[1 + racing], markerfacecolor=fill, lw=0, markersize=4)
        for racing, fill in ((0, None), (1, "white"))
        for k in range(2)
    ]


def _reduced(axes: Axes, rows: pd.DataFrame, metric: str, side: str, y: float, k: int, *, racing: bool) -> None:
    """Draw one reduction with its interval, which ends where a reduction must: at 100 %."""
    baseline = f"Stoch-{side}" + ("-racing" if racing else "")
    (cell,) = reductions(rows, metric, f"DiSCo-{side}", baseline, ["service", "device"])
    axes.errorbar(
        cell.mean,
        y,
        xerr=[[cell.mean - cell.low], [min(cell.high, 100.0) - cell.mean]],
        fmt="os"[k],
        color=PALETTE[1 + racing],
        markerfacecolor="white" if racing else None,
        markersize=3.5,
        elinewidth=0.7,
    )


def arrival_patterns(table: pd.DataFrame) -> Figure:
    """Draw DiSCo's reduction of mean and p99 TTFT under four arrival patterns, beside both baselines."""
    worlds = list(table[["service", "device"]].drop_duplicates().itertuples(index=False, name=None))
    cells = list(table[["devices", "arrivals"]].drop_duplicates().itertuples(index=False, name=None))
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 4.4), layout="constrained")
        panels = figure.subplots(2, 2, sharey=True, sharex=True)
        for row, racing in zip(panels, (False, True), strict=True):
            baseline = "Stoch-S" + ("-racing" if racing else "")
            for axes, metric in zip(row, ("ttft_mean_s", "ttft_p99_s"), strict=True):
                axes.axvline(0, color=MUTED, linewidth=0.8)
                for k, (devices, pattern) in enumerate(cells):
                    here = table[(table["devices"] == devices) & (table["arrivals"] == pattern)]
                    for i, cell in enumerate(reductions(here, metric, "DiSCo-S", baseline, ["service", "device"])):
                        axes.errorbar(
                            cell.mean,
                            k + 0.54 * ((i + 0.5) / len(worlds) - 0.5),
                            xerr=[[cell.mean - cell.low], [min(cell.high, 100.0) - cell.mean]],
                            fmt=MARKERS[i],
                            color=PALETTE[i],
                            markerfacecolor="white" if racing else None,
                            markersize=4,
                            elinewidth=0.8,
                        )
                axes.axhline(0.5, color=MUTED, linewidth=0.6)
                axes.set_title(f"{NAMES[metric]}, baseline {'races' if racing else 'chooses one endpoint'}")
        panels[0][0].set_yticks(range(len(cells)), [_arriving(*cell) for cell in cells])
        panels[0][0].set_ylim(len(cells) - 0.5, -0.5)
        panels[0][0].set_xlim(-150, 100)
        for axes in panels[-1]:
            axes.set_xlabel("reduction against Stoch-S [%]")
        for axes in panels.flat:
            mark_outside(axes)
        handles = [Line2D([], [], marker=MARKERS[i], color=PALETTE[i], lw=0) for i in range(len(worlds))]
        has_phones = len({device for _, device in worlds}) > 1
        names = [f"{service}; {device}" if has_phones else service for service, device in worlds]
        figure.legend(handles, names, loc="outside lower center", ncols=3)
        figure.suptitle(f"DiSCo-S at b = 0.5 by arrival pattern, mean gap 30 s\n{over(table)}, inputs included")
    return figure


def _arriving(devices: str, pattern: str) -> str:
    return f"{devices}, any pattern" if pattern == "any" else f"{devices}, {pattern}"


def sensitivity_of_verdicts(table: pd.DataFrame) -> Figure:
    """Draw DiSCo's reductions with one open point of dispatch changed at a time, beside both baselines.

    Where there are several services, each has a block of rows.
    """
    table = table[~table["variant"].isin(["baselines that race"])]  # which is the second colour
    variants, devices, services = (list(dict.fromkeys(table[column])) for column in ("variant", "device", "service"))
    rows = [(service, variant) for service in services for variant in variants]
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 1.6 + 0.36 * len(rows)), layout="constrained")
        panels = figure.subplots(1, 4, sharey=True)
        choices = [(metric, side) for metric in ABSTRACT for side in ("S", "D")]
        for axes, (metric, side) in zip(panels, choices, strict=True):
            axes.axvspan(*ABSTRACT[metric], color=PALE, zorder=0)
            axes.axvline(0, color=MUTED, linewidth=0.6)
            for k, (service, variant) in enumerate(rows):
                here = table[(table["service"] == service) & (table["variant"] == variant)]
                for i, device in enumerate(devices):
                    own = here[here["device"] == device]
                    for racing in (False, True):
                        y = k + 0.2 * (i - (len(devices) - 1) / 2) + 0.12 * (racing - 0.5)
                        if racing and variant == "baseline: server only":
                            continue  # which is another baseline already
                        _reduced(axes, own, metric, side, y, i, racing=racing)
            axes.set_xlim(-100, 100)
            axes.set_xticks([-100, -50, 0, 50, 100])
            mark_outside(axes)
            axes.set_title(f"{NAMES[metric]}, DiSCo-{side}")
            axes.set_xlabel("reduction [%]")
        panels[0].set_yticks(range(len(rows)), [variant.replace("; ", "\n") for _, variant in rows])
        panels[0].set_ylim(len(rows) - 0.5, -0.5)
        for axes in panels:
            for edge in range(len(variants), len(rows), len(variants)):
                axes.axhline(edge - 0.5, color="black", linewidth=0.8)
        handles: Sequence[Any] = [*_baseline_handles(), Patch(color=PALE)]
        figure.legend(handles, [*BASELINES, "abstract's range"], loc="outside lower center", ncols=3)
        said = f"{services[0]} above, {services[1]} below" if len(services) == 2 else ", ".join(services)
        figure.suptitle(
            f"One open point of dispatch changed at a time: {said}\n"
            f"{budget_text(table)}; {over(table)}, inputs included"
        )
    return figure


def trend_between_phones(table: pd.DataFrame) -> Figure:
    """Draw by how many points more the tail gains on the Xiaomi than on the Pixel, variant by variant."""
    table = table[~table["variant"].isin(["baselines that race", "baseline: server only"])]
    variants, services = (list(dict.fromkeys(table[name])) for name in ("variant", "service"))
    with house_style():
        height_in = 1.5 + (0.14 + 0.12 * len(services)) * len(variants)
        figure = Picture(figsize=(PAGE_IN, height_in), layout="constrained")
        both = figure.subplots(1, 2, sharey=True)
        for axes, side in zip(both, ("S", "D"), strict=True):
            axes.axvline(0, color=MUTED, linewidth=0.8)
            published = [xiaomi - pixel for pixel, xiaomi in PUBLISHED[side].values()]
            axes.axvspan(min(published), max(published), color=PALE, zorder=0)
            for k, variant in enumerate(variants):
                own = table[table["variant"] == variant]
                for racing in (False, True):
                    baseline = f"Stoch-{side}" + ("-racing" if racing else "")
                    for i, cell in enumerate(device_trend(own, "ttft_p99_s", f"DiSCo-{side}", baseline)):
                        turn = (2 * i + racing + 0.5) / (2 * len(services))
                        axes.errorbar(
                            cell.mean,
                            k + 0.36 * (turn - 0.5),
                            xerr=cell.high - cell.mean,
                            fmt=MARKERS[i],
                            color=PALETTE[1 + racing],
                            markerfacecolor="white" if racing else None,
                            markersize=4,
                            elinewidth=0.8,
                        )
            axes.set_xlim(-100, 100)
            mark_outside(axes)
            axes.set_title(f"DiSCo-{side}, {CONSTRAINT[side]}")
            axes.set_xlabel("Xiaomi less Pixel [points]")
        both[0].set_yticks(range(len(variants)), [variant.replace("; ", "\n") for variant in variants])
        both[0].set_ylim(len(variants) - 0.5, -0.5)
        handles: list[Artist] = [
            Line2D([], [], marker=MARKERS[0], color=PALETTE[1 + racing], markerfacecolor=fill, lw=0, markersize=4)
            for racing, fill in ((0, None), (1, "white"))
        ]
        labels = ["exclusive baseline", "racing baseline", "paper (second-hand): GPT, LLaMA and Command"]
        handles.append(Patch(color=PALE))
        if len(services) > 1:
            for marker, service in zip(MARKERS, services, strict=False):
                handles.append(Line2D([], [], marker=marker, color=MUTED, lw=0, markersize=4))
                labels.append(service)
        figure.legend(handles, labels, loc="outside lower center", ncols=3)
        figure.suptitle(
            f"Reduction of p99 TTFT on one phone less that on the other: {', '.join(services)}\n"
            f"{budget_text(table)}; {over(table)}, inputs included"
        )
    return figure
