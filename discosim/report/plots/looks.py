"""How series of a paper's picture are told apart: by colour, by marker and by the kind of line, each on its own."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl

from discosim.report.style import PALETTE

COLOURS: tuple[str, ...] = (*PALETTE, "#99CC77", "#2233AA", "#883300", "#554466", "#334433")
"""Twelve. The house's seven, and five found by a search: no two are nearer than 17 in CIE L*a*b*, be it to normal eyes,
protanopes or deuteranopes (Machado 2009), and none is lighter than L* = 80, so that lines stand out on white.
Source: our choice."""

MARKERS: tuple[str, ...] = ("o", "s", "^", "D", "v", "P", "X", "<", "*", ">", "p", "h")
LINES: tuple[Any, ...] = (
    "-",
    (0, (5, 1.5)),
    (0, (1.2, 1.2)),
    (0, (5, 1.5, 1.2, 1.5)),
    (0, (8, 2)),
    (0, (3, 1, 1, 1, 1, 1)),
    (0, (10, 1.5, 3, 1.5)),
)
HATCHES: tuple[str, ...] = (
    "",
    "////",
    "....",
    "\\\\\\\\",
    "xxxx",
    "----",
    "||||",
    "++++",
    "oo",
    "//..",
    "\\\\..",
    "**",
)


def look(i: int) -> dict[str, Any]:
    """Return colour, line style and marker of the i-th series (from 0); markers and lines alone tell 84 apart.

    A cycle of colours that the user has set (``axes.prop_cycle``) takes the place of ours, and so do its line styles
    and markers where it has them.
    """
    colours: list[Any] = list(COLOURS)
    own: dict[str, Any] = {}
    cycle = mpl.rcParams["axes.prop_cycle"]
    if cycle != mpl.rcParamsDefault["axes.prop_cycle"]:
        steps = list(cycle)
        colours = [step["color"] for step in steps if "color" in step] or colours
        own = {name: value for name, value in steps[i % len(steps)].items() if name in ("linestyle", "marker")}
    plain = {"linestyle": LINES[i % len(LINES)], "marker": MARKERS[i % len(MARKERS)]}
    return {"color": colours[i % len(colours)], **plain, **own}


def hatch(i: int) -> str:
    """Return the hatch of the i-th series' bars; the first has none."""
    return HATCHES[i % len(HATCHES)]
