"""The comparison's figures: tidy table in, Figure out; 95 % intervals over replications, cut to what is possible."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from discosim.metrics.stats import Interval, change_of_means, paired_difference, t_interval
from discosim.report.style import MUTED, PAGE_IN, PALE, PALETTE, Picture, house_style

from .systems import FAMILIES

SHOWN_LOADS = (0.6, 0.9, 1.2)
BLACK, BLUE, RED, GREEN, PINK, SKY, ORANGE = PALETTE
LOOKS: dict[str, tuple[str, str]] = {
    "server only": (BLACK, "s"),
    "phone only": (MUTED, "s"),
    "race": (BLACK, "X"),
    "hedge": (RED, "o"),
    "DiSCo-D": (BLUE, "^"),
    "DiSCo-D frozen": (BLUE, "2"),
    "DiSCo-D + migration": (SKY, "^"),
    "DiSCo-S + migration": (SKY, "v"),
    "P/D-Device": (GREEN, "D"),
    "PICE": (PINK, "P"),
    "Andes v2": (ORANGE, "<"),
    "Andes code": (ORANGE, ">"),
}
"""System -> colour and marker."""
LOAD_LOOKS = {0.6: (SKY, "o"), 0.9: (BLUE, "s"), 1.2: (RED, "D")}
KNOBS = {"hedge": ("server only", "hedge", "race"), "DiSCo-D": ("server only", "DiSCo-D", "race")}
"""System -> whose settings its line runs through: a share of 0 is the server alone, of 1 the race."""


def _over(table: pd.DataFrame) -> str:
    return f"95 % intervals, n = {table['seed'].nunique()} replications; our reconstructions"


def _bar(axes: Axes, at: float, found: Interval, *, upright: bool, top: float, **style: Any) -> None:
    """Draw an interval as a line, from no less than 0 to no more than ``top``."""
    if math.isnan(found.half_width):
        return
    ends = [max(0.0, found.mean - found.half_width), min(top, found.mean + found.half_width)]
    axes.plot(*(([at, at], ends) if upright else (ends, [at, at])), lw=0.8, zorder=1.5, **style)


def _logarithmic(axes: Axes, which: Literal["x", "y"]) -> None:
    """Scale an axis of seconds, with marks at 1 and, where there is room for their numbers, at 3."""
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    axis = axes.xaxis if which == "x" else axes.yaxis
    low, high = axes.get_xlim() if which == "x" else axes.get_ylim()
    is_wide = which == "x" and high > 500.0 * low
    axis.set_major_locator(LogLocator(subs=(1.0,) if is_wide else (1.0, 3.0), numticks=20))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _at(table: pd.DataFrame, engine: str, phones: str) -> pd.DataFrame:
    return table[(table["engine"] == engine) & (table["phones"] == phones)]


def _loads(table: pd.DataFrame) -> list[float]:
    return [load for load in SHOWN_LOADS if load in set(table["load"])]


# --- fronts -------------------------------------------------------------------------------------------------------

ROWS = (
    ("energy_mean_j", "ttft_mean_s", "mean TTFT [s]"),
    ("energy_mean_j", "ttft_p99_s", "p99 TTFT [s]"),
    ("server_usd_per_1000", "ttft_mean_s", "mean TTFT [s]"),
    ("server_usd_per_1000", "qoe_andes_mean", "average QoE [0 to 1]"),
)
SPEND_LABELS = {
    "energy_mean_j": "phone [J/request]",
    "server_usd_per_1000": "server [USD/1,000 requests]",
}


def fronts(table: pd.DataFrame, engine: str, phones: str) -> Figure:
    """Draw what each system gives for what it spends, over its own knob: a column for each load."""
    held = _at(table, engine, phones)
    loads = _loads(held)
    known = [name for name in LOOKS if name in set(held["system"]) and name != "DiSCo-D frozen"]
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 8.6), layout="constrained")
        grid = figure.subplots(len(ROWS), len(loads), sharey="row", sharex="row", squeeze=False)
        for axes_row, (spend, metric, label) in zip(grid, ROWS, strict=True):
            for axes, load in zip(axes_row, loads, strict=True):
                _front(axes, held[held["load"] == load], known, spend, metric)
                axes.set_xlabel(SPEND_LABELS[spend])
                if spend == "energy_mean_j":
                    axes.set_xscale("symlog", linthresh=10)
                    axes.set_xlim(-1, 1100)
                    axes.set_xticks([0, 10, 100, 1000], ["0", "10", "100", "1,000"])
                    axes.xaxis.set_minor_locator(NullLocator())
                else:
                    axes.set_xlim(left=-0.08)
                if metric.startswith("ttft"):
                    _logarithmic(axes, "y")
            axes_row[0].set_ylabel(label)
        for axes, load in zip(grid[0], loads, strict=True):
            axes.set_title(f"load {load:g}")
        handles = [Line2D([], [], color=LOOKS[n][0], marker=LOOKS[n][1], lw=1 if n in KNOBS else 0) for n in known]
        figure.legend(handles, known, loc="outside lower center", ncols=6)
        figure.suptitle(f"{engine}, {phones} phones: what each system gives for what it spends\n{_over(held)}")
    return figure


def _front(axes: Axes, rows: pd.DataFrame, known: Sequence[str], spend: str, metric: str) -> None:
    top = 1.0 if metric.startswith("qoe") else float("inf")
    means = rows.groupby(["system", "policy"], sort=False)[[spend, metric]].mean().reset_index()
    for name in known:
        colour, marker = LOOKS[name]
        own = means[means["system"] == name].sort_values(spend)
        through = means[means["system"].isin(KNOBS.get(name, (name,)))].sort_values(spend)
        axes.plot(through[spend], through[metric], color=colour, lw=1.0 if len(own) > 1 else 0, zorder=1)
        axes.plot(own[spend], own[metric], color=colour, marker=marker, lw=0, markersize=4.5, alpha=0.9, zorder=2)
        for policy, at in zip(own["policy"], own[spend], strict=True):
            found = t_interval(rows.loc[rows["policy"] == policy, metric])
            _bar(axes, at, found, upright=True, top=top, color=colour)


# --- the table as a picture ---------------------------------------------------------------------------------------

PANELS = (
    ("ttft_mean_s", "mean TTFT [s]"),
    ("ttft_p99_s", "p99 TTFT [s]"),
    ("qoe_andes_mean", "average QoE [0 to 1]"),
    ("e2e_mean_s", "mean latency [s]"),
    ("server_usd_per_1000", "server [USD/1,000]"),
    ("energy_mean_j", "phone [J/request]"),
    ("budget_used_device", "phone's tokens [share]"),
    ("quality_assumed_mean", "assumed quality [0 to 1]"),
)


def _by_knob(policies: Iterable[str]) -> list[str]:
    """Return settings system by system, each by its rising knob where that is a number."""
    names = list(dict.fromkeys(policies))
    families = list(dict.fromkeys(_knob(name)[0] for name in names))
    return sorted(names, key=lambda name: (families.index(_knob(name)[0]), _knob(name)[1]))


def _knob(name: str) -> tuple[str, float]:
    """Return the system of a setting and its knob, 0 where it has no number."""
    system, _, knob = name.partition(", ")
    number = knob.rpartition(" ")[2]
    return system, float(number) if number.replace(".", "").isdigit() else 0.0


def systems(table: pd.DataFrame, engine: str, phones: str) -> Figure:
    """Draw a panel for each of eight columns: settings down, loads as marks."""
    held = _at(table, engine, phones)
    names, loads = _by_knob(held["policy"]), _loads(held)
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 1.2 + 0.31 * len(names)), layout="constrained")
        grid = figure.subplots(2, 4, sharey=True)
        for axes, (metric, label) in zip(grid.flat, PANELS, strict=True):
            top = 1.0 if metric.startswith(("qoe", "quality", "budget")) else float("inf")
            for k, load in enumerate(loads):
                colour, marker = LOAD_LOOKS[load]
                for y, name in enumerate(names):
                    values = held.loc[(held["policy"] == name) & (held["load"] == load), metric].dropna()
                    if values.empty:
                        continue
                    found, at = t_interval(values), y + 0.18 * (k - (len(loads) - 1) / 2)
                    _bar(axes, at, found, upright=False, top=top, color=colour)
                    axes.plot(found.mean, at, color=colour, marker=marker, markersize=3, lw=0)
            axes.set_xlabel(label)
            if metric.startswith("ttft"):
                _logarithmic(axes, "x")
            else:
                axes.set_xlim(left=0.4 if metric.startswith(("qoe", "quality")) else 0.0)
        grid[0, 0].set_yticks(range(len(names)), names)
        grid[0, 0].set_ylim(len(names) - 0.5, -0.5)
        handles = [Line2D([], [], color=LOAD_LOOKS[x][0], marker=LOAD_LOOKS[x][1], lw=0, markersize=4) for x in loads]
        figure.legend(handles, [f"load {load:g}" for load in loads], loc="outside lower center", ncols=len(loads))
        figure.suptitle(f"{engine}, {phones} phones: all settings\n{_over(held)}")
    return figure


# --- equal spend --------------------------------------------------------------------------------------------------

PURSE_TITLES = {
    "phone 100 J": "phone: at most 100 J a request",
    "server 0.6 USD": "server: at most 0.6 USD per 1,000",
    "any": "no limit",
}
TUNED_FOR = {"ttft_mean_s": "mean TTFT [s]", "ttft_p99_s": "p99 TTFT [s]", "qoe_andes_mean": "average QoE [0 to 1]"}


def tuned(table: pd.DataFrame, objective: str) -> Figure:
    """Draw what each system makes of one purse: a row for each server and kind of phones, a column for each purse."""
    rows = table[table["objective"] == objective]
    worlds = list(dict.fromkeys(zip(rows["engine"], rows["phones"], strict=True)))
    loads, names = _loads(rows), [name for name in FAMILIES if name in set(rows["policy"])]
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 0.9 + 1.9 * len(worlds)), layout="constrained")
        grid = figure.subplots(len(worlds), len(PURSE_TITLES), sharey=True, sharex=True, squeeze=False)
        for axes_row, (engine, phones) in zip(grid, worlds, strict=True):
            for axes, purse in zip(axes_row, PURSE_TITLES, strict=True):
                held, here = _at(rows[rows["purse"] == purse], engine, phones), set(_at(rows, engine, phones)["policy"])
                _purse(axes, held, [name if name in here else "" for name in names], loads, objective)
            axes, world = axes_row[-1], f"{engine.split(',')[0]},\n{phones} phones"
            axes.text(1.03, 0.5, world, transform=axes.transAxes, rotation=270, ha="left", va="center")
        for axes, title in zip(grid[0], PURSE_TITLES.values(), strict=True):
            axes.set_title(title)
        for axes in grid[-1]:
            axes.set_xlabel(TUNED_FOR[objective])
        grid[0, 0].set_yticks(range(len(names)), names)
        grid[0, 0].set_ylim(len(names) - 0.5, -0.5)
        handles = [Line2D([], [], color=LOAD_LOOKS[x][0], marker=LOAD_LOOKS[x][1], lw=0, markersize=4) for x in loads]
        handles.append(Line2D([], [], color=PALE, lw=4))
        labels = [*(f"load {load:g}" for load in loads), "has no setting within the purse"]
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
        what = TUNED_FOR[objective].split(" [")[0]
        figure.suptitle(f"Every system tuned for {what} inside the same purse\n{_over(rows)}")
    return figure


def _purse(axes: Axes, held: pd.DataFrame, names: Sequence[str], loads: Sequence[float], metric: str) -> None:
    top = 1.0 if metric.startswith("qoe") else float("inf")
    if metric.startswith("ttft"):
        _logarithmic(axes, "x")
    for y, name in enumerate(names):
        own = held[held["policy"] == name]
        if not name:  # its scheduler does not run on this server
            middle = axes.get_yaxis_transform()
            axes.text(0.5, y, "not on this server", transform=middle, ha="center", va="center", color=MUTED, fontsize=6)
        elif own.empty:
            axes.axhspan(y - 0.35, y + 0.35, color=PALE, lw=0, alpha=0.5)
        for k, load in enumerate(loads):
            values = own.loc[own["load"] == load, metric]
            if values.empty:
                continue
            colour, marker = LOAD_LOOKS[load]
            found, at = t_interval(values), y + 0.18 * (k - (len(loads) - 1) / 2)
            _bar(axes, at, found, upright=False, top=top, color=colour)
            axes.plot(found.mean, at, color=colour, marker=marker, markersize=3, lw=0)


def disco_against_hedge(table: pd.DataFrame) -> Figure:
    """Draw how much less DiSCo-D waits than hedging for the same joules: a panel for each server and kind of phones."""
    worlds, loads = list(dict.fromkeys(zip(table["engine"], table["phones"], strict=True))), _loads(table)
    spends = sorted(table["spend_j"].unique())
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 2.7), layout="constrained")
        grid = figure.subplots(1, len(worlds), squeeze=False)[0]
        for axes, (engine, phones) in zip(grid, worlds, strict=True):
            axes.axhline(0.0, color=MUTED, lw=0.8)
            for k, load in enumerate(loads):
                held = _at(table[table["load"] == load], engine, phones)
                colour, marker = LOAD_LOOKS[load]
                for at, spend_j in enumerate(spends):
                    rows = held[held["spend_j"] == spend_j].set_index(["policy", "seed"])["ttft_mean_s"]
                    found = change_of_means(rows.loc["DiSCo-D"].tolist(), rows.loc["hedge"].tolist())
                    x = at + 0.15 * (k - (len(loads) - 1) / 2)
                    ends = [found.mean - found.half_width, found.mean + found.half_width]
                    axes.plot([x, x], ends, color=colour, lw=0.8)
                    axes.plot(x, found.mean, color=colour, marker=marker, markersize=4, lw=0)
            axes.set_xticks(range(len(spends)), [f"{spend_j:g}" for spend_j in spends])
            axes.set_xlim(-0.5, len(spends) - 0.5)
            axes.set_xlabel("phone [J/request]")
            axes.set_title(f"{engine.split(',')[0]},\n{phones} phones")
        grid[0].set_ylabel("mean TTFT,\nDiSCo-D over hedge [%]")
        handles = [Line2D([], [], color=LOAD_LOOKS[x][0], marker=LOAD_LOOKS[x][1], lw=0, markersize=4) for x in loads]
        figure.legend(handles, [f"load {load:g}" for load in loads], loc="outside lower center", ncols=len(loads))
        figure.suptitle(f"DiSCo-D against hedging for the same joules; below zero it waits less\n{_over(table)}")
    return figure


# --- P/D-Device beyond the race -----------------------------------------------------------------------------------

BEYOND = (
    ("ttft_mean_s", "mean TTFT [%]", -1),
    ("ttft_p99_s", "p99 TTFT [%]", -1),
    ("server_usd_per_1000", "server bill [%]", -1),
    ("engine_gpu_s", "GPU time [%]", -1),
    ("e2e_mean_s", "mean latency [%]", -1),
    ("energy_mean_j", "phone [J/request]", -1),
    ("qoe_andes_mean", "average QoE [0 to 1]", 1),
    ("quality_assumed_mean", "assumed quality [0 to 1]", 1),
)


def beyond_the_race(table: pd.DataFrame) -> Figure:
    """Draw P/D-Device less the race that it begins with, paired: what is its own."""
    keys = table[["engine", "phones", "load"]].drop_duplicates()
    worlds = [key for key in keys.itertuples(index=False, name=None) if key[2] in SHOWN_LOADS]
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 1.2 + 0.36 * len(worlds)), layout="constrained")
        grid = figure.subplots(2, 4, sharey=True)
        for axes, (metric, label, sign) in zip(grid.flat, BEYOND, strict=True):
            axes.axvline(0.0, color=MUTED, lw=0.8)
            for y, (engine, phones, load) in enumerate(worlds):
                rows = _at(table, engine, phones)
                rows = rows[rows["load"] == load].set_index("seed")
                own = rows.loc[rows["policy"] == "P/D-Device, closed form", metric].sort_index()
                race = rows.loc[rows["policy"] == "race", metric].sort_index()
                found = (change_of_means if "[%]" in label else paired_difference)(own.tolist(), race.tolist())
                is_open = abs(found.mean) <= found.half_width
                colour = MUTED if is_open else BLUE if sign * found.mean > 0 else RED
                ends = [found.mean - found.half_width, found.mean + found.half_width]
                axes.plot(ends, [y, y], color=colour, lw=0.8)
                axes.plot(found.mean, y, color=colour, marker="o", markersize=3, lw=0)
            axes.set_xlabel(label)
        names = [f"{engine.split(',')[0]}, {phones}, {load:g}" for engine, phones, load in worlds]
        grid[0, 0].set_yticks(range(len(worlds)), names)
        grid[0, 0].set_ylim(len(worlds) - 0.5, -0.5)
        handles = [Line2D([], [], color=c, marker="o", markersize=3) for c in (BLUE, RED, MUTED)]
        figure.legend(handles, ["better", "worse", "not clear"], loc="outside lower center", ncols=3)
        figure.suptitle(f"P/D-Device less the race that it begins with, by server, phones and load\n{_over(table)}")
    return figure


# --- budgets ------------------------------------------------------------------------------------------------------

RULES = {"DiSCo-D, 0.3": ("relearning", BLUE, "o"), "DiSCo-D frozen, 0.3": ("thresholds learnt once", RED, "s")}


def budgets(table: pd.DataFrame) -> Figure:
    """Draw the share of the phone that DiSCo-D uses over the load, with thresholds that relearn and that do not."""
    worlds = list(dict.fromkeys(zip(table["engine"], table["phones"], strict=True)))
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 2.8), layout="constrained")
        grid = figure.subplots(1, len(worlds), sharey=True, squeeze=False)[0]
        for axes, (engine, phones) in zip(grid, worlds, strict=True):
            held = _at(table, engine, phones)
            axes.axhline(0.3, color=MUTED, lw=0.8, ls=(0, (5, 1.5)))
            for policy, (_, colour, marker) in RULES.items():
                own = held[held["policy"] == policy]
                cells = {load: t_interval(own.loc[own["load"] == load, "budget_used_device"]) for load in own["load"]}
                axes.plot(list(cells), [cell.mean for cell in cells.values()], color=colour, marker=marker, lw=1)
                for load, cell in cells.items():
                    _bar(axes, load, cell, upright=True, top=1.0, color=colour)
            axes.set_title(f"{engine.split(',')[0]},\n{phones} phones")
            axes.set_xlabel("load [of capacity]")
            axes.set_xticks(sorted(set(held["load"]) & set(SHOWN_LOADS)))
            axes.set_ylim(0, 1)
        grid[0].set_ylabel("prompt tokens\nat the phone [share]")
        handles = [Line2D([], [], color=c, marker=m) for _, c, m in RULES.values()]
        handles.append(Line2D([], [], color=MUTED, ls=(0, (5, 1.5)), lw=0.8))
        labels = [*(label for label, _, _ in RULES.values()), "the budget"]
        figure.legend(handles, labels, loc="outside lower center", ncols=3)
        said = "DiSCo-D's share of the phone by load"
        figure.suptitle(f"{said}\n{_over(table)}")
    return figure
