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
    ttft_prompt_tok_per_s: float | None = spec(
        None,
        doc="Patience by prompt: the target is the larger of ttft_target_s and prompt tokens over this (Andes v2: 5000).",
        unit="tok/s",
        gt=0,
        since="0.2",
    )
    pacer: bool = spec(True, doc="Show tokens at the reader's rate; false shows them on arrival.")
