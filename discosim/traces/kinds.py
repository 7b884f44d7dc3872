"""All kinds of digests."""

from __future__ import annotations

from discosim.traces.chunk_digest import ChunkDigest
from discosim.traces.digest import ClientDigest, DeviceDigest, LatencyDigest, RttDigest, WorkloadDigest
from discosim.traces.engine_digest import EngineDigest
from discosim.traces.quality_digest import QualityDigest

Digest = (
    WorkloadDigest
    | ClientDigest
    | LatencyDigest
    | RttDigest
    | DeviceDigest
    | EngineDigest
    | ChunkDigest
    | QualityDigest
)

KINDS: dict[str, type[Digest]] = {
    "workload": WorkloadDigest,
    "clients": ClientDigest,
    "latency": LatencyDigest,
    "rtt": RttDigest,
    "device": DeviceDigest,
    "engine": EngineDigest,
    "chunks": ChunkDigest,
    "quality": QualityDigest,
}
"""Kind of a digest, which is also its folder, to its class."""


def kind_of(digest: Digest) -> str:
    """Return the kind of a digest, one of the keys of `KINDS`."""
    return next(kind for kind, cls in KINDS.items() if isinstance(digest, cls))
