"""Names beside points, placed so that nothing overlaps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

_Horizontal = Literal["left", "center", "right"]
_Vertical = Literal["bottom", "top"]
_DIRECTIONS: tuple[tuple[float, float, _Horizontal, _Vertical], ...] = (
    (1, 0.6, "left", "bottom"),
    (1, -0.6, "left", "top"),
    (-1, 0.6, "right", "bottom"),
    (-1, -0.6, "right", "top"),
    (0, 1, "center", "bottom"),
    (0, -1, "center", "top"),
)
_DISTANCES_PT = (6.0, 11.0, 18.0, 28.0, 40.0, 54.0)
_POINT_PT = 4.0


def label_points(
    axes: Axes,
    points: Sequence[tuple[float, float]],
    names: Sequence[str],
    colours: Sequence[str],
    keep_clear: Sequence[Bbox] = (),
) -> list[Annotation]:
    """Write one name beside each point.

    Each name takes the nearest place inside the axes that touches no point, no name placed before it and nothing
    of ``keep_clear`` (boxes in pixels); a thin line joins it to its point where it had to go far. Limits and layout
    of the figure must be final. Where no place is free the last one tried is taken.

    Source: our choice, a greedy search; with the dozen points of a comparison nothing finer is needed.
    """
    radius_px = _POINT_PT * axes.figure.dpi / 72.0
    frame = axes.get_window_extent()
    taken = [*keep_clear, *(_around(axes, point, radius_px) for point in points)]
    placed = []
    for point, name, colour in zip(points, names, colours, strict=True):
        label = axes.annotate(name, point, xytext=(0, 0), textcoords="offset points", fontsize=7, color=colour)
        for distance in _DISTANCES_PT:
            if _has_found_place(label, distance, taken, frame):
                break
        if distance > _DISTANCES_PT[1]:
            _join(axes, point, label, colour)
        taken.append(label.get_window_extent())
        placed.append(label)
    return placed


def _has_found_place(label: Annotation, distance: float, taken: Sequence[Bbox], frame: Bbox) -> bool:
    """Move the label through the directions at one distance; say whether a place was free."""
    for dx, dy, horizontal, vertical in _DIRECTIONS:
        label.set_position((dx * distance, dy * distance))
        label.set_horizontalalignment(horizontal)
        label.set_verticalalignment(vertical)
        box = label.get_window_extent()
        inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
        if inside and not any(box.overlaps(other) for other in taken):
            return True
    return False


def _join(axes: Axes, point: tuple[float, float], label: Annotation, colour: str) -> None:
    """Draw a thin line from a far label to its point."""
    line = {"arrowstyle": "-", "color": colour, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 3}
    axes.annotate("", point, xytext=label.get_position(), textcoords="offset points", arrowprops=line)


def _around(axes: Axes, point: tuple[float, float], radius_px: float) -> Bbox:
    x, y = axes.transData.transform(point)
    return Bbox.from_extents(x - radius_px, y - radius_px, x + radius_px, y + radius_px)
