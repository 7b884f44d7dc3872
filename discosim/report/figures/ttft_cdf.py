"""Figure: how long requests wait for their first token, as distribution and as tail."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from discosim.metrics.stats import t_interval
from discosim.report.style import MUTED, PAGE_IN, Picture, house_style, legend_columns, look, message_figure
from discosim.report.tables import need_columns, policy_names

COLUMNS = ("policy", "replication", "ttft_s", "status")
TITLE = "Time to first token at the client"
N_POINTS = 400
LOG_FROM_RATIO = 100.0

Floats = NDArray[np.float64]


def ttft_cdf(requests: pd.DataFrame, policies: Sequence[str] | None = None) -> Figure:
    """Draw the distribution of TTFT by policy; arguments and errors as in :func:`ttft_cdf_table`."""
    return draw_ttft_cdf(ttft_cdf_table(requests, policies))


def ttft_cdf_table(requests: pd.DataFrame, policies: Sequence[str] | None = None) -> pd.DataFrame:
    """Compute the distribution function of TTFT by policy.

    Parameters
    ----------
    requests : DataFrame
        Rows of requests.parquet; columns ``policy``, ``replication``, ``ttft_s``, ``status``.
    policies : sequence of str, optional
        Which policies, in which order; all, in the order of the table, where omitted.

    Returns
    -------
    DataFrame
        One row per policy and point: ``policy``; ``ttft_s``; ``share``, the part of the served requests of all
        replications whose first token came within ``ttft_s``; ``share_low`` and ``share_high``, its 95 % interval
        over replications (NaN with fewer than two); ``failed_share``; ``n_served``; ``n_replications``. Served are
        finished and failed requests; a failed one never gets its first token, so the share then ends below 1.
        No rows if no request finished.

    Raises
    ------
    UserError
        If a column is missing or a policy is unknown.
    """
    served = need_columns(requests, COLUMNS, "requests")
    names = policy_names(served, policies)
    served = served[served["status"] != "rejected"]
    points = _points(served["ttft_s"].to_numpy(dtype=float))
    blocks = []
    for policy in names:
        rows = served[served["policy"] == policy]
        if rows.empty:
            continue
        samples = [group["ttft_s"].to_numpy(dtype=float) for _, group in rows.groupby("replication")]
        within = np.array([np.searchsorted(np.sort(sample[~np.isnan(sample)]), points, "right") for sample in samples])
        sizes = np.array([sample.size for sample in samples])
        share = within.sum(axis=0) / sizes.sum()
        half = np.array([t_interval(column).half_width for column in (within / sizes[:, None]).T])
        blocks.append(
            pd.DataFrame(
                {
                    "policy": policy,
                    "ttft_s": points,
                    "share": share,
                    "share_low": np.clip(share - half, 0.0, 1.0),
                    "share_high": np.clip(share + half, 0.0, 1.0),
                    "failed_share": (rows["status"] == "failed").mean(),
                    "n_served": len(rows),
                    "n_replications": len(samples),
                }
            )
        )
    empty: dict[str, list[float]] = {name: [] for name in ("policy", "ttft_s", "share", "share_low", "share_high")}
    return pd.concat(blocks, ignore_index=True) if blocks and points.size else pd.DataFrame(empty)


def _points(ttft_s: Floats) -> Floats:
    """Return the abscissae at which all policies are compared: even in log time if the range is wide, else even."""
    known = ttft_s[~np.isnan(ttft_s)]
    if known.size == 0:
        return known
    low, high = float(known.min()), float(known.max())
    if low > 0.0 and high / low > LOG_FROM_RATIO:
        points = np.geomspace(low, high, N_POINTS)
    else:
        points = np.linspace(low, high, N_POINTS)
    points[-1] = high  # rounding must not leave the slowest request outside
    return points


def draw_ttft_cdf(table: pd.DataFrame, note: str = "") -> Figure:
    """Draw the table of :func:`ttft_cdf_table`: the distribution on the left, its tail on the right.

    ``note`` is a second line of the title.
    """
    if table.empty:
        return message_figure(TITLE, "No request finished, so no first token was seen.")
    ttft_s = table["ttft_s"].to_numpy()
    is_log = ttft_s.min() > 0.0 and ttft_s.max() / ttft_s.min() > LOG_FROM_RATIO
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 3.1), layout="constrained")
        body, tail = figure.subplots(1, 2)
        for i, (policy, rows) in enumerate(table.groupby("policy", sort=False)):
            _draw_policy(body, tail, rows, str(policy), i)
        for axes in (body, tail):
            axes.set_xscale("log" if is_log else "linear")
            if is_log:
                axes.xaxis.set_major_formatter("{x:g}")
            axes.set_xlabel("TTFT [s]")
        _frame_body(body, table, is_log=is_log)
        _frame_tail(tail, table)
        figure.suptitle("\n".join(filter(None, (_title(table), note))))
        handles, labels = body.get_legend_handles_labels()
        n_columns = legend_columns(labels)
        figure.legend(handles, labels, loc="outside lower center", ncols=n_columns, handlelength=3.2)
    return figure


def _draw_policy(body: Axes, tail: Axes, rows: pd.DataFrame, policy: str, i: int) -> None:
    x, share = rows["ttft_s"].to_numpy(), rows["share"].to_numpy()
    low, high = rows["share_low"].to_numpy(), rows["share_high"].to_numpy()
    failed = float(rows["failed_share"].iloc[0])
    label = f"{policy} ({failed:.2%} failed)" if failed else policy
    # the curves begin at 0 and at 1, also where all requests wait equally long
    from_start = np.append(x[0], x)
    body.plot(from_start, np.append(0.0, share), label=label, **look(i))
    tail.plot(from_start, np.append(1.0, 1.0 - share), **look(i))
    if not np.isnan(low).all():
        body.fill_between(x, low, high, color=look(i)["color"], alpha=0.18, linewidth=0)
        tail.fill_between(x, 1.0 - high, 1.0 - low, color=look(i)["color"], alpha=0.18, linewidth=0)


def _frame_body(axes: Axes, table: pd.DataFrame, *, is_log: bool) -> None:
    """Show every policy up to its p99; what lies beyond is the other panel's."""
    inside = table[table["share"] <= 0.99]
    low, high = table["ttft_s"].min(), inside["ttft_s"].max() if len(inside) else table["ttft_s"].max()
    span = high - low or max(high, 0.1)
    axes.set_xlim(low / 1.1 if is_log else max(0.0, low - 0.05 * span), high * 1.1 if is_log else high + 0.05 * span)
    axes.set_ylim(0.0, 1.02)
    axes.set_ylabel("share of requests served within")
    axes.set_title("Distribution, up to the p99")


def _frame_tail(axes: Axes, table: pd.DataFrame) -> None:
    n = int(table["n_served"].min())
    floor = max(10.0 / n, 1e-4) if n > 20 else 0.5 / n
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_ylim(floor, 1.2)
    beyond = table[1.0 - table["share"] >= floor]
    if len(beyond):
        axes.set_xlim(right=float(beyond["ttft_s"].max()) * 1.05)
    axes.set_ylabel("share of requests still waiting")
    axes.set_title("Tail")
    for level, name in ((0.5, "p50"), (0.1, "p90"), (0.01, "p99"), (0.001, "p99.9")):
        if level > floor:
            axes.annotate(
                name,
                (1.0, level),
                xycoords=("axes fraction", "data"),
                xytext=(2, 0),
                textcoords="offset points",
                va="center",
                fontsize=6,
                color=MUTED,
            )


def _title(table: pd.DataFrame) -> str:
    n_replications = int(table["n_replications"].max())
    n_served = int(table["n_served"].max())
    if n_replications == 1:
        return f"{TITLE}: one replication, {n_served:,} requests per policy"
    return f"{TITLE}: {n_served:,} requests per policy, {n_replications} replications (band: 95 % interval)"
