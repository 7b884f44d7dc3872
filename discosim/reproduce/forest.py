"""All claims in one picture: our cells beside the bounds of the paper, each claim on a scale of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from discosim.core.errors import UserError
from discosim.report.style import MUTED, PAGE_IN, Picture, house_style, save
from discosim.reproduce.text import short
from discosim.reproduce.verdict import COUNTED, Verdict

EDGES = (-1.6, 2.6)
"""What is drawn, in widths of the bounds: 0 is the lower one, 1 the upper one. What lies farther off has an arrow."""
ROW_IN = 0.2
SIDES = {"agrees": ("#0072B2", "o"), "disagrees": ("#D55E00", "X"), "unclear": (MUTED, "D")}
BAND = "#CFE3F1"


def forest(verdicts: Sequence[Verdict]) -> Figure:
    """Draw one row per claim that has cells which count.

    Parameters
    ----------
    verdicts : sequence of Verdict
        Claims; those that are not testable here are left out, and their number is said.

    Returns
    -------
    Figure
        A blue band is what the paper's words allow; where one side is open it goes on to the edge.

    Raises
    ------
    UserError
        If no claim has a cell that counts.
    """
    shown = [verdict for verdict in verdicts if verdict.n_counted and not verdict.claim.lacking]
    if not shown:
        raise UserError("none of these claims has a cell that counts: there is nothing to draw", where="--plot")
    with house_style():
        figure = Picture(figsize=(PAGE_IN + 2.0, ROW_IN * len(shown) + 1.1), layout="constrained")
        axes = figure.subplots()
        for row, verdict in enumerate(shown):
            _draw(axes, len(shown) - 1 - row, verdict)
        axes.set_ylim(-0.7, len(shown) - 0.3)
        axes.set_yticks(range(len(shown)), [verdict.claim.id for verdict in reversed(shown)])
        axes.set_xlim(*EDGES)
        axes.set_xticks([0.0, 1.0], ["lower bound", "upper bound"])
        axes.set_xlabel("where our cells lie, on each claim's own scale [widths of the bounds]")
        axes.grid(visible=False)
        axes.tick_params(axis="y", length=0)
        texts = axes.secondary_yaxis("right")
        texts.set_yticks(range(len(shown)), [_words(verdict) for verdict in reversed(shown)])
        texts.tick_params(axis="y", length=0)
        n_out = len(verdicts) - len(shown)
        figure.suptitle(
            f"{len(shown)} claims: means and 95 % intervals over replications, beside what the paper's words allow"
            + (f"; {n_out} not testable here are left out" if n_out else "")
        )
        _legend(figure, axes)
    return figure


def _draw(axes: Axes, y: float, verdict: Verdict) -> None:
    assert verdict.claim.expect is not None
    low, high = verdict.claim.expect.bounds
    cells = [
        (c, s) for c, s in zip(verdict.cells, verdict.sides, strict=True) if s in COUNTED and math.isfinite(c.mean)
    ]
    scale = _scale(low, high, [cell.mean for cell, _ in cells])

    def place(value: float) -> float:
        return (value - low) / scale if math.isfinite(low) else 1.0 + (value - high) / scale

    left = 0.0 if math.isfinite(low) else EDGES[0]
    right = 1.0 if math.isfinite(high) else EDGES[1]
    axes.barh(y, right - left, left=left, height=0.78, color=BAND, linewidth=0)
    for cell, side in cells:
        colour, marker = SIDES[side]
        at = place(cell.mean)
        if not EDGES[0] < at < EDGES[1]:
            edge, marker = (EDGES[1] - 0.05, ">") if at > 0.0 else (EDGES[0] + 0.05, "<")
            axes.plot(edge, y, marker, color=colour, markersize=4, markeredgewidth=0)
            continue
        if math.isfinite(cell.low) and math.isfinite(cell.high):
            ends = [min(max(place(value), EDGES[0]), EDGES[1]) for value in (cell.low, cell.high)]
            axes.plot(ends, [y, y], "-", color=colour, linewidth=0.8, alpha=0.7)
        axes.plot(at, y, marker, color=colour, markersize=3.2, markeredgewidth=0)


def _scale(low: float, high: float, means: Sequence[float]) -> float:
    """Return the width of the bounds; where one is open, so much that all cells have room beside the other."""
    if math.isfinite(low) and math.isfinite(high):
        return high - low
    bound = low if math.isfinite(low) else high
    farthest = max((abs(mean - bound) for mean in means), default=0.0)
    return farthest / 1.4 if farthest > 0.0 else 1.0


def _words(verdict: Verdict) -> str:
    assert verdict.claim.expect is not None
    low, high = verdict.claim.expect.bounds
    unit = "" if verdict.claim.unit in {"", "1"} else f" {verdict.claim.unit}"
    bounds = f"> {short(low)}" if math.isinf(high) else f"< {short(high)}" if math.isinf(low) else ""
    return f"{bounds or f'{short(low)} to {short(high)}'}{unit}: {verdict.text}"


def _legend(figure: Figure, axes: Axes) -> None:
    for side, (colour, marker) in SIDES.items():
        axes.plot([], [], marker, color=colour, markersize=4, markeredgewidth=0, label=f"a cell {side}")
    axes.barh([0], [0], color=BAND, label="what the paper's words allow")
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))


def write_forest(verdicts: Sequence[Verdict], path: Path) -> None:
    """Write the picture; the suffix of ``path`` says in which format.

    Raises
    ------
    UserError
        If the suffix is none of png, pdf and svg.
    """
    suffix = path.suffix.lstrip(".").lower()
    if suffix not in {"png", "pdf", "svg"}:
        raise UserError("expected a name that ends in .png, .pdf or .svg", where=str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    save(forest(verdicts), path.with_suffix(""), (suffix,))
