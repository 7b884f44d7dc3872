"""Boxes between device and server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from discosim.core.spec import spec


@dataclass(frozen=True, kw_only=True)
class LanLink:
    """A local network between client and box."""

    kind: Literal["lan"] = spec("lan", doc="A local network.")
    rtt_s: float = spec(0.002, doc="Round-trip time (our assumption).", unit="s", ge=0)
    mbit_per_s: float | None = spec(
        None, doc="Bandwidth for prompts and sketches; null for infinite.", unit="Mbit/s", gt=0
    )


@dataclass(frozen=True, kw_only=True)
class LastHopLink:
    """The boxes stand behind the same last hop as the server."""

    kind: Literal["last_hop"] = spec("last_hop", doc="The scenario's last hop.")


EdgeLink = LanLink | LastHopLink


@dataclass(frozen=True, kw_only=True)
class EdgePrices:
    """What the edge tier bills."""

    prompt_usd_per_mtok: float = spec(0.0, doc="Price of a million prompt tokens.", unit="USD", ge=0)
    output_usd_per_mtok: float = spec(0.0, doc="Price of a million output tokens.", unit="USD", ge=0)
    source: str = spec("", doc="Where the price is known from; printed with every result.")


@dataclass(frozen=True, kw_only=True)
class EdgeTier:
    """Boxes with small models that decode in batches, alone or as a pool."""

    profile: str = spec(
        doc="Device profile of a box (`discosim traces list`): prefill, decode rate of one sequence, energy.",
        min_length=1,
    )
    sharing: Literal["pooled", "own"] = spec(
        "pooled", doc="One pool of `n_boxes` for everybody, or a box for each user."
    )
    n_boxes: int = spec(1, doc="Boxes of the pool.", ge=1)
    slots: int = spec(4, doc="Most sequences a box decodes at a time (our assumption).", ge=1)
    decode_tok_per_s: float | None = spec(None, doc="Replace the profile's decode rate.", unit="tok/s", gt=0)
    batch_slowdown: float = spec(
        0.1, doc="What each further sequence adds to the token time, as a share of it (our assumption).", ge=0
    )
    prefill_s_per_tok: float | None = spec(
        None, doc="Replace the profile's prefill time per token.", unit="s/tok", ge=0
    )
    memory_tok: int = spec(16384, doc="KV memory of a box (our assumption).", unit="tok", ge=1)
    age_limit_s: float = spec(
        30.0, doc="A list whose oldest sequence has waited longer is served next (our assumption).", unit="s", ge=0
    )
    link: EdgeLink = spec(LanLink, doc="The way between client and box.", discriminator="kind")
    prices: EdgePrices = spec(EdgePrices, doc="Prices.")
