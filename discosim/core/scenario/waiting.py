"""What a phone takes while somebody else works for it."""

from __future__ import annotations

from dataclasses import dataclass

from discosim.core.spec import spec


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """Power of screen and radio while requests are on their way; no figure is measured, so each is yours to defend."""

    screen_w: float = spec(
        0.0,
        doc="What is on while a request has not been answered in full, whoever works on it: the screen.",
        unit="W",
        ge=0,
        le=100,
    )
    wait_w: float = spec(
        doc="What the radio takes above idle while something that was asked for elsewhere has not begun to come, and "
        "in its tail (our bracket, an assumption: 0.3 to 1).",
        unit="W",
        ge=0,
        le=100,
    )
    receive_w: float | None = spec(
        None, doc="The same from the first to the last token that comes; null for wait_w.", unit="W", ge=0, le=100
    )
    tail_s: float = spec(
        0.0,
        doc="How long the radio stays up after that (our bracket, an assumption: some 20).",
        unit="s",
        ge=0,
        le=3600,
    )
