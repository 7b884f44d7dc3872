"""The Python twin of `discosim plot`: takes and returns matplotlib's axes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes

from discosim.core.errors import UserError
from discosim.core.files import write_whole
from discosim.report.plots.choice import Asked
from discosim.report.plots.draw import draw_plan
from discosim.report.plots.latex import latex_table
from discosim.report.plots.layout import grid_of
from discosim.report.plots.plan import Plan, plan_of
from discosim.report.plots.save import ending_of, picture_bytes

if TYPE_CHECKING:
    from discosim.report.plots.source import Given


def plot(
    source: Given,
    y: str | Sequence[str] = "",
    *,
    x: str = "",
    z: str = "",
    kind: str = "",
    facet: str | Sequence[str] = (),
    series: str = "",
    policies: Sequence[str] | None = None,
    where: Mapping[str, Any] | None = None,
    average: str | Sequence[str] = (),
    best: bool = False,
    intervals: str = "",
    luck: bool = False,
    log: str = "",
    legend: bool = True,
    x_label: str = "",
    y_label: str = "",
    ax: Axes | Sequence[Axes] | np.ndarray | None = None,
    to: str | os.PathLike[str] | None = None,
) -> Any:
    """Draw results into matplotlib axes, under whatever settings (``rcParams``, styles) the user has.

    Parameters
    ----------
    source : path, RunResult, SweepResult or DataFrame
        Folder of a run or a sweep, a result, or a table with a row per policy and replication.
    y, x : str
        What lies along the axes: names of metrics (docs/metrics.md), or of what was varied: a key of the scenario, its
        last word, or any word of it (``budget``, ``server``); ``policy``. Several metrics for ``y`` are rows of panels.
    z : str
        The metric of a heat map over ``x`` and ``y``.
    kind : str
        ``lines``, ``bars``, ``cdf``, ``pareto`` or ``heat``. By default lines where ``x`` is a number that was varied,
        bars where it is not, a CDF where it is a column of requests, a Pareto front where it is a metric, a heat map
        with ``z``.
    facet : str or sequence of str
        What differs from column to column of panels, then from row to row.
    series : str
        What differs from line to line (default: the policy).
    policies : sequence of str, optional
        Which, in which order; all by default. Colours do not depend on it.
    where : mapping, optional
        Name -> value or list of values that stay.
    average : str or sequence of str
        What each replication is averaged over.
    best : bool
        Of a heat map: which policy is best in each cell, and whether that is clear.
    intervals : str
        ``band``, ``bars`` or ``none``.
    luck : bool
        Whether intervals are by luck alone, where those of a folder or a result take few rows behind its inputs into
        account by default.
    log : str
        ``x``, ``y`` or ``xy``.
    legend : bool
        Whether to draw one, where there are several series.
    x_label, y_label : str
        In place of the words of the registry.
    ax : Axes, or as many as there are panels, optional
        Where to draw; a new figure of ``pyplot`` where omitted.
    to : path, optional
        File to write too: pdf, svg, png, or tex for the table. PDF, SVG and PNG hold no dates.

    Returns
    -------
    Axes or array of Axes
        One, or rows and columns of panels.

    Raises
    ------
    UserError
        For names that are not there (with the nearest that are), and for what cannot be drawn.
    """
    asked = Asked(
        x=x, y=_names(y), z=z, kind=kind, facet=_names(facet), series=series,
        policies=None if policies is None else _names(policies), where=where or {}, average=_names(average), best=best,
    )  # fmt: skip
    target = None if to is None else Path(to)
    ending = "" if target is None else ending_of(target)
    plan = plan_of(source, asked, intervals, luck=luck)
    panels = _panels(plan, ax)
    draw_plan(plan, panels, log=log, legend=_legend(legend, ax), x_label=x_label, y_label=y_label)
    if target is not None:
        content = latex_table(plan) if ending == "tex" else picture_bytes(panels[0, 0].figure, ending, plan.caption)
        write_whole(target, content)
    return panels[0, 0] if panels.size == 1 else panels


def _names(given: str | Sequence[str]) -> tuple[str, ...]:
    return ((given,) if given else ()) if isinstance(given, str) else tuple(given)


def _legend(legend: bool, ax: Any) -> str:
    if not legend:
        return "none"
    return "figure" if ax is None else "axes"


def _panels(plan: Plan, ax: Any) -> np.ndarray:
    n_rows, n_columns = plan.shape
    if ax is None:
        from matplotlib import pyplot as plt  # the user's figures are pyplot's: notebooks show them, plt.savefig works

        # the layout is ours where the user has none, as the legend lies outside the panels
        figure = plt.figure(layout=None if _has_layout() else "constrained")
        return grid_of(figure, plan.choice, n_rows, n_columns)
    given = np.array(ax, dtype=object).reshape(-1)
    if given.size != n_rows * n_columns:
        raise UserError(f"the picture has {n_rows} x {n_columns} panels, and {given.size} axes were given", where="ax")
    return given.reshape(n_rows, n_columns)


def _has_layout() -> bool:
    import matplotlib as mpl

    return bool(mpl.rcParams["figure.constrained_layout.use"] or mpl.rcParams["figure.autolayout"])
