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


def energy(table: pd.DataFrame) -> Figure:
    """Draw the energy a device spends on a request against prompt length, one panel per phone."""
    shown = table[table["policy"].isin(["device_only", "PD"])]
    return _against_prompt(shown, "device_energy_mean_j", "device energy per request [J]", "Energy on the device")


def kept_share(table: pd.DataFrame) -> Figure:
    """Draw tokens from the cloud and assumed quality against the kept share."""
    free = table[table["extra"] == 0]
    refined = free[free["policy"].str.startswith("refined")].copy()
    refined["kept_share"] = refined["policy"].str.split(", ").str[1].astype(float)
    whole = free[free["policy"] == "PD"]
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
    label = "requests per cloud resource,\nover cloud-only [1]"
    figure, axes = _bars(table, "workload", "policy", "gain", label, f"Throughput by sense, closed form: {NOTE}")
    _mark_15x(axes)
    return figure


def gain_measured(table: pd.DataFrame) -> Figure:
    """Draw the gain in the load an engine bears, by workload and by what limits the cloud."""
    keys = ["workload", "sense", "seed"]
    loads = table.pivot_table(index=keys, columns="policy", values="capacity_rps", sort=False)
    gains = (loads["PD"] / loads["server_only"]).rename("gain").reset_index()
    label = "load borne, over cloud-only [1]"
    figure, axes = _bars(gains, "workload", "sense", "gain", label, f"Throughput by sense, measured: {NOTE}")
    _mark_15x(axes)
    return figure


def controllers(table: pd.DataFrame) -> Figure:
    """Draw the longest displayed gap under each law, by what disturbs it."""
    label = "longest gap of an answer, mean [ms]"
    title = f"Speed controllers, 8B phone, 4,000 tokens: {NOTE}"
    figure, axes = _bars(table, "condition", "policy", "gap_mean_max_ms", label, title)
    axes.set_yscale("log")
    axes.set_ylim(bottom=50.0)
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
            axes.set_xlabel("phone's time over its published time [1]")
            axes.set_ylabel(label)
            axes.set_ylim(bottom=0)
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=legend_columns(labels))
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
            axes.set_xticks(range(grid.shape[1]), [f"{tok:,}" for tok in grid.columns], rotation=45)
            axes.set_yticks(range(grid.shape[0]), [f"{share:g}" for share in grid.index])
            axes.set_title(phone)
            axes.set_xlabel("prompt [tok]")
            figure.colorbar(image, ax=axes, label="first token to hand-over [s]")
        figure.axes[0].set_ylabel("kept share [1]; 1 starts at once")
        figure.suptitle("Catching up, one answer a cell; our reconstruction")
    return figure


def _mark_15x(axes: Any) -> None:
    axes.axhline(15.0, color="black", linewidth=0.8, linestyle="--", label="the paper's 'up to 15x'")
    axes.legend(loc="upper left", frameon=False, handles=axes.get_legend_handles_labels()[0][:1])
    axes.set_yscale("log")
    axes.set_ylim(bottom=0.8)


def _bars(table: pd.DataFrame, group: str, kind: str, metric: str, label: str, title: str) -> tuple[Figure, Any]:
    """Draw one bar for each kind in each group, with its interval over replications."""
    kinds, groups = list(dict.fromkeys(table[kind])), list(dict.fromkeys(table[group]))
    width = 0.8 / len(kinds)
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 3.0), layout="constrained")
        axes = figure.subplots()
        for i, name in enumerate(kinds):
            cells = [t_interval(table[(table[kind] == name) & (table[group] == g)][metric]) for g in groups]
            axes.bar(
                [k + (i - (len(kinds) - 1) / 2) * width for k in range(len(groups))],
                [c.mean for c in cells],
                0.9 * width,
                yerr=[c.half_width for c in cells],
                label=name,
                color=look(i)["color"],
                edgecolor="black",
                linewidth=0.5,
                hatch=("", "//", "..", "xx")[i],
                capsize=2,
            )
        axes.set_xticks(range(len(groups)), groups)
        axes.set_ylabel(label)
        figure.legend(loc="outside lower center", ncols=legend_columns(kinds))
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


def rivals(table: pd.DataFrame) -> Figure:
    return Figure()


def choices(table: pd.DataFrame) -> Figure:
    return Figure()
