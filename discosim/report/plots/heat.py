"""Heat maps: a metric over two things that were varied, or which policy is best in each cell."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize, to_rgb
from matplotlib.patches import Patch

from discosim.metrics.labels import factor_of
from discosim.metrics.stats import paired_difference
from discosim.report.plots.cells import kept_rows
from discosim.report.plots.choice import NOTHING, Choice
from discosim.report.plots.looks import look
from discosim.report.plots.panels import Pen, is_higher_better, name_ticks
from discosim.report.plots.source import UNIT, Dim, Source, text_of

MOST_NUMBERS = 120
DIGITS = 3


def draw_heat(axes: Axes, rows: pd.DataFrame, choice: Choice, norm: Normalize) -> ScalarMappable:
    """Draw the mean in each cell, as colour and as a number."""
    grid = _grid(rows, choice, "mean").astype(float)
    image = axes.imshow(grid, norm=norm, aspect="auto", origin="lower")
    _ticks(axes, choice)
    for (i, j), value in np.ndenumerate(grid):
        if np.isnan(value):
            _write(axes, j, i, "n/a", "black")
        elif grid.size <= MOST_NUMBERS:
            _write(axes, j, i, short(float(value)), _readable_on(image.cmap(norm(value))))
    return image


def draw_best(axes: Axes, rows: pd.DataFrame, choice: Choice, pen: Pen) -> None:
    """Draw which series is best in each cell; hatched where another may be as good."""
    places = {value: i for i, value in enumerate(choice.series.values)}
    colours = [look(pen.place(value))["color"] for value in places]
    best, number = _grid(rows, choice, "best"), _grid(rows, choice, "mean").astype(float)
    is_clear = _grid(rows, choice, "is_clear")
    codes = np.array([[places.get(name, np.nan) for name in line] for line in best], dtype=float)
    norm = Normalize(-0.5, len(places) - 0.5)
    axes.imshow(codes, cmap=ListedColormap(colours), norm=norm, aspect="auto", origin="lower")
    _ticks(axes, choice)
    for (i, j), value in np.ndenumerate(number):
        if np.isnan(value):
            _write(axes, j, i, "n/a", "black")
            continue
        ink = _readable_on(colours[places[best[i, j]]])
        if not is_clear[i, j]:
            cell: dict[str, Any] = {
                "facecolor": "none",
                "edgecolor": ink,
                "hatch": "///",
                "linewidth": 0.0,
                "alpha": 0.5,
            }
            axes.add_patch(mpl.patches.Rectangle((j - 0.5, i - 0.5), 1, 1, **cell))
        if number.size <= MOST_NUMBERS:
            _write(axes, j, i, short(float(value)), ink, colours[places[best[i, j]]])


def best_legend(table: pd.DataFrame, choice: Choice, pen: Pen) -> list[Patch]:
    """Return the legend of `draw_best`: who is best anywhere, and what hatches mean."""
    there = [value for value in choice.series.values if (table["best"] == value).any()]
    handles = [Patch(facecolor=look(pen.place(value))["color"], label=text_of(value)) for value in there]
    if not table["is_clear"].all():
        label = "another may be as good"
        handles.append(Patch(facecolor="white", edgecolor="black", hatch="////", linewidth=0.0, label=label))
    return handles


def best_of(source: Source, choice: Choice) -> pd.DataFrame:
    """Find the best series of each cell.

    Returns
    -------
    DataFrame
        One row per cell: ``row, column, x, y``, ``best``, its ``mean``, the ``second`` best, ``gain``, the paired
        difference of the two in favour of the best with its half-width ``half``, ``n`` replications, and ``is_clear``:
        whether the 95 % intervals of its paired differences to every other one lie on its side.
    """
    assert isinstance(choice.x, Dim)
    dims = {"row": choice.rows, "column": choice.columns, "x": choice.x, "y": choice.y_dim}
    by = [dim.name for dim in dims.values() if dim is not NOTHING]
    rows, series = kept_rows(source.rows, choice), choice.series.name
    units = rows.groupby([*by, series, UNIT], sort=False, observed=True)[choice.z].mean().reset_index()
    sign = -1.0 if is_higher_better(choice.z) else 1.0
    found = []
    for key, part in units.groupby(by, sort=False, observed=True):
        place = dict(zip(by, key if isinstance(key, tuple) else (key,), strict=True))
        where = {name: place.get(dim.name, "") for name, dim in dims.items()}
        wide = factor_of(choice.z) * part.set_index([UNIT, series])[choice.z].unstack()  # noqa: PD010 - nothing is to be averaged
        ranked = (sign * wide.mean()).dropna().sort_values(kind="stable").index.tolist()
        if not ranked:
            continue
        best, others = ranked[0], ranked[1:]
        gaps = [paired_difference(sign * wide[other], sign * wide[best]) for other in others]
        is_clear = all(gap.mean - gap.half_width > 0.0 for gap in gaps)
        second: dict[str, Any] = {"second": "", "gain": np.nan, "half": np.nan}
        if others:
            second = {"second": others[0], "gain": gaps[0].mean, "half": gaps[0].half_width}
        numbers = {"mean": float(wide[best].mean()), "n": int(wide[best].notna().sum())}
        found.append({**where, "best": best, **numbers, **second, "is_clear": is_clear})
    return pd.DataFrame(found)


def short(value: float) -> str:
    """Return a number of about three digits.

    Examples
    --------
    >>> short(0.01234), short(4.7), short(1234.5), short(0.0)
    ('0.0123', '4.70', '1,234', '0')
    """
    if value == 0.0 or not np.isfinite(value):
        return f"{value:g}"
    decimals = max(0, DIGITS - 1 - int(np.floor(np.log10(abs(value)))))
    return f"{value:,.{min(decimals, 6)}f}"


def _grid(rows: pd.DataFrame, choice: Choice, column: str) -> np.ndarray:
    assert isinstance(choice.x, Dim)
    wide = rows.set_index(["y", "x"])[column].unstack()  # noqa: PD010 - nothing is to be averaged
    return wide.reindex(index=list(choice.y_dim.values), columns=list(choice.x.values)).to_numpy()


def _ticks(axes: Axes, choice: Choice) -> None:
    assert isinstance(choice.x, Dim)
    name_ticks(axes, choice.x)
    axes.set_yticks(range(len(choice.y_dim.values)), [text_of(value) for value in choice.y_dim.values])
    axes.grid(visible=False)
    axes.tick_params(length=0)


def _write(axes: Axes, x: float, y: float, text: str, ink: str, ground: Any = None) -> None:
    box = None if ground is None else {"facecolor": ground, "edgecolor": "none", "pad": 1.0}
    axes.text(x, y, text, ha="center", va="center", color=ink, fontsize="small", bbox=box)


def _readable_on(colour: Any) -> str:
    red, green, blue = to_rgb(colour)
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.55 else "white"
