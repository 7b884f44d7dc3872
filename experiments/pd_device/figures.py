"""P/D-Device's figures: tidy table in, Figure out. Intervals are 95 % over replications."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from discosim.metrics.stats import Interval, change_of_means, t_interval
from discosim.report.style import MARKERS, PAGE_IN, Picture, house_style, legend_below, look

NAMES = {"PD": "P/D-Device", "server_only": "cloud only", "device_only": "device only"}
DEVICES = {"8B, X Elite": "8B, X Elite (laptop)"}
RIVALS = (
    "cloud only, colocated",
    "cloud only, pools",
    "device only",
    "race",
    "KV shipping, 100 Mbit per s",
    "KV shipping, 1 Gbit per s",
    "speculation, 8B drafts",
    "speculation, 1B drafts",
    "DiSCo with migration",
    "K = 1",
    "PD-Device, no controller",
    "PD-Device, STOP",
    "PD-Device",
    "PD-Device, pools",
)
BASE = "as in the other figures"
PRICES, SLOTS, BURST_S = ("no price", "one price", "new price every 30 s"), 0.5, 105.0
NOTE = "95 % intervals over replications; our reconstruction"


def first_tokens(table: pd.DataFrame) -> Figure:
    """Draw mean TTFT against prompt length, one panel per phone."""
    return _against_prompt(
        table[table["policy"].isin(["server_only", "device_only", "PD"])],
        "ttft_mean_s",
        "mean TTFT [s]",
        "First tokens",
    )


def gaps(table: pd.DataFrame) -> Figure:
    """Draw the longest displayed gap of an answer against prompt length, one panel per phone."""
    shown = table[table["policy"].isin(["device_only", "PD", "no controller"])]
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
            axes.set_title(DEVICES.get(phone, phone))
            axes.set_xlabel("prompt [tok]")
            axes.xaxis.set_major_formatter("{x:,.0f}")
        if log:
            for axes in panels:
                _plain_log(axes, (20, 50, 100, 200, 500, 1000, 2000, 5000, 10000))
        else:
            panels[0].set_ylim(bottom=0)
        panels[0].set_ylabel(label)
        legend_below(figure, panels[0])
        figure.suptitle(f"{title}: {NOTE}")
    return figure


def energy(table: pd.DataFrame) -> Figure:
    """Draw the energy a device spends on a request against prompt length, one panel per phone."""
    shown = table[table["policy"].isin(["device_only", "PD", "half the prompt kept"])]
    label = "device energy per request,\nassumed per token [J]"
    return _against_prompt(shown, "device_energy_mean_j", label, "Energy (device only lies on P/D-Device)")


def kept_share(table: pd.DataFrame) -> Figure:
    """Draw tokens from the cloud and assumed quality against the kept share."""
    free = table[table["extra"] == 0]
    refined = free[free["policy"].str.startswith("refined")].copy()
    refined["kept_share"] = refined["policy"].str.split(", ").str[1].astype(float)
    whole = free[free["policy"] == "PD"]
    panels = {"n_tok_server_mean": "tokens from the cloud [tok]", "quality_assumed_mean": "assumed quality [0 to 1]"}
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 3.0), layout="constrained")
        for axes, (metric, label) in zip(figure.subplots(1, 2), panels.items(), strict=True):
            for i, phone in enumerate(dict.fromkeys(refined["phone"])):
                _line(
                    axes, refined[refined["phone"] == phone], "kept_share", metric, i, name=f"{phone}, refined prompt"
                )
                level = t_interval(whole[whole["phone"] == phone][metric]).mean
                axes.axhline(level, color=look(i)["color"], linestyle=":", label=f"{phone}, whole prompt at once")
            axes.set_xlabel("kept of an 8,000-token prompt [share]")
            axes.set_ylabel(label)
            axes.set_ylim(bottom=0)
        legend_below(figure, axes, 2)
        figure.suptitle(f"Prompt refinement: {NOTE}")
    return figure


def gain_by_sense(table: pd.DataFrame) -> Figure:
    """Draw the closed-form gain in throughput by workload and sense."""
    label = "requests per cloud resource,\nover cloud-only [x]"
    cells = {key: t_interval(part["gain"]) for key, part in table.groupby(["workload", "policy"], sort=False)}
    return _gains(cells, label, f"Throughput by sense, closed form: {NOTE}")


def gain_measured(table: pd.DataFrame) -> Figure:
    """Draw the gain in the load an engine bears, by workload and by what limits the cloud: ratio of the means."""
    cells = {}
    for key, part in table.groupby(["workload", "sense"], sort=False):
        loads = part.pivot_table(index="seed", columns="policy", values="capacity_rps")
        change = change_of_means(loads["PD"], loads["server_only"])
        cells[key] = Interval(1 + change.mean / 100, change.half_width / 100, change.n, change.n_missing)
    return _gains(cells, "load borne,\nover cloud-only [x]", f"Throughput by sense, measured: {NOTE}")


def controllers(table: pd.DataFrame) -> Figure:
    """Draw the longest displayed gap under each law, by what disturbs it."""
    label = "longest gap of an answer, mean [ms]"
    title = f"Speed controllers, 8B phone, 4,000 tokens: {NOTE}"
    means = table.groupby(["condition", "policy"], sort=False)["gap_mean_max_ms"]
    figure, axes = _dots({key: t_interval(part) for key, part in means}, "condition", label, title)
    _plain_log(axes, (50, 100, 200, 500, 1000, 2000, 5000))
    return figure


def estimates(table: pd.DataFrame) -> Figure:
    """Draw gaps and cloud tokens against how much slower the phone is than K was computed for."""
    panels = {
        "gap_mean_max_ms": "longest gap of an answer, mean [ms]",
        "server_output_mean_tok": "tokens made by the cloud [tok]",
    }
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 3.0), layout="constrained")
        for axes, (metric, label) in zip(figure.subplots(1, 2), panels.items(), strict=True):
            for i, policy in enumerate(dict.fromkeys(table["policy"])):
                _line(axes, table[table["policy"] == policy], "slower", metric, i)
            axes.set_xlabel("phone's time [times its published time]")
            axes.set_ylabel(label)
            axes.set_ylim(bottom=0)
        legend_below(figure, axes)
        figure.suptitle(f"K up front and STOP, 8B phone, 4,000 tokens: {NOTE}")
    return figure


def catch_up_map(table: pd.DataFrame) -> Figure:
    """Draw how long the device takes to catch up, by kept share and prompt length, one panel per phone."""
    phones = list(dict.fromkeys(table["phone"]))
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 3.2), layout="constrained")
        for axes, phone in zip(figure.subplots(1, len(phones), sharey=True), phones, strict=True):
            part = table[table["phone"] == phone]
            grid = part.pivot_table(index="kept_share", columns="prompt_tok", values="catch_up_s")
            image = axes.imshow(grid.to_numpy(), origin="lower", aspect="auto", cmap="cividis")
            for (row, column), value in np.ndenumerate(grid.to_numpy()):
                ink = "white" if image.norm(value) < 0.5 else "black"
                text = f"{value:.1f}" if value >= 1 else f"{value:.2f}"
                axes.text(column, row, text, ha="center", va="center", color=ink, fontsize=5.5)
            axes.grid(visible=False)
            axes.set_xticks(range(grid.shape[1]), [f"{tok:,}" for tok in grid.columns], rotation=45)
            axes.set_yticks(range(grid.shape[0]), [f"{share:g}" for share in grid.index])
            axes.set_title(phone)
            axes.set_xlabel("prompt [tok]")
            figure.colorbar(image, ax=axes, label="first token to hand-over [s]")
        figure.axes[0].set_ylabel("kept, 1 starting at once [share]")
        figure.suptitle("How long the phone takes to catch up: one answer a cell; our reconstruction")
    return figure


def rivals(table: pd.DataFrame) -> Figure:
    """Draw every system on the same requests: first tokens, gaps, tokens of the cloud, energy of the phone."""
    panels = {
        "ttft_mean_s": "mean TTFT [s]",
        "gap_mean_max_ms": "longest gap of an\nanswer, mean [ms]",
        "server_output_mean_tok": "tokens of the cloud,\nper request [tok]",
        "device_energy_mean_j": "energy of the phone,\nper request [J]",
    }
    order = [name for name in RIVALS if name in set(table["policy"])]
    cells = {metric: [t_interval(table[table["policy"] == name][metric]) for name in order] for metric in panels}
    title = f"Azure's conversations, 1 request/s, 8B phones: {NOTE}"
    figure, every = _forest([name.replace("PD-", "P/D-") for name in order], cells, panels, title, height_in=3.4)
    every[1].set_xscale("log")
    for axes in (every[0], *every[2:]):
        axes.set_xlim(left=0)
    return figure


def choices(table: pd.DataFrame) -> Figure:
    """Draw how far each open choice moves the headline figures from those of the other figures."""
    found = changes(table)
    panels = {
        "ttft_s": "change of mean\nTTFT [s]",
        "gap_ms": "change of the longest gap,\nmean over answers [ms]",
        "gain": "change of the gain in\ncloud tokens [x]",
    }
    order = list(dict.fromkeys(found["variant"]))
    cells = {metric: [t_interval(found[found["variant"] == name][metric]) for name in order] for metric in panels}
    base = found.groupby("seed")[["base_ttft_s", "base_gap_ms", "base_gain"]].first().mean()
    title = (
        f"One open choice at a time, from TTFT {base['base_ttft_s']:.2f} s, gap {base['base_gap_ms']:.0f} ms, "
        f"gain {base['base_gain']:.1f}x\npaired 95 % intervals over replications; our reconstruction"
    )
    figure, every = _forest(order, cells, panels, title, height_in=4.4)
    for axes in every:
        axes.axvline(0.0, color="black", linewidth=0.8, linestyle="--", zorder=1)
    every[1].set_xscale("symlog", linthresh=10.0)
    every[1].set_xticks([-100, -10, 0, 10, 100, 1000], ["-100", "-10", "0", "10", "100", "1,000"], rotation=45)
    return figure


def changes(table: pd.DataFrame) -> pd.DataFrame:
    """Return each choice's change against the first, replication by replication; gain in tokens of the cloud."""
    wide = table.pivot_table(
        index=["variant", "seed"],
        columns="policy",
        values=["ttft_mean_s", "gap_mean_max_ms", "server_output_mean_tok"],
        sort=False,
    )
    own = pd.DataFrame(
        {
            "ttft_s": wide["ttft_mean_s", "PD"],
            "gap_ms": wide["gap_mean_max_ms", "PD"],
            "gain": wide["server_output_mean_tok", "server_only"] / wide["server_output_mean_tok", "PD"],
        }
    ).reset_index()
    base = own[own["variant"] == BASE].drop(columns="variant")
    found = own[own["variant"] != BASE].merge(base.add_prefix("base_"), left_on="seed", right_on="base_seed")
    for metric in ("ttft_s", "gap_ms", "gain"):
        found[metric] -= found[f"base_{metric}"]
    ranks = {name: i for i, name in enumerate(dict.fromkeys(table["variant"]))}
    return found.sort_values("variant", key=lambda names: names.map(ranks), kind="stable")


def pricing(table: pd.DataFrame) -> Figure:
    """Draw slots in use and assumed quality over a cycle of bursts, under one price and under one per window."""
    panels = {"slots": "cloud in use [slots]", "quality_assumed_mean": "assumed quality [0 to 1]"}
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 3.0), layout="constrained")
        for axes, (metric, label) in zip(figure.subplots(1, 2), panels.items(), strict=True):
            for i, policy in enumerate(PRICES):
                own = table[table["policy"] == policy]  # side by side, so that no interval hides another
                _line(axes, own.assign(window_s=own["window_s"] + 4 * (i - 1)), "window_s", metric, i)
            axes.axvspan(0, BURST_S, color="#EEEEEE", zorder=0, label="burst, 2 requests/s; else 0.46")
            axes.set_xlabel("arrival in the cycle of bursts [s]")
            axes.set_ylabel(label)
            axes.set_ylim(bottom=0)
        figure.axes[0].axhline(SLOTS, color="black", linewidth=0.8, linestyle="--", label="budget")
        legend_below(figure, figure.axes[0])
        figure.suptitle(f"A price on the cloud's slots, 8B phones: {NOTE}")
    return figure


def _forest(
    names: list[str], cells: dict[str, list[Any]], panels: dict[str, str], title: str, *, height_in: float
) -> tuple[Figure, list[Any]]:
    """Draw one row for each name and one panel for each metric: mean and interval."""
    with house_style():
        figure = Picture(figsize=(PAGE_IN, height_in), layout="constrained")
        every = list(figure.subplots(1, len(panels), sharey=True))
        for axes, (metric, label) in zip(every, panels.items(), strict=True):
            axes.errorbar(
                [cell.mean for cell in cells[metric]],
                range(len(names)),
                xerr=[cell.half_width for cell in cells[metric]],
                fmt="o",
                color=look(1)["color"],
                ecolor="black",
                markersize=3.5,
                capsize=2,
                elinewidth=0.8,
            )
            axes.set_xlabel(label)
        every[0].set_yticks(range(len(names)), names)
        every[0].invert_yaxis()
        every[0].set_ylabel("system" if "mean TTFT [s]" in panels.values() else "open choice")
        figure.suptitle(title)
    return figure, every


def _gains(cells: Mapping[Any, Interval], label: str, title: str) -> Figure:
    figure, axes = _dots(cells, "workload", label, title, level=(15.0, "the paper's 'up to 15x', sense not named"))
    axes.axhline(1.0, color="black", linewidth=0.6, zorder=1)
    axes.set_yscale("log")
    axes.set_ylim(bottom=0.7)
    _plain_log(axes, (1, 2, 5, 10, 20, 50, 100))
    return figure


def _plain_log(axes: Any, ticks: tuple[float, ...]) -> None:
    """Make the y axis logarithmic, with plain numbers at the ticks that lie in view."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    shown = [tick for tick in ticks if low <= tick <= high]
    axes.set_yticks(shown, [f"{tick:,g}" for tick in shown])
    axes.tick_params(axis="y", which="minor", left=False)


def _dots(
    cells: Mapping[Any, Interval], group: str, label: str, title: str, *, level: tuple[float, str] | None = None
) -> tuple[Figure, Any]:
    """Draw one dot for each (group, kind), with its interval, and a line at a named level."""
    groups, kinds = (list(dict.fromkeys(names)) for names in zip(*cells, strict=True))
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 3.0), layout="constrained")
        axes = figure.subplots()
        for i, kind in enumerate(kinds):
            own = [cells[name, kind] for name in groups]
            axes.errorbar(
                [k + (i - (len(kinds) - 1) / 2) * 0.16 for k in range(len(groups))],
                [cell.mean for cell in own],
                yerr=[cell.half_width for cell in own],
                label=kind,
                color=look(i)["color"],
                fmt=MARKERS[i],
                markersize=4.5,
                capsize=2.5,
                elinewidth=1.0,
            )
        for k in range(1, len(groups)):
            axes.axvline(k - 0.5, color="#E6E6E6", linewidth=0.5)
        axes.grid(visible=False, axis="x")
        axes.set_xlim(-0.5, len(groups) - 0.5)
        axes.set_xticks(range(len(groups)), groups)
        axes.set_xlabel(group)
        axes.set_ylabel(label)
        if level is not None:
            axes.axhline(level[0], color="black", linewidth=0.8, linestyle="--", label=level[1], zorder=1)
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)))
        figure.suptitle(title)
    return figure, axes


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
