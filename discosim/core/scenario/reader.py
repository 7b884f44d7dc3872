"""The person in front of the screen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from discosim.core.spec import spec


@dataclass(frozen=True, kw_only=True)
class Reader:
    """The person in front of the screen."""

    tok_per_s: float | Literal["reading", "listening"] = spec(
        4.8,
        doc="Consumption rate, or a published table of rates by age group (reading) or language (listening).",
        unit="tok/s",
        gt=0,
    )
    ttft_target_s: float = spec(1.0, doc="TTFT the reader expects; used by the Andes QoE.", unit="s", ge=0)
    pacer: bool = spec(True, doc="Show tokens at the reader's rate; false shows them on arrival.")
