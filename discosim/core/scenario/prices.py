"""What a server bills, and what a joule is worth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from discosim.core.spec import spec


@dataclass(frozen=True, kw_only=True)
class Prices:
    """What the server bills."""

    prompt_usd_per_mtok: float = spec(doc="Price of a million prompt tokens.", unit="USD", ge=0)
    output_usd_per_mtok: float = spec(doc="Price of a million output tokens.", unit="USD", ge=0)
    source: str = spec("", doc="Where the price is known from; printed with every result.")


@dataclass(frozen=True, kw_only=True)
class Cost:
    """How device energy and server money become one number."""

    exchange_rate_usd_per_j: float = spec(
        doc="Dollars that one joule of device energy is worth to the user.", unit="USD/J", ge=0
    )
    energy_range: Literal["reprice", "run"] = spec(
        "reprice",
        doc="How a run looks at the measured range of assumed energies: price the tokens it has anew, or also run anew "
        "those policies that decide by energy (three replications at each of four ends).",
        since="0.2",
    )
