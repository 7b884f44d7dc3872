"""The last hop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from discosim.core.scenario.outage import Outage
from discosim.core.spec import spec


@dataclass(frozen=True, kw_only=True)
class NoLink:
    """No last hop: the client stands where the latency was measured."""

    kind: Literal["none"] = spec("none", doc="No delay.")


@dataclass(frozen=True, kw_only=True)
class ConstantLink:
    """A fixed round trip."""

    kind: Literal["constant"] = spec("constant", doc="A fixed round trip.")
    rtt_s: float = spec(doc="Round-trip time.", unit="s", ge=0)
    up_share: float = spec(0.5, doc="Share of the round trip spent upwards.", ge=0, le=1)
    tokens_per_packet: int = spec(1, doc="Tokens the server sends together.", ge=1)
    uplink_mbit_per_s: float | None = spec(
        None, doc="Bandwidth for prompts and hand-over payloads; null for infinite.", unit="Mbit/s", gt=0
    )
    outages: tuple[Outage, ...] = spec((), doc="Windows in which nothing passes; messages wait until they end.")


@dataclass(frozen=True, kw_only=True)
class DigestLink:
    """A round trip that wanders as a measured RTT series does."""

    kind: Literal["digest"] = spec("digest", doc="Round trips from a measured digest.")
    digest: str | None = spec(
        None,
        doc="Name of a round-trip digest (`discosim traces list`); either this, `digest_file` or `series`.",
        min_length=1,
    )
    digest_file: str | None = spec(
        None, doc="Own digest (`discosim traces digest-rtt`), relative to the config.", min_length=1, since="0.2"
    )
    series: str | None = spec(
        None,
        doc="Own round trips, relative to the config: what ping printed, RIPE Atlas, M-Lab, a table or a list.",
        min_length=1,
        since="0.2",
    )
    series_format: str = spec("auto", doc="Format of `series`.", since="0.2")
    series_group: str | None = spec(
        None, doc="Which path of `series`, where it holds several.", min_length=1, since="0.2"
    )
    series_unit: Literal["auto", "s", "ms", "us", "ns"] = spec(
        "auto", doc="What the times of `series` are in; auto is what file or format say.", since="0.2"
    )
    series_to: Literal["host", "gateway"] = spec(
        "host",
        doc="Where `series` was measured to: a distant host, so that it holds the wide area, or the first one behind the last hop.",
        since="0.2",
    )
    up_share: float = spec(0.5, doc="Share of the round trip spent upwards (our choice: half).", ge=0, le=1)
    overlap: Literal["remove_floor", "keep"] = spec(
        "remove_floor",
        doc="Where both the TTFT digest and the round trip contain the wide-area path, take the round trip's floor (its p1) out; `keep` counts both.",
    )
    loss: bool = spec(True, doc="Delay lost packets by `retransmit_s` with the measured loss share.")
    retransmit_s: float = spec(
        0.2, doc="Extra delay of a lost packet (our choice: TCP's minimum timeout).", unit="s", ge=0
    )
    tokens_per_packet: int = spec(1, doc="Tokens the server sends together.", ge=1)
    uplink_mbit_per_s: float | None = spec(
        None, doc="Bandwidth for prompts and hand-over payloads; null for infinite.", unit="Mbit/s", gt=0
    )
    outages: tuple[Outage, ...] = spec((), doc="Windows in which nothing passes; messages wait until they end.")


Link = NoLink | ConstantLink | DigestLink
