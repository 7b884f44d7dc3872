"""How policies and endpoints look in the charts: the colours, dashes and markers of the pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from discosim.report.style import PALETTE, look, marker

DASH_PX = 1.6
"""Pixels per unit of a dash pattern."""


def policy_looks(names: Sequence[str], baseline: str = "") -> list[dict[str, Any]]:
    """Return name, colour (a place in the palette), dashes and marker of every policy, in their order.

    The palette itself stands in ``report.css``, where it has a light and a dark form.
    """
    return [
        {
            "name": name,
            "colour": i % len(PALETTE),
            "dash": _dashes(look(i)["linestyle"]),
            "marker": marker(i),
            "isBaseline": name == baseline,
        }
        for i, name in enumerate(names)
    ]


def _dashes(style: Any) -> str:
    """Return the dash pattern of a line style in pixels; empty for a solid line."""
    return "" if isinstance(style, str) else " ".join(f"{DASH_PX * length:g}" for length in style[1])
