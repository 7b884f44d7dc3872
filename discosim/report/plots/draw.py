"""A planned picture, drawn into axes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from discosim.core.errors import UserError, close_match
from discosim.metrics.labels import metric_label
from discosim.report.plots.choice import NOTHING
from discosim.report.plots.heat import best_legend, draw_best, draw_heat
from discosim.report.plots.layout import legend_entries, legend_of_figure
from discosim.report.plots.panels import (
    FRONT,
    Pen,
    draw_bars,
    draw_cdf,
    draw_lines,
    draw_pareto,
    label_axes,
    set_logarithmic,
)
from discosim.report.plots.plan import Plan
from discosim.report.plots.source import Source, text_of

LOGS = ("x", "y", "xy")
_DRAW = {"lines": draw_lines, "bars": draw_bars, "cdf": draw_cdf, "pareto": draw_pareto}


def draw_plan(
    plan: Plan, panels: np.ndarray, *, log: str = "", legend: str = "figure", x_label: str = "", y_label: str = ""
) -> None:
    """Draw a picture into axes, an array of the plan's shape.

    Parameters
    ----------
    plan : Plan
        What to draw.
    panels : array of Axes
        Where, rows and columns of panels.
    log : str
        ``x``, ``y`` or ``xy``: axes that are logarithmic; '' leaves them as they are.
    legend : str
        ``figure`` for one below all panels, ``axes`` for one in the first panel, ``none``.
    x_label, y_label : str
        In place of the labels in words; '' keeps those.
    """
    if log and log not in LOGS:
        raise UserError(f"unknown '{log}'; {close_match(log, LOGS)}", where="--log")
    if log and plan.choice.kind == "heat":
        raise UserError("has no meaning for a heat map", where="--log")
    drawing = _Drawing(plan, log)
    for (r, c), axes in np.ndenumerate(panels):
        drawing.panel(axes, r, c)
        is_left, is_bottom = c == 0, r == panels.shape[0] - 1
        label_axes(axes, plan.choice, drawing.metric(r), is_left=is_left, is_bottom=is_bottom)
        if x_label and is_bottom:
            axes.set_xlabel(x_label)
        if y_label and is_left:
            axes.set_ylabel(y_label)
    figure = panels[0, 0].figure.get_figure(root=True)
    assert isinstance(figure, Figure)
    if drawing.image is not None:
        figure.colorbar(drawing.image, ax=list(panels.flat), label=metric_label(plan.choice.z))
    if legend == "none":
        return
    handles, labels = drawing.legend(panels)
    if legend == "axes" and handles:
        panels[0, 0].legend(handles, labels)
    elif handles:
        legend_of_figure(figure, handles, labels)


@dataclass
class _Drawing:
    plan: Plan
    log: str
    image: Any = None

    def __post_init__(self) -> None:
        choice, table = self.plan.choice, self.plan.table
        series = choice.series if choice.series is not NOTHING else choice.x
        self.pen = Pen(_places(self.plan.source, series), self.plan.intervals)
        self.norm = _norm(table) if choice.kind == "heat" and not self.plan.is_best else Normalize()

    def metric(self, r: int) -> str:
        """Return the metric along the y of a row of panels."""
        choice = self.plan.choice
        return choice.y[r % len(choice.y)] if choice.y else ""

    def panel(self, axes: Axes, r: int, c: int) -> None:
        """Draw one panel."""
        choice, table = self.plan.choice, self.plan.table
        n_metrics = max(1, len(self.plan.metrics))
        row, column = choice.rows.values[r // n_metrics], choice.columns.values[c]
        rows = table[(table["row"] == row) & (table["column"] == column)]
        if self.plan.metrics:
            rows = rows[rows["metric"] == self.metric(r)]
        set_logarithmic(axes, self.log)
        if self.plan.is_best:
            draw_best(axes, rows, choice, self.pen)
        elif choice.kind == "heat":
            self.image = draw_heat(axes, rows, choice, self.norm)
        else:
            _DRAW[choice.kind](axes, rows, choice, self.pen)
        names = [text_of(v) for v, dim in ((column, choice.columns), (row, choice.rows)) if dim is not NOTHING]
        if names and r % n_metrics == 0:
            axes.set_title("\n".join(names), fontsize="medium")

    def legend(self, panels: np.ndarray) -> tuple[list[Any], list[str]]:
        """Return what the legend holds; nothing where it would say nothing."""
        choice = self.plan.choice
        if self.plan.is_best:
            handles = best_legend(self.plan.table, choice, self.pen)
            return list(handles), [str(handle.get_label()) for handle in handles]
        if choice.kind == "heat" or choice.series is NOTHING:
            return [], []
        found, labels = legend_entries(list(panels.flat), FRONT)
        return (found, labels) if len(labels) > 1 else ([], [])


def _places(source: Source, series: Any) -> dict[Any, int]:
    """Return the place of each value among all that the source has, so that a policy keeps its colour."""
    name = getattr(series, "name", "")
    whole = next((dim for dim in source.dims if dim.name == name), None)
    values: Iterable[Any] = whole.values if whole is not None else getattr(series, "values", ())
    return {value: i for i, value in enumerate(values)}


def _norm(table: pd.DataFrame) -> Normalize:
    known = table["mean"].dropna()
    if known.empty:
        return Normalize(0.0, 1.0)
    low, high = float(known.min()), float(known.max())
    return Normalize(low, high if high > low else low + (abs(low) or 1.0))
