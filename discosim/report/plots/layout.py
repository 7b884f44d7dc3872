"""Panels and legends of a whole picture, where the user gave no axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

from discosim.report.plots.choice import Choice
from discosim.report.style import COLUMN_IN, PAGE_IN

PT_PER_IN = 72.0
PANEL_SHAPE = 0.72
"""Height of a panel by its width."""
_SAMPLE_EM = 2.0 + 0.8 + 2.0
"""What an entry of a legend takes beside its words: the sample, a gap, and the gap between columns."""


def default_size(n_rows: int, n_columns: int, width_in: float | None = None, *, size: str = "") -> tuple[float, float]:
    """Return width and height of a picture, in inches; one panel is as wide as a column of a paper, more as a page."""
    by_name = {"column": COLUMN_IN, "page": PAGE_IN}
    wide = width_in or by_name.get(size) or (COLUMN_IN if n_columns == 1 else PAGE_IN)
    # one broad panel is lower than one of a column, and rows are no squares
    panel = min(PANEL_SHAPE * wide / n_columns, 2.6)
    return wide, 0.55 + panel * n_rows


def grid_of(figure: Figure, choice: Choice, n_rows: int, n_columns: int) -> np.ndarray:
    """Return axes for all panels of a picture; those of a row share their scale."""
    share_y: Literal["all", "row"] = "all" if choice.kind in ("heat", "cdf") else "row"
    share_x: Literal["all", "none"] = "all" if choice.kind != "pareto" else "none"
    panels: np.ndarray = figure.subplots(n_rows, n_columns, squeeze=False, sharex=share_x, sharey=share_y)
    return panels


def legend_of_figure(figure: Figure, handles: Sequence[Any], labels: Sequence[str]) -> None:
    """Put one legend below all panels, in as many columns as fit."""
    if not handles:
        return
    n = columns_that_fit(labels, figure.get_size_inches()[0])
    figure.legend(handles, labels, loc="outside lower center", ncols=n)


def columns_that_fit(labels: Sequence[str], width_in: float) -> int:
    """Return how many columns of a legend fit into a width, with rows as even as can be."""
    font = FontProperties(size=mpl.rcParams["legend.fontsize"])
    size_pt = font.get_size_in_points()
    widths = [text_width_pt(label, font) + _SAMPLE_EM * size_pt for label in labels]
    most = 1
    for n in range(1, len(labels) + 1):
        # columns are filled one after the other, each as wide as its widest entry
        n_rows = -(-len(labels) // n)
        total = sum(max(widths[i : i + n_rows]) for i in range(0, len(labels), n_rows))
        if total <= PT_PER_IN * width_in:
            most = n
    n_rows = -(-len(labels) // most)
    return -(-len(labels) // n_rows)


def text_width_pt(text: str, font: FontProperties) -> float:
    """Return how wide a text is, in points."""
    if not text.strip():
        return 0.0
    return float(TextPath((0.0, 0.0), text, prop=font, usetex=False).get_extents().width)


def legend_entries(panels: Sequence[Axes], last: str = "") -> tuple[list[Any], list[str]]:
    """Return what the legends of several panels hold, each label once; one comes last."""
    found: dict[str, Any] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    labels = sorted(found, key=lambda label: label == last)
    return [found[label] for label in labels], labels
