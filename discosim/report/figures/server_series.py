"""Figure: a white-box server over time: batch, queue, memory and throughput, as an operator's dashboard shows them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from discosim.report.style import PAGE_IN, Picture, house_style, legend_columns, look, message_figure
from discosim.report.tables import need_columns, policy_names

COLUMNS = ("policy", "replication", "t_s", "running", "waiting", "prompt_tok_per_s", "output_tok_per_s", "kv_share")
TITLE = "The server over time"
PANELS: tuple[tuple[str, str], ...] = (
    ("running", "running"),
    ("waiting", "waiting"),
    ("kv_share", "KV share"),
    ("prompt_tok_per_s", "prompt [tok/s]"),
    ("output_tok_per_s", "output [tok/s]"),
)
"""Column and label of each panel."""

MOST_POINTS = 400
"""Of a curve; in longer runs several seconds are averaged."""


def server_series(series: pd.DataFrame, policies: Sequence[str] | None = None, replication: int = 0) -> Figure:
    """Draw a server over time; arguments and errors as in :func:`server_series_table`."""
    return draw_server_series(server_series_table(series, policies, replication))


def server_series_table(
    series: pd.DataFrame, policies: Sequence[str] | None = None, replication: int = 0
) -> pd.DataFrame:
    """Average a server's seconds so that a curve has no more points than a picture shows.

    Parameters
    ----------
    series : DataFrame
        Rows of series.parquet.
    policies : sequence of str, optional
        Which policies, in which order; all, in the order of the table, where omitted.
    replication : int
        Which replication; moments of several have nothing in common that a mean could show.

    Returns
    -------
    DataFrame
        One row per policy and step: ``policy``, ``t_s``, the end of the step, ``step_s``, how long it is (the same for
        all; the last step of a policy may hold less), and the means of the other columns over its seconds.

    Raises
    ------
    UserError
        If a column is missing or a policy is unknown.
    """
    rows = need_columns(series, COLUMNS, "series")
    names = policy_names(rows, policies)
    rows = rows[rows["replication"] == replication]
    longest_s = float(rows["t_s"].max()) if len(rows) else 0.0
    step_s = max(1, int(np.ceil(longest_s / MOST_POINTS)))
    blocks = []
    for policy in names:
        mine = rows[rows["policy"] == policy]
        step = np.ceil(mine["t_s"].to_numpy() / step_s).astype(int)
        means = mine[[name for name, _ in PANELS]].groupby(step).mean()
        blocks.append(means.assign(policy=policy, t_s=means.index.to_numpy() * float(step_s), step_s=float(step_s)))
    order = ["policy", "t_s", "step_s", *(name for name, _ in PANELS)]
    return pd.concat(blocks, ignore_index=True)[order] if blocks else pd.DataFrame({name: [] for name in order})


def draw_server_series(table: pd.DataFrame) -> Figure:
    """Draw the table of :func:`server_series_table`: one panel below the other, on one axis of time."""
    if table.empty:
        return message_figure(TITLE, "The server did nothing.")
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 6.2), layout="constrained")
        grid = figure.subplots(len(PANELS), 1, sharex=True)
        for axes, (name, label) in zip(grid, PANELS, strict=True):
            for i, (policy, rows) in enumerate(table.groupby("policy", sort=False)):
                axes.plot(rows["t_s"], rows[name], label=str(policy), **{**look(i), "linewidth": 1.0})
            axes.set_ylabel(label)
            axes.set_ylim(bottom=0.0)
        grid[-1].set_xlabel("time [s]")
        step_s = float(table["step_s"].iloc[0])
        each = "by the second" if step_s == 1.0 else f"means of {step_s:g} s"
        figure.suptitle(f"{TITLE}: first replication, {each}")
        handles, labels = grid[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=legend_columns(labels), handlelength=3.2)
    return figure
