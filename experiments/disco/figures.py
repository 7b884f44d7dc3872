"""DiSCo's figures: tidy table in, Figure out. Intervals are 95 % over replications, paired where two are compared."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from discosim.metrics.stats import t_interval
from discosim.report.style import MARKERS, PAGE_IN, PALETTE, Picture, house_style, look

from .figures_dispatch import (
    arrival_patterns,
    mean_ttft_against_budget,
    reduction_by_service,
    sensitivity_of_verdicts,
    trend_between_phones,
)
from .figures_handover import cost_against_budget, hand_over_variants, migration, saving_against_speed

__all__ = [
    "arrival_patterns",
    "cost_against_budget",
    "hand_over_variants",
    "mean_ttft_against_budget",
    "migration",
    "reduction_by_service",
    "saving_against_speed",
    "scheduler_overhead",
    "sensitivity_of_verdicts",
    "trend_between_phones",
    "ttft_against_length",
]


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
        axes.set_xlabel("history [past requests]")
        axes.set_ylabel("time to set the thresholds [ms]")
        axes.legend(loc="upper left", ncols=1)
        axes.set_title(f"Scheduler overhead: median and range of {table['seed'].nunique()} trials")
    return figure
