"""How figures look, and how they are saved so that the same data give the same bytes."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import IO, Any
from warnings import catch_warnings, filterwarnings

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.style import context

from discosim.core.files import replace_all

COLUMN_IN, PAGE_IN = 3.33, 7.0
"""Widths of one column and of a whole page of a two-column paper."""

PALETTE: tuple[str, ...] = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
"""Okabe and Ito's colours, told apart by colour-blind readers; without their yellow, which is lost on white."""

LINE_STYLES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (5, 1.5, 1.2, 1.5)), (0, (8, 2)))
MARKERS: tuple[str, ...] = ("o", "s", "^", "D", "v", "P", "X")

ENDPOINT_COLOURS = {"device": "#E69F00", "server": "#0072B2", "edge": "#009E73"}
"""By role, which `role_of` tells of an endpoint's name."""

LATE_COLOUR = "#D55E00"
MUTED, PALE = "#777777", "#DDDDDD"
PLACE_DIGITS = 9
"""To which places of panels are rounded, as shares of the figure: a millionth of a pixel."""

STYLE: dict[str, Any] = {
    "figure.dpi": 200,
    "savefig.dpi": 200,
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.4,
    "lines.markersize": 5,
    "hatch.linewidth": 0.6,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "figure.titlesize": 9,
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "discosim",
}

_ONE_AT_A_TIME = RLock()

_NO_METADATA: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "svg": {"Date": None, "Creator": None},
}


class Picture(Figure):
    """A figure that a notebook shows by itself; made without pyplot, so that no global state keeps it alive."""

    def _repr_png_(self) -> bytes:
        """Return the picture as notebooks ask for it."""
        buffer = io.BytesIO()
        with house_style():
            self.savefig(buffer, format="png")
        return buffer.getvalue()


def role_of(endpoint: str) -> str:
    """Return the role of an endpoint: device and edge have one name each, and all others are services."""
    return endpoint if endpoint in ENDPOINT_COLOURS else "server"


@contextmanager
def house_style() -> Iterator[None]:
    """Apply the style inside a ``with`` block, whatever the user's own matplotlib settings are.

    A character that the font lacks is drawn as a box, without a word about it for each. Threads draw one after the
    other: settings of matplotlib and filters of warnings are those of the process.
    """
    with _ONE_AT_A_TIME, context(["default", STYLE]), catch_warnings():
        filterwarnings("ignore", message="Glyph .* missing", category=UserWarning)
        yield


def look(i: int) -> dict[str, Any]:
    """Return colour and line style of the i-th policy (from 0); no two of the first 35 are alike."""
    n = len(PALETTE)
    return {"color": PALETTE[i % n], "linestyle": LINE_STYLES[(i + i // n) % len(LINE_STYLES)]}


def marker(i: int) -> str:
    """Return the marker of the i-th policy (from 0)."""
    return MARKERS[(i + i // len(PALETTE)) % len(MARKERS)]


def legend_columns(labels: Sequence[str], width: int = 120) -> int:
    """Return how many columns of a legend fit on a page, with rows as even as can be.

    ``width`` counts characters, a sample takes twelve.
    """
    most = max(1, min(len(labels), width // (12 + max(map(len, labels), default=0))))
    n_rows = -(-len(labels) // most)
    return -(-len(labels) // max(1, n_rows))


def legend_below(figure: Figure, axes: Axes, n_columns: int | None = None) -> None:
    """Put the legend of one panel, which speaks for all, below the figure; as many columns as fit where not given."""
    handles, labels = axes.get_legend_handles_labels()
    n_columns = legend_columns(labels) if n_columns is None else n_columns
    figure.legend(handles, labels, loc="outside lower center", ncols=n_columns)


def save(figure: Figure, path_without_suffix: Path, formats: Sequence[str] = ("png",)) -> list[Path]:
    """Write a figure, each file whole or not at all, and return the paths of its files.

    Parameters
    ----------
    figure : Figure
        What to save.
    path_without_suffix : Path
        Where; the folder must exist.
    formats : sequence of str
        Any of ``png``, ``pdf`` and ``svg``. The files hold neither dates nor versions, so equal figures give
        equal bytes on one installation of matplotlib.
    """
    contents = {}
    for suffix in formats:
        buffer = io.BytesIO()
        with house_style():
            if suffix == "png" and figure.dpi == STYLE["savefig.dpi"]:
                _draw_once(figure, buffer)
            else:
                figure.savefig(buffer, format=suffix, metadata=_NO_METADATA[suffix])
        contents[path_without_suffix.with_name(f"{path_without_suffix.name}.{suffix}")] = buffer.getvalue()
    replace_all(contents)
    return list(contents)


def _draw_once(figure: Figure, buffer: IO[bytes]) -> None:
    """Do what ``figure.savefig`` does with a PNG, without drawing it into nothing first to lay it out.

    The bytes are the same: a layout engine asks for sizes, not for what was drawn.
    """
    before, engine = figure.canvas, figure.get_layout_engine()
    try:
        lay_out(figure)
        canvas: Any = FigureCanvasAgg(figure)
        canvas.print_png(buffer, metadata=_NO_METADATA["png"])
    finally:
        figure.set_layout_engine(engine)
        figure.set_canvas(before)


def lay_out(figure: Figure) -> None:
    """Put everything in its place; nothing moves by itself any more.

    The solver behind constrained layout goes through its variables by where they lie in memory, so that places differ
    in their last bits from one process to the next, and a few pixels with them: hence they are rounded.
    """
    engine = figure.get_layout_engine()
    if engine is not None:
        if figure.axes:  # constrained layout warns of a figure without any
            engine.execute(figure)
        figure.set_layout_engine("none")
        for axes in figure.axes:
            x, y, width, height = np.round(axes.get_position(original=True).bounds, PLACE_DIGITS).tolist()
            axes.set_position((x, y, width, height))


def message_figure(title: str, message: str) -> Figure:
    """Return a figure that says in words why there is nothing to draw."""
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 1.6), layout="constrained")
        figure.suptitle(title)
        figure.text(0.5, 0.4, message, ha="center", va="center", color=MUTED)
    return figure
