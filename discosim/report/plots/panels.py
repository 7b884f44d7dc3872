"""Kinds of pictures, drawn into axes that somebody else made; sizes and fonts are those of matplotlib's settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.ticker import LogFormatter

from discosim.metrics.definitions import DEFINITIONS
from discosim.metrics.labels import key_label, metric_label
from discosim.report.plots.choice import NOTHING, Choice
from discosim.report.plots.layout import text_width_pt
from discosim.report.plots.looks import hatch, look
from discosim.report.plots.source import Dim, text_of

BAND_ALPHA = 0.2
MOST_TICKS = 8
MARKS_APART = 0.15
"""Between markers of a line, by the diagonal of its axes."""
BAR_ROOM = 0.8
FRONT = "none is better in both"


@dataclass(frozen=True)
class Pen:
    """How series are drawn.

    Parameters
    ----------
    places : dict
        Value of a series -> its place among all of the source, so that it looks alike in every picture.
    intervals : str
        ``band``, ``bars`` or ``none``.
    """

    places: dict[Any, int]
    intervals: str

    def place(self, value: Any) -> int:
        """Return the place of a series."""
        return self.places.get(value, 0)


def dim_label(dim: Dim) -> str:
    """Return the label of an axis along which something was varied; none for policies, whose names say it."""
    return "" if dim.name == "policy" else key_label(dim.name)


def draw_lines(axes: Axes, rows: pd.DataFrame, choice: Choice, pen: Pen) -> None:
    """Draw means against what was varied, one line per series."""
    assert isinstance(choice.x, Dim)
    for value, part in _by_series(rows, choice):
        i = pen.place(value)
        x = _positions(part["x"], choice.x)
        held = look(i)
        axes.plot(x, part["mean"], label=text_of(value), **held)
        _interval(axes, x, part, pen, held["color"])
    _x_ticks(axes, choice.x)


def draw_bars(axes: Axes, rows: pd.DataFrame, choice: Choice, pen: Pen) -> None:
    """Draw means as bars: a group for each value along x, in it a bar per series."""
    assert isinstance(choice.x, Dim)
    series = _by_series(rows, choice)
    width = BAR_ROOM / max(1, len(series))
    for k, (value, part) in enumerate(series):
        x = np.array([choice.x.values.index(at) for at in part["x"]]) + (k - (len(series) - 1) / 2) * width
        for j, (at, mean) in enumerate(zip(x, part["mean"], strict=True)):
            # without series, bars of policies look as lines of theirs do
            i = pen.place(value) if choice.series is not NOTHING else pen.place(part["x"].iloc[j])
            style: dict[str, Any] = {"facecolor": look(i)["color"], "edgecolor": "white", "linewidth": 0.0}
            axes.bar(at, mean, width, label=text_of(value) if j == 0 else None, hatch=hatch(i), **style)
        if pen.intervals != "none":
            axes.errorbar(x, part["mean"], yerr=_halves(part), fmt="none", ecolor=_ink(), capsize=2, elinewidth=0.8)
    name_ticks(axes, choice.x)
    axes.grid(visible=False, axis="x")


def set_logarithmic(axes: Axes, which: str) -> None:
    """Make axes logarithmic (``x``, ``y`` or both), with numbers and not powers of ten beside their ticks."""
    for letter in which:
        axis = axes.xaxis if letter == "x" else axes.yaxis
        (axes.set_xscale if letter == "x" else axes.set_yscale)("log")
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(LogFormatter(minor_thresholds=(1.5, 0.5)))


def name_ticks(axes: Axes, dim: Dim) -> None:
    """Write the values of a dim below the axes, aslant where they would run into one another."""
    names = [text_of(value) for value in dim.values]
    font = FontProperties(size=mpl.rcParams["xtick.labelsize"])
    room_pt = 72.0 * axes.figure.get_figure(root=True).get_figwidth() * axes.get_position().width / len(names)
    is_narrow = max(text_width_pt(name, font) for name in names) > 0.9 * room_pt
    slant: dict[str, Any] = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"} if is_narrow else {}
    axes.set_xticks(range(len(names)), names, **slant)


def draw_cdf(axes: Axes, rows: pd.DataFrame, choice: Choice, pen: Pen) -> None:
    """Draw distribution functions, with a few markers on each."""
    series = _by_series(rows, choice)
    for k, (value, part) in enumerate(series):
        held = look(pen.place(value))
        # at even distances along the line, those of several lines beside one another
        every = (MARKS_APART * k / len(series), MARKS_APART)
        axes.plot(part["value"], part["share"], label=text_of(value), markevery=every, drawstyle="steps-post", **held)
        if pen.intervals != "none" and part["low"].notna().any():
            band: dict[str, Any] = {"color": held["color"], "alpha": BAND_ALPHA, "linewidth": 0}
            axes.fill_between(part["value"], part["low"], part["high"], step="post", **band)
    if axes.get_yscale() == "linear":
        axes.set_ylim(0.0, 1.02)


def draw_pareto(axes: Axes, rows: pd.DataFrame, choice: Choice, pen: Pen) -> None:
    """Draw points of two metrics, lines along what was varied, and the front of those that no other one beats."""
    assert isinstance(choice.x, str)
    points = points_of(rows, choice)
    for value, part in _by_series(points, choice):
        held = look(pen.place(value))
        has_bars = pen.intervals != "none"
        axes.errorbar(
            part["mean_x"],
            part["mean_y"],
            xerr=part["half_x"].fillna(0.0) if has_bars and part["half_x"].notna().any() else None,
            yerr=part["half_y"].fillna(0.0) if has_bars and part["half_y"].notna().any() else None,
            label=text_of(value),
            elinewidth=0.8,
            capsize=2,
            **(held | ({"linestyle": "none"} if choice.path is NOTHING else {})),
        )
    front = points[points["is_best"]].sort_values("mean_x")
    broad: dict[str, Any] = {"linewidth": 3.0 * mpl.rcParams["lines.linewidth"], "alpha": 0.25, "zorder": 1}
    # what can be had with an x at least as good is the best of the points on that side
    corners = "steps-pre" if is_higher_better(choice.x) else "steps-post"
    axes.plot(front["mean_x"], front["mean_y"], color=_ink(), drawstyle=corners, label=FRONT, **broad)


def points_of(rows: pd.DataFrame, choice: Choice) -> pd.DataFrame:
    """Return the points of a Pareto picture: means and half-widths of both metrics, and whether another beats it."""
    keys = ["row", "column", "series", "x"]
    sides = []
    for name, metric in (("x", str(choice.x)), ("y", choice.y[0])):
        part = rows[rows["metric"] == metric].set_index(keys)
        sides.append(pd.DataFrame({f"mean_{name}": part["mean"], f"half_{name}": part["high"] - part["mean"]}))
    points = sides[0].join(sides[1]).reset_index().dropna(subset=["mean_x", "mean_y"])
    signs = [-1.0 if is_higher_better(metric) else 1.0 for metric in (str(choice.x), choice.y[0])]
    losses = points[["mean_x", "mean_y"]].to_numpy() * signs
    worse: Any = (losses[None, :] <= losses[:, None]).all(axis=2) & (losses[None, :] < losses[:, None]).any(axis=2)
    return points.assign(is_best=[not any(line) for line in worse])


def is_higher_better(metric: str) -> bool:
    """Tell whether large values of a metric are good; small ones are where nobody says so."""
    return metric in DEFINITIONS and DEFINITIONS[metric].direction == "higher"


def label_axes(axes: Axes, choice: Choice, metric: str, *, is_left: bool, is_bottom: bool) -> None:
    """Write the labels of a panel's axes, those at the edge of the picture only."""
    if choice.kind == "cdf":
        x, y = metric_label(str(choice.x)), "share of requests"
    elif choice.kind == "heat":
        x, y = (dim_label(dim) for dim in (choice.x, choice.y_dim) if isinstance(dim, Dim))
    else:
        x = dim_label(choice.x) if isinstance(choice.x, Dim) else metric_label(choice.x)
        y = metric_label(metric)
    if is_bottom:
        axes.set_xlabel(x)
    if is_left:
        axes.set_ylabel(y)


# --- parts ----------------------------------------------------------------------------------------------------


def _by_series(rows: pd.DataFrame, choice: Choice) -> list[tuple[Any, pd.DataFrame]]:
    values: Sequence[Any] = choice.series.values
    parts = [(value, rows[rows["series"] == value]) for value in values]
    return [(value, part) for value, part in parts if not part.empty]


def _positions(values: pd.Series, dim: Dim) -> np.ndarray:
    if dim.is_number:
        return values.to_numpy(dtype=float)
    return np.array([dim.values.index(value) for value in values], dtype=float)


def _x_ticks(axes: Axes, dim: Dim) -> None:
    """Put ticks at the values that were tried, where they are few and far enough apart."""
    if not dim.is_number:
        name_ticks(axes, dim)
        return
    values = np.array(sorted(dim.values), dtype=float)
    is_log = axes.get_xscale() == "log" and values[0] > 0.0
    places = np.log(values) if is_log else values
    if 1 < values.size <= MOST_TICKS and np.diff(places).min() > 0.1 * (places[-1] - places[0]):
        axes.set_xticks(values, [text_of(float(value)) for value in values])
        if is_log:
            axes.set_xticks([], minor=True)


def _interval(axes: Axes, x: np.ndarray, part: pd.DataFrame, pen: Pen, colour: Any) -> None:
    if pen.intervals == "none" or part["low"].isna().all():
        return
    if pen.intervals == "bars":
        axes.errorbar(x, part["mean"], yerr=_halves(part), fmt="none", ecolor=colour, capsize=2, elinewidth=0.8)
    else:
        axes.fill_between(x, part["low"], part["high"], color=colour, alpha=BAND_ALPHA, linewidth=0)


def _halves(part: pd.DataFrame) -> np.ndarray:
    half: np.ndarray = np.nan_to_num((part["high"] - part["mean"]).to_numpy(dtype=float))
    return half


def _ink() -> Any:
    return mpl.rcParams["axes.edgecolor"]
