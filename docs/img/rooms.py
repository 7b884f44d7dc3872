"""Draw the rooms and the way of one request's tokens through them: `python docs/img/rooms.py` writes rooms.svg."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from html import escape
from pathlib import Path

ROOMS = (
    *("cli", "reproduce", "report", "sweep", "calibrate", "runs"),
    *("config", "metrics", "policies", "world", "traces", "core", "kernel"),
)
"""From the top down: a room imports what stands below it."""

WAY = (
    ("config", "scenario", "YAML, checked"),
    ("runs", "blueprint", "units settled"),
    ("traces", "requests", "laws, digests"),
    ("world", "arrival", "card, session"),
    ("policies", "serve", "who is asked"),
    ("world", "endpoint", "device or server"),
    ("world", "stream", "generated"),
    ("world", "last hop", "delivered"),
    ("world", "bill", "USD, J, segments"),
    ("core", "timelines", "rows, flat"),
    ("runs", "checks", "invariants"),
    ("metrics", "columns", "TTFT, TBT, QoE"),
    ("runs", "results", "Parquet, JSON"),
    ("report", "pictures", "tables, pages"),
)
"""Steps in their order: the room, what it is, and what it adds."""

LEFT, TOP, STEP, BAND = 84, 26, 86, 52
BOX_W, BOX_H = 78, 34
FONT = "DejaVu Sans, sans-serif"
INK, MUTED, PALE, BLUE = "#000000", "#777777", "#DDDDDD", "#0072B2"


def centre(step: int) -> tuple[float, float]:
    """Return the middle of the box of a step."""
    return LEFT + STEP * (step + 0.5), TOP + BAND * (ROOMS.index(WAY[step][0]) + 0.5)


def text(x: float, y: float, words: str, *, size: float = 10, fill: str = INK, anchor: str = "middle") -> str:
    """Return a line of text."""
    return f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" fill="{fill}" text-anchor="{anchor}">{escape(words)}</text>'


def bands(width: float) -> Iterator[str]:
    """Draw a band for each room."""
    for i, room in enumerate(ROOMS):
        y = TOP + BAND * i
        fill = "#F7F7F7" if i % 2 else "#FFFFFF"
        yield f'<rect x="0" y="{y}" width="{width}" height="{BAND}" fill="{fill}" stroke="{PALE}" stroke-width="0.5"/>'
        yield text(10, y + BAND / 2 + 4, room, size=12, anchor="start")


def arrows() -> Iterator[str]:
    """Draw the way from step to step: across, or down or up beside the next box and into it from the side."""
    for step in range(len(WAY) - 1):
        (x0, y0), (x1, y1) = centre(step), centre(step + 1)
        edge = x0 + BOX_W / 2
        points = f"{edge:g},{y0:g} {x1 - BOX_W / 2 - 1:g},{y1:g}"
        if y0 != y1:  # from the middle of the one's top or bottom, then across
            side = BOX_H / 2 if y1 > y0 else -BOX_H / 2
            points = f"{x0:g},{y0 + side:g} {x0:g},{y1:g} {x1 - BOX_W / 2 - 1:g},{y1:g}"
        yield f'<polyline points="{points}" fill="none" stroke="{BLUE}" stroke-width="1.2" marker-end="url(#tip)"/>'


def boxes() -> Iterator[str]:
    """Draw the steps."""
    for step, (_, name, adds) in enumerate(WAY):
        x, y = centre(step)
        place = f'x="{x - BOX_W / 2:g}" y="{y - BOX_H / 2:g}" width="{BOX_W}" height="{BOX_H}"'
        yield f'<rect {place} rx="3" fill="#FFFFFF" stroke="{INK}" stroke-width="0.8"/>'
        yield text(x, y - 3, f"{step + 1} {name}")
        yield text(x, y + 10, adds, size=8, fill=MUTED)


def svg() -> str:
    """Return the picture."""
    width, height = LEFT + STEP * len(WAY) + 8, TOP + BAND * len(ROOMS) + 6
    tip = (
        '<defs><marker id="tip" viewBox="0 0 6 6" refX="5.5" refY="3" markerWidth="5" markerHeight="5" '
        f'orient="auto"><path d="M0,0 L6,3 L0,6 z" fill="{BLUE}"/></marker></defs>'
    )
    title = "The rooms, each importing only what stands below it, and the way of one request through them"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="{FONT}">',
        f"<title>{title}</title>",
        tip,
        f'<rect width="{width}" height="{height}" fill="#FFFFFF"/>',
        text(10, 17, title, size=11, fill=MUTED, anchor="start"),
        *bands(width),
        *arrows(),
        *boxes(),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    target = Path(__file__).with_suffix(".svg")
    target.write_text(svg(), encoding="utf-8")
    sys.stdout.write(f"{target}\n")
