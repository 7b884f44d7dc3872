"""The lanes above a request's timeline: who was waited for, who decoded, whose work was thrown away, and cancels."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from discosim.report.figures.timeline_work import wasted
from discosim.report.style import ENDPOINT_COLOURS, LATE_COLOUR, MUTED, PALE, role_of

LANES = {"server": 0, "device": 1}
EDGE_LANES = {"edge": -1, **LANES}
BAR = 0.55
WAITING: dict[str, Any] = {"facecolor": "white", "hatch": "//////", "linewidth": 0.6}
THROWN: dict[str, Any] = {"hatch": "xxxxxx", "linewidth": 0.6}
TINT = 0.3
CANCEL: dict[str, Any] = {"marker": "X", "markersize": 4.5, "color": "black", "markeredgecolor": "white"}


def segments(rows: pd.DataFrame) -> list[pd.DataFrame]:
    """Return the runs of tokens of one endpoint."""
    return [part for _, part in rows.groupby(rows["is_handed_over"].cumsum())]


def draw_lanes(axes: Axes, rows: pd.DataFrame, lanes: Mapping[str, int]) -> None:
    """Draw when each endpoint was being waited for, when it decoded, and until when it worked for nothing."""
    axes.set_ylim(min(lanes.values()) - 0.6, 1.6)
    axes.set_yticks(list(lanes.values()), list(lanes))
    axes.tick_params(axis="x", labelbottom=False, length=0)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.spines[["left", "bottom"]].set_visible(False)
    asked_s = 0.0
    first_role, parts = "", segments(rows) if rows["token_index"].iloc[0] > 0 else []
    for part in parts:
        endpoint = str(part["endpoint"].iloc[0])
        start, end = part["generated_s"].iloc[0], part["generated_s"].max()  # parts are written side by side
        role = role_of(endpoint)
        first_role = first_role or role
        lane, colour = lanes[role], ENDPOINT_COLOURS[role]
        axes.barh(lane, start - asked_s, left=asked_s, height=BAR, edgecolor=colour, **WAITING)
        axes.barh(lane, end - start, left=start, height=BAR, color=colour, linewidth=0)
        # the next endpoint is asked for the rest once this token is at the client
        asked_s = part["delivered_s"].iloc[-1]
    _draw_left_over(axes, rows, parts, lanes)
    _draw_losers(axes, rows, parts, lanes, first_role)


def _draw_losers(
    axes: Axes, rows: pd.DataFrame, parts: list[pd.DataFrame], lanes: Mapping[str, int], first_role: str
) -> None:
    """Draw the work of those who were asked beside the first to speak, up to the cancel that its first token brings."""
    spoke = {role_of(str(part["endpoint"].iloc[0])) for part in parts}
    for role in ("server", "device"):
        if not rows[f"is_{role}_dispatched"].iloc[0] or role == first_role:
            continue
        prefill_tok, tok = wasted(rows, role)
        if parts and (prefill_tok or (tok and role not in spoke)):
            cancelled_s = float(rows["delivered_s"].iloc[0])
            axes.barh(lanes[role], cancelled_s, height=BAR, **_thrown(ENDPOINT_COLOURS[role]))
            axes.plot(cancelled_s, lanes[role], linewidth=0, zorder=4, **CANCEL)
        elif role not in spoke:
            axes.text(0.0, lanes[role], " asked, nothing of it shown", fontsize=6, color=MUTED, va="center")


def _draw_left_over(axes: Axes, rows: pd.DataFrame, parts: list[pd.DataFrame], lanes: Mapping[str, int]) -> None:
    """Draw tokens that an endpoint made after the last one shown, until the cancel of a hand-over had reached it.

    When they were made is not kept; they are drawn at the pace of those before.
    """
    for part, after in pairwise(parts):
        role = role_of(str(part["endpoint"].iloc[0]))
        _, tok = wasted(rows, role)
        is_only_one = sum(role_of(str(other["endpoint"].iloc[0])) == role for other in parts) == 1
        end = part["generated_s"].max()
        pace_s = (end - part["generated_s"].iloc[0]) / max(1, len(part) - 1)
        if not (tok and is_only_one and role != role_of(str(after["endpoint"].iloc[0]))):
            continue
        axes.barh(lanes[role], tok * pace_s, left=end, height=BAR, **_thrown(ENDPOINT_COLOURS[role]))
        axes.plot(end + tok * pace_s, lanes[role], linewidth=0, zorder=4, **CANCEL)


def _thrown(colour: str) -> dict[str, Any]:
    return {"facecolor": to_rgba(colour, TINT), "edgecolor": colour, **THROWN}


def timeline_legend(lanes: Mapping[str, int], *, has_thrown: bool) -> list[Artist]:
    """Return what the marks of a timeline mean."""
    colours = ENDPOINT_COLOURS
    return [
        Line2D([], [], color=colours["device"], linewidth=4, label="decoded by the device"),
        Line2D([], [], color=colours["server"], linewidth=4, label="decoded by the server"),
        *([Line2D([], [], color=colours["edge"], linewidth=4, label="decoded at the edge")] if "edge" in lanes else []),
        Patch(edgecolor=MUTED, label="until its first token (wait, prefill)", **WAITING),
        *([Patch(label="asked, work thrown away", **_thrown(MUTED))] if has_thrown else []),
        *([Line2D([], [], linewidth=0, label="cancelled", **CANCEL)] if has_thrown else []),
        Line2D([], [], color="black", linestyle=(0, (1, 1.5)), linewidth=0.9, label="hand-over asked for"),
        Line2D([], [], color="black", linewidth=0.9, label="on screen"),
        Patch(facecolor=PALE, label="buffered: arrived, not yet shown"),
        Line2D([], [], color=MUTED, linestyle=(0, (4, 2)), linewidth=0.9, label="what the reader expects"),
        Line2D([], [], color=LATE_COLOUR, linewidth=0, marker="x", markersize=3.5, label="late token"),
    ]
