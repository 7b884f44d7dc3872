"""The past that policies learn from, drawn once for runs that differ in nothing it depends on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import simpy
from numpy.typing import NDArray

from discosim.core.rng import RandomStreams
from discosim.core.scenario import DigestLengths, FileLengths, GeneratedWorkload, Workload
from discosim.traces.catalogue import digest_sha256
from discosim.traces.history import Past
from discosim.world.api_server import ApiServer, ApiServerModel
from discosim.world.link import Link as LinkTape
from discosim.world.link import LinkModel
from discosim.world.luck import Luck

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

HISTORY_SPAN_S = 1e6


@dataclass(frozen=True, eq=False)
class DrawnPast:
    """Lengths of past requests, and what clients of a replayed service saw; the arrays may only be read.

    Parameters
    ----------
    prompt_tok, output_tok : array of int, shape (n,)
        Lengths, >= 1.
    ttft_s : array of float, shape (n,), or None
        TTFT of each; None where the service feels its load, so that its past has to be lived through.
    """

    prompt_tok: Ints
    output_tok: Ints
    ttft_s: Floats | None


def draw_past(past: Past, server: ApiServerModel | None, link: LinkModel, n: int) -> DrawnPast:
    """Draw ``n`` requests of the past, and TTFTs of the service outside its outages.

    The runs of a sweep mostly share it, and drawing costs more than a small run. A past of a file of the user's
    own or of a trace is drawn anew each time.

    Parameters
    ----------
    past : Past
        Requests, and the luck of the past.
    server : ApiServerModel or None
        The service; None for no TTFTs.
    link : LinkModel
        The last hop.
    n : int
        Number of requests.
    """
    lengths = past.workload.lengths if isinstance(past.workload, GeneratedWorkload) else None
    if lengths is None or isinstance(lengths, FileLengths):
        return _draw(past, server, link, n)
    content = digest_sha256(lengths.digest) if isinstance(lengths, DigestLengths) else ""
    return _drawn_once(_Laws(past.workload), past.streams.seed, past.streams.replication, server, link, n, content)


@dataclass(frozen=True)
class _Laws:
    """A workload, of which only what decides lengths is compared."""

    workload: Workload

    def _key(self) -> tuple[object, ...]:
        held = self.workload
        assert isinstance(held, GeneratedWorkload)
        return held.lengths, held.max_prompt_tok, held.max_output_tok, held.over_limit

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Laws) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())


@lru_cache(maxsize=16)
def _drawn_once(
    laws: _Laws,
    seed: int,
    replication: int,
    server: ApiServerModel | None,
    link: LinkModel,
    n: int,
    content: str,  # noqa: ARG001 - the digest of lengths, part of the key
) -> DrawnPast:
    return _draw(Past.of(laws.workload, RandomStreams(seed, replication)), server, link, n)


def _draw(past: Past, server: ApiServerModel | None, link: LinkModel, n: int) -> DrawnPast:
    prompt_tok, output_tok = past.lengths(n)
    ttft_s = None if server is None else _ttfts(server, link, prompt_tok, output_tok, past.streams)
    for column in (prompt_tok, output_tok, ttft_s):
        if column is not None:
            column.flags.writeable = False
    return DrawnPast(prompt_tok, output_tok, ttft_s)


def _ttfts(
    server: ApiServerModel, link: LinkModel, prompt_tok: Ints, output_tok: Ints, streams: RandomStreams
) -> Floats:
    """Return what clients of a replayed service have seen, outages aside."""
    n = prompt_tok.size
    calm = LinkTape(replace(link, outages=()), 1, streams)
    past = ApiServer(simpy.Environment(), replace(server, outages=()), calm, Luck(streams, n))
    sent_s = streams.generator("history.times").random(n) * HISTORY_SPAN_S
    return past.true_ttft_s(sent_s, np.zeros(n, dtype=np.int64), prompt_tok, output_tok)
