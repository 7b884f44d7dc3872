"""Figure: what a request costs against how long it waits, one point per policy."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from discosim.metrics.summary import SummaryTable
from discosim.report.input_rows import MARK, caption, few_rows, mark, rests_on_no_row
from discosim.report.labels import label_points
from discosim.report.style import MUTED, PAGE_IN, PALETTE, Picture, house_style, lay_out, marker, message_figure
from discosim.report.tables import PlainSummary, number, plain

COST = "unified_cost_mean_usd"
WAITS = {"ttft_mean_s": "mean TTFT", "ttft_p99_s": "p99 TTFT"}
TITLE = "Unified cost against time to first token"
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PER_REQUESTS = 1000
LOG_FROM_RATIO = 20.0


def cost_ttft(summary: SummaryTable | PlainSummary) -> Figure:
    """Draw cost against TTFT by policy; arguments as in :func:`cost_ttft_table`."""
    return draw_cost_ttft(cost_ttft_table(summary))


def cost_ttft_table(summary: SummaryTable | PlainSummary) -> pd.DataFrame:
    """Collect cost and TTFT of every policy.

    Parameters
    ----------
    summary : SummaryTable or mapping
        A summary, or the content of summary.json.

    Returns
    -------
    DataFrame
        One row per policy: ``policy``, ``is_baseline``, ``n_replications``, ``unified_cost_usd_per_1k`` (USD per 1,000
        served requests), ``ttft_mean_s``, ``ttft_p99_s``, and the half-width of the 95 % interval over replications
        of each as ``*_half_width`` (NaN with fewer than two); ``few_rows``, the inputs of few rows that the intervals
        take into account, and ``p99_rests_on_no_row``, whether they are too few for a p99.
    """
    given = plain(summary)
    rows = []
    for policy in given["policies"]:
        row: dict[str, object] = {
            "policy": policy,
            "is_baseline": policy == given["baseline"],
            "n_replications": int(given["n_replications"]),
            "p99_rests_on_no_row": bool(mark(given, "ttft_p99_s", policy)),
            "few_rows": few_rows(given),
        }
        for suffix, field in (("", "mean"), ("_half_width", "half_width")):
            row[f"unified_cost_usd_per_1k{suffix}"] = PER_REQUESTS * number(given, policy, COST, field)
            for wait in WAITS:
                row[f"{wait}{suffix}"] = number(given, policy, wait, field)
        rows.append(row)
    return pd.DataFrame(rows)


def draw_cost_ttft(table: pd.DataFrame) -> Figure:
    """Draw the table of :func:`cost_ttft_table`: mean TTFT on the left, its p99 on the right."""
    is_known = table[["unified_cost_usd_per_1k", *WAITS]].notna().all(axis=1)
    known = table[is_known]
    places = np.flatnonzero(is_known)  # a policy keeps its colour when another is left out
    if known.empty:
        return message_figure(TITLE, "No request finished, so there is no TTFT to set against the cost.")
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 3.1), layout="constrained")
        both = figure.subplots(1, 2)
        for axes, (wait, name) in zip(both, WAITS.items(), strict=True):
            _draw_points(axes, known, places, wait)
            beyond = wait == "ttft_p99_s" and rests_on_no_row(table, "p99_rests_on_no_row")
            axes.set_title(f"Cost against {name}{MARK if beyond else ''}")
            axes.set_title("↙ better", loc="right", color=MUTED, fontstyle="italic")
            axes.set_xlabel("unified cost per 1,000 requests [USD]")
            axes.set_ylabel(f"{name} [s]")
        figure.suptitle(_title(table, len(known)))
        # names are placed last, when the layout will move no more
        lay_out(figure)
        for axes, wait in zip(both, WAITS, strict=True):
            _name_points(axes, known, places, wait)
    return figure


def _draw_points(axes: Axes, known: pd.DataFrame, places: Ints, wait: str) -> None:
    x, y = known["unified_cost_usd_per_1k"].to_numpy(), known[wait].to_numpy()
    half_x = known["unified_cost_usd_per_1k_half_width"].to_numpy()
    half_y = known[f"{wait}_half_width"].to_numpy()
    is_baseline = known["is_baseline"].to_numpy()
    for k, i in enumerate(places):
        axes.errorbar(
            x[k],
            y[k],
            xerr=None if np.isnan(half_x[k]) else half_x[k],
            yerr=None if np.isnan(half_y[k]) else half_y[k],
            fmt=marker(i),
            color=_colour(i),
            capsize=2,
            elinewidth=0.8,
            capthick=0.8,
        )
        if is_baseline[k]:
            (ring,) = axes.plot(x[k], y[k], marker="o", markersize=11, linewidth=0, color=_colour(i))
            ring.set_markerfacecolor("none")
    _limit(axes, "x", x)
    _limit(axes, "y", y)


def _colour(i: int) -> str:
    return PALETTE[i % len(PALETTE)]


def _limit(axes: Axes, which: str, values: Floats) -> None:
    """Leave room for the names; a wide range of positive values is shown on a logarithmic axis."""
    low, high = float(values.min()), float(values.max())
    set_scale, set_limits = (axes.set_xscale, axes.set_xlim) if which == "x" else (axes.set_yscale, axes.set_ylim)
    if low > 0.0 and high / low > LOG_FROM_RATIO:
        set_scale("log")
        (axes.xaxis if which == "x" else axes.yaxis).set_major_formatter("{x:g}")
        room = (high / low) ** 0.2
        set_limits(low / room, high * room)
        return
    room = 0.2 * (high - low) or 0.2 * abs(high) or 1.0
    # an axis that begins at 0 begins a little earlier if a point lies there
    floor = 0.0 if low > 0.03 * high else -0.05 * (high or 1.0)
    set_limits(max(floor, low - room), high + room)


def _name_points(axes: Axes, known: pd.DataFrame, places: Ints, wait: str) -> None:
    points = known[["unified_cost_usd_per_1k", wait]].to_numpy()
    reach = known[["unified_cost_usd_per_1k_half_width", f"{wait}_half_width"]].fillna(0.0).to_numpy()
    bars = [Bbox(axes.transData.transform([p - r, p + r])) for p, r in zip(points, reach, strict=True)]
    names = [
        f"{name} (baseline)" if is_baseline else str(name)
        for name, is_baseline in zip(known["policy"], known["is_baseline"], strict=True)
    ]
    label_points(
        axes,
        points=[(float(x), float(y)) for x, y in points],
        names=names,
        colours=[_colour(i) for i in places],
        keep_clear=bars,
    )


def _title(table: pd.DataFrame, n_drawn: int) -> str:
    n = int(table["n_replications"].iloc[0])
    bars = f"mean and 95 % interval over {n} replications" if n > 1 else "one replication, no intervals"
    left_out = len(table) - n_drawn
    title = f"{TITLE}: {bars}" + (f" ({left_out} without a finished request left out)" if left_out else "")
    return title + caption(table)
