"""DiSCo's figures of migration: gaps, late tokens, cost and what is saved of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from discosim.metrics.stats import change_of_means, t_interval
from discosim.report.style import MARKERS, MUTED, PAGE_IN, PALE, PALETTE, Picture, house_style, look

from .drawing import COST, PIXEL, REGIMES, XIAOMI, line, over

SAVED = {"S": 83.6, "D": 72.7}
"""Constraint -> most that migration saves of the cost in the paper, in per cent. Secondary source."""


def migration(table: pd.DataFrame) -> Figure:
    """Draw late tokens per migration; gaps on the screen, which are the pacer's in every cell, are said in words."""
    cells = [(service, device) for service in dict.fromkeys(table["service"]) for device in (PIXEL, XIAOMI)]
    names = [f"{service}; {device}" for service, device in cells]
    gaps_s = table["tbt_displayed_pooled_p99_s"]
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 1.4 + 0.26 * len(cells)), layout="constrained")
        axes = figure.subplots()
        axes.axvspan(3, 17, color=PALE, zorder=0)
        for i, (side, (usd_per_j, _)) in enumerate(REGIMES.items()):
            own = table[(table["usd_per_j"] == usd_per_j) & (table["policy"] == f"DiSCo-{side}-migrating")]
            for k, (service, device) in enumerate(cells):
                here = own[(own["service"] == service) & (own["device"] == device)]
                _late(axes, here.groupby("seed")["n_tok_late_per_migration"].mean(), k + 0.24 * (i - 0.5), i)
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xlabel("late tokens per migration [tok]")
        axes.set_xlim(-0.5, 18)
        handles: Sequence[Any] = [
            *(Line2D([], [], marker=MARKERS[i], color=PALETTE[i + 1], lw=0, markersize=4) for i in range(2)),
            Patch(color=PALE),
        ]
        words = [f"DiSCo-{side}, {words}" for side, (_, words) in REGIMES.items()]
        labels = [*words, "paper (second-hand): 3 to 17"]
        figure.legend(handles, labels, loc="outside lower center", ncols=3)
        figure.suptitle(
            f"Late tokens by migration: mean over budgets, {over(table)}\n"
            f"p99 of the gaps on the screen, with and without migration: {gaps_s.min():.3f} to {gaps_s.max():.3f} s"
        )
    return figure


def cost_against_budget(table: pd.DataFrame, dispatch: pd.DataFrame) -> Figure:
    """Draw unified cost against the budget, with and without migration and of both baselines, for either scarce end.

    Baselines hand nothing over, so what they cost at any price of a joule follows from their bill and their joules.
    """
    services = [name for name in dict.fromkeys(table["service"]) if name in set(dispatch["service"])]
    rows, beside = table[table["device"] == PIXEL], dispatch[dispatch["device"] == PIXEL]
    n_columns = 3
    n_rows = -(-len(services) // n_columns)
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 0.9 + 3.1 * n_rows), layout="constrained")
        panels = figure.subplots(2 * n_rows, n_columns, sharex=True, squeeze=False)
        for k, (side, (usd_per_j, words)) in enumerate(REGIMES.items()):
            for i, service in enumerate(services):
                axes = panels[k * n_rows + i // n_columns][i % n_columns]
                own = rows[(rows["service"] == service) & (rows["usd_per_j"] == usd_per_j)]
                others = beside[beside["service"] == service]
                cost_usd = others["server_cost_mean_usd"] + usd_per_j * others["device_energy_mean_j"]
                others = others.assign(unified_cost_mean_usd=cost_usd)
                for j, (policy, _) in enumerate(_cost_lines(side)):
                    part = others if policy.startswith("Stoch") else own
                    line(axes, part[part["policy"] == policy], "budget", COST, j + 1, 1000.0)
                axes.set_title(f"DiSCo-{side}, {words}\n{service}")
                axes.set_ylim(bottom=0)
                axes.set_xlim(0, 1)
        for axes in panels[:, 0]:
            axes.set_ylabel("USD/1,000 requests")
        for axes in panels[-1]:
            axes.set_xlabel("budget [share of prompt tokens]")
        for row in panels:
            for axes in row:
                axes.set_visible(axes.has_data())
        lines = [words for _, words in _cost_lines("S")]
        handles = [Line2D([], [], **look(j + 1), marker=MARKERS[j + 1], markersize=3) for j in range(len(lines))]
        figure.legend(handles, lines, loc="outside lower center", ncols=4)
        n_seeds = dispatch["seed"].nunique()
        figure.suptitle(
            f"Cost against the budget ratio, {PIXEL}: exchange rates assumed\n"
            f"DiSCo: {over(table)}; Stoch: over {n_seeds}, of 1,000 requests"
        )
    return figure


def _cost_lines(side: str) -> list[tuple[str, str]]:
    return [
        (f"DiSCo-{side}-migrating", "DiSCo with migration"),
        (f"DiSCo-{side}", "DiSCo without migration"),
        (f"Stoch-{side}", "Stoch, exclusive"),
        (f"Stoch-{side}-racing", "Stoch, racing"),
    ]


def saving_against_speed(table: pd.DataFrame) -> Figure:
    """Draw the largest saving of migration over the budgets against the service's median TTFT, beside the paper's."""
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 3.0), layout="constrained")
        both = figure.subplots(1, 2, sharey=True)
        for axes, (side, (usd_per_j, words)) in zip(both, REGIMES.items(), strict=True):
            axes.axhline(SAVED[side], color=MUTED, linewidth=0.9, linestyle="--")
            axes.axhspan(0.8 * SAVED[side], SAVED[side], color=PALE, zorder=0)
            own = table[table["usd_per_j"] == usd_per_j]
            for k, device in enumerate((PIXEL, XIAOMI)):
                points = []
                for (speed_s, service), part in own[own["device"] == device].groupby(["service_ttft_p50_s", "service"]):
                    cells = [_saving(group, side) for _, group in part.groupby("budget")]
                    points.append((speed_s, service, max(cells, key=lambda found: found[0])))
                for speed_s, service, (mean, half) in points:
                    axes.errorbar(
                        speed_s,
                        mean,
                        yerr=half,
                        fmt="os"[k],
                        color=PALETTE[k + 1],
                        markerfacecolor="white" if service.startswith("shaped") else None,
                        markersize=4,
                        elinewidth=0.8,
                        capsize=1.5,
                    )
            axes.set_title(f"DiSCo-{side}, {words}")
            axes.set_xlabel("median TTFT of the service [s]")
            axes.set_xlim(left=0)
            axes.set_ylim(0, 100)
        both[0].set_ylabel("largest saving over the budgets [%]")
        handles: Sequence[Any] = [
            *(Line2D([], [], marker="os"[k], color=PALETTE[k + 1], lw=0, markersize=4) for k in range(2)),
            Line2D([], [], marker="o", color=MUTED, markerfacecolor="white", lw=0, markersize=4),
            Line2D([], [], color=MUTED, linestyle="--"),
            Patch(color=PALE),
        ]
        labels = [PIXEL, XIAOMI, "open: a shaped service", "paper: up to (second-hand)", "within a fifth below it"]
        figure.legend(handles, labels, loc="outside lower center", ncols=3)
        figure.suptitle(f"What migration saves of the cost, by how soon the service speaks: {over(table)}")
    return figure


def _saving(rows: pd.DataFrame, side: str) -> tuple[float, float]:
    table = rows.pivot_table(index="seed", columns="policy", values=COST, aggfunc="mean")
    found = change_of_means(table[f"DiSCo-{side}-migrating"], table[f"DiSCo-{side}"])
    return -found.mean, found.half_width


def hand_over_variants(table: pd.DataFrame) -> Figure:
    """Draw what migration saves, and how many tokens are late, with one open point changed at a time."""
    variants = list(dict.fromkeys(table["variant"]))
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 1.5 + 0.26 * len(variants)), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        right.axvspan(3, 17, color=PALE, zorder=0)
        left.axvline(0, color=MUTED, linewidth=0.6)
        for i, (side, (_, words)) in enumerate(REGIMES.items()):
            left.axvline(SAVED[side], color=PALETTE[i + 1], linewidth=0.9, linestyle="--")
            own = table[table["scarce"] == words.split()[0]]
            own = own[own["device"] == own["device"].iloc[0]]
            for k, variant in enumerate(variants):
                rows = own[own["variant"] == variant]
                y = k + 0.2 * (i - 0.5)
                mean, half = _saving(rows, side)
                left.errorbar(mean, y, xerr=half, fmt=MARKERS[i], color=PALETTE[i + 1], markersize=4, elinewidth=0.8)
                migrating = rows[rows["policy"] == f"DiSCo-{side}-migrating"]
                _late(right, migrating["n_tok_late_per_migration"], y, i)
        left.set_yticks(range(len(variants)), variants)
        left.set_ylim(len(variants) - 0.5, -0.5)
        left.set_xlabel("saving of the cost [%]")
        left.set_xlim(-20, 100)
        left.set_title("Cost (dashed: paper, up to)")
        right.set_xlabel("late tokens per migration [tok]")
        right.set_xlim(-0.5, 18)
        right.set_title("Late tokens (grey: paper, second-hand)")
        handles = [Line2D([], [], marker=MARKERS[i], color=PALETTE[i + 1], lw=0, markersize=4) for i in range(2)]
        first = table.groupby("scarce")[["service", "budget"]].first()
        named = []
        for side, (_, words) in REGIMES.items():
            service, budget = first.loc[words.split()[0]]
            named.append(f"DiSCo-{side}, {words}: {service}, b = {budget:g}")
        figure.legend(handles, named, loc="outside lower center", ncols=2)
        device = table["device"].iloc[0]
        figure.suptitle(f"One open point of a hand-over changed at a time: {device}, {over(table)}")
    return figure


def _late(axes: Axes, sample: pd.Series, y: float, i: int) -> None:
    """Draw late tokens per migration, whose interval ends at none; nothing where nothing was handed over."""
    if sample.notna().any():
        found = t_interval(sample)
        below = min(found.half_width, found.mean)
        axes.errorbar(
            found.mean, y, xerr=[[below], [found.half_width]], fmt=MARKERS[i], color=PALETTE[i + 1], markersize=4,
            elinewidth=0.8,
        )  # fmt: skip
