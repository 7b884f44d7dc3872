"""Figure: a few summary metrics side by side, policies below one another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from discosim.metrics.summary import SummaryTable
from discosim.report.input_rows import MARK, caption, few_rows, mark, rests_on_no_row
from discosim.report.style import MUTED, PAGE_IN, PALETTE, Picture, house_style, marker
from discosim.report.tables import PlainSummary, number, plain, readable, summary_metrics

BETTER = {"lower": "← better", "higher": "better →", "neutral": ""}
MOST_IN_A_ROW = 4


def metric_panels(summary: SummaryTable | PlainSummary, metrics: Sequence[str]) -> Figure:
    """Draw metrics by policy; arguments and errors as in :func:`metric_panels_table`."""
    return draw_metric_panels(metric_panels_table(summary, metrics))


def metric_panels_table(summary: SummaryTable | PlainSummary, metrics: Sequence[str]) -> pd.DataFrame:
    """Collect the named metrics of every policy.

    Parameters
    ----------
    summary : SummaryTable or mapping
        A summary, or the content of summary.json.
    metrics : sequence of str
        At least one name of a summary metric.

    Returns
    -------
    DataFrame
        One row per metric and policy: ``metric, unit, direction, policy, is_baseline, n_replications``, ``mean`` and
        ``half_width`` of the 95 % interval over replications (NaN with fewer than two), dollars in thousandths;
        ``few_rows``, the inputs of few rows that the intervals take into account, and ``rests_on_no_row``, whether they
        are too few for this quantile.

    Raises
    ------
    UserError
        For an unknown metric.
    """
    given = plain(summary)
    rows = []
    for metric in summary_metrics(metrics):
        name, (factor, unit) = metric.name, readable(metric)
        for policy in given["policies"]:
            row: dict[str, object] = {
                "metric": name,
                "unit": unit,
                "direction": metric.direction,
                "policy": policy,
                "is_baseline": policy == given["baseline"],
                "n_replications": int(given["n_replications"]),
                "rests_on_no_row": bool(mark(given, name, policy)),
                "few_rows": few_rows(given),
            }
            rows.append(row | {f: factor * number(given, policy, name, f) for f in ("mean", "half_width")})
    return pd.DataFrame(rows)


def draw_metric_panels(table: pd.DataFrame) -> Figure:
    """Draw the table of :func:`metric_panels_table`: one panel per metric; a metric without a value says so."""
    groups = [(str(metric), rows) for metric, rows in table.groupby("metric", sort=False)]
    n_policies = table["policy"].nunique()
    n_rows = -(-len(groups) // MOST_IN_A_ROW)
    n_columns = -(-len(groups) // n_rows)
    with house_style():
        height = 0.45 + n_rows * (0.75 + 0.2 * n_policies)
        figure = Picture(figsize=(PAGE_IN, height), layout="constrained")
        grid = figure.subplots(n_rows, n_columns, sharey=True, squeeze=False)
        for axes, (metric, rows) in zip(grid.flat, groups, strict=False):
            _draw_panel(axes, metric, rows)
        for axes in grid.flat[len(groups) :]:
            axes.set_axis_off()
        first = groups[0][1]
        grid[0, 0].set_yticks(range(n_policies), [_name(row) for _, row in first.iterrows()])
        grid[0, 0].set_ylim(n_policies - 0.4, -0.6)
        n = int(table["n_replications"].iloc[0])
        over = f"mean and 95 % interval over {n} replications" if n > 1 else "one replication, no intervals"
        figure.suptitle(f"{over}{caption(table)}")
    return figure


def _name(row: pd.Series) -> str:
    return f"{row['policy']} (baseline)" if row["is_baseline"] else str(row["policy"])


def _draw_panel(axes: Axes, metric: str, rows: pd.DataFrame) -> None:
    means, halves = rows["mean"].to_numpy(), rows["half_width"].to_numpy()
    for i in np.flatnonzero(~np.isnan(means)).tolist():
        half = None if np.isnan(halves[i]) else halves[i]
        axes.errorbar(means[i], i, xerr=half, fmt=marker(i), color=PALETTE[i % len(PALETTE)], capsize=2, elinewidth=0.9)
    if np.isnan(means).all():
        axes.text(0.5, 0.5, "not defined here", transform=axes.transAxes, ha="center", va="center", color=MUTED)
    axes.margins(x=0.12)
    axes.set_title(f"{metric}{MARK} (too few rows)" if rests_on_no_row(rows, "rests_on_no_row") else metric)
    better, unit = BETTER[str(rows["direction"].iloc[0])], str(rows["unit"].iloc[0])
    axes.set_xlabel(f"[{unit}]   {better}".rstrip())
    axes.tick_params(axis="y", length=0)
