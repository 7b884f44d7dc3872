"""Figure: metrics against a value that was varied, one line per policy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from discosim.metrics.stats import t_interval
from discosim.report.style import PAGE_IN, Picture, house_style, legend_below, look, marker
from discosim.report.tables import need_columns, policy_names, readable, summary_metrics

BAND_ALPHA = 0.18


def sweep_lines(
    results: pd.DataFrame,
    x: str,
    metrics: Sequence[str],
    policies: Sequence[str] | None = None,
    x_label: str | None = None,
) -> Figure:
    """Draw metrics against a varied value; arguments and errors as in :func:`sweep_lines_table`.

    ``x_label`` names the horizontal axis with its unit; the column's name stands there where it is omitted.
    """
    return draw_sweep_lines(sweep_lines_table(results, x, metrics, policies), x_label or x)


def sweep_lines_table(
    results: pd.DataFrame, x: str, metrics: Sequence[str], policies: Sequence[str] | None = None
) -> pd.DataFrame:
    """Average metrics over replications, for each policy and value of ``x``.

    Parameters
    ----------
    results : DataFrame
        One row per policy, value and replication, as :func:`discosim.load_results` gives for a sweep, or
        ``RunResult.by_replication`` of several runs with a column for the value.
    x : str
        Column of the varied value, a number.
    metrics : sequence of str
        At least one name of a summary metric.
    policies : sequence of str, optional
        Which policies, in which order; all where omitted.

    Returns
    -------
    DataFrame
        One row per metric, policy and value: ``metric, unit, policy, x, n, mean, low, high``; ``low`` and ``high``
        bound the 95 % interval over the ``n`` replications. Dollars are in thousandths.

    Raises
    ------
    UserError
        If a column is missing, or a metric or policy is unknown.
    """
    frame = need_columns(results, ("policy", x, *metrics), "results")
    rows = []
    for metric in summary_metrics(metrics):
        name, (factor, unit) = metric.name, readable(metric)
        for policy in policy_names(frame, policies):
            for value, sample in frame[frame["policy"] == policy].groupby(x)[name]:
                found = t_interval(factor * sample.to_numpy(dtype=float))
                low, high = found.mean - found.half_width, found.mean + found.half_width
                key = {"metric": name, "unit": unit, "policy": policy, "x": value, "n": found.n}
                rows.append(key | {"mean": found.mean, "low": low, "high": high})
    return pd.DataFrame(rows)


def draw_sweep_lines(table: pd.DataFrame, x_label: str) -> Figure:
    """Draw the table of :func:`sweep_lines_table`: one panel per metric, bands for intervals."""
    policies = list(dict.fromkeys(table["policy"]))
    with house_style():
        groups = [(str(metric), rows) for metric, rows in table.groupby("metric", sort=False)]
        figure = Picture(figsize=(PAGE_IN, 3.2), layout="constrained")
        panels = figure.subplots(1, len(groups), squeeze=False)[0]
        for axes, (metric, rows) in zip(panels, groups, strict=True):
            for i, policy in enumerate(policies):
                _draw_line(axes, rows[rows["policy"] == policy], policy, i)
            axes.set_ylabel(f"{metric} [{rows['unit'].iloc[0]}]")
            axes.set_xlabel(x_label)
        legend_below(figure, panels[0])
        few, many = int(table["n"].min()), int(table["n"].max())
        count = f"{few}" if few == many else f"{few} to {many}"
        figure.suptitle(f"mean over {count} replications" + (" (band: 95 % interval)" if many > 1 else ""))
    return figure


def _draw_line(axes: Axes, rows: pd.DataFrame, policy: str, i: int) -> None:
    x, low, high = (rows[name].to_numpy(dtype=float) for name in ("x", "low", "high"))
    axes.plot(x, rows["mean"], label=policy, marker=marker(i), markersize=3, **look(i))
    if not np.isnan(low).all():
        axes.fill_between(x, low, high, color=look(i)["color"], alpha=BAND_ALPHA, linewidth=0)
