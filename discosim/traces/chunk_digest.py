"""How the tokens of a service's streams come together, as measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from discosim.core.chunk_law import ChunkLaw
from discosim.traces.digest import Card


@dataclass(frozen=True, kw_only=True)
class ChunkDigest:
    """Events at which the tokens of a service's streams reach a client.

    Parameters
    ----------
    name : str
        Name of the digest.
    card : Card
        Origin.
    n : int
        Events behind the tables.
    n_streams : int
        Streams that they are of.
    threshold_s : float
        Tokens less than this apart are one event, seconds, > 0.
    law : ChunkLaw
        Tokens per event, gaps between events over the stream's mean time per token, and how they hang together.
    moments : mapping of str to float
        Figures of the raw streams.
    """

    name: str
    card: Card
    n: int
    n_streams: int
    threshold_s: float
    law: ChunkLaw
    moments: Mapping[str, float]

    def __post_init__(self) -> None:
        if not self.threshold_s > 0:
            raise ValueError("threshold_s must be > 0")
