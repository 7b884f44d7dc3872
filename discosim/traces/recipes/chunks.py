"""The part that all digests of chunks share: from the gaps of streams to events, and from events to their law."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from discosim.core.chunk_law import LEAST_NOISE, ChunkLaw
from discosim.core.empirical import CorrelatedSeries, QuantileTable
from discosim.traces.chunk_digest import ChunkDigest
from discosim.traces.digest import Card
from discosim.traces.readers.streams import Arrivals
from discosim.traces.recipes import measure

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
THRESHOLD_S = 1e-3
"""Tokens less than this apart are one event. Source: our choice, between the 0.05 to 0.5 ms in which a client takes the
chunks of one read from its socket and the 10 ms and more of a decode iteration."""

METHOD = (
    "tokens less than {threshold_ms:g} ms after the one before belong to its event, the first of which is its time; "
    "quantile tables of tokens per event and of gaps between events over the stream's mean time per token; latent "
    "correlations that give the Pearson correlations of neighbouring sizes, of neighbouring gaps, of a size with the "
    "gap behind it and of a gap with the size behind it, pooled over streams"
)


@dataclass(frozen=True)
class Events:
    """The events of one stream: tokens of each, and gaps between them over the stream's mean time per token."""

    sizes: Ints
    gaps: Floats


def events_of(stream: Arrivals, threshold_s: float = THRESHOLD_S) -> Events | None:
    """Return the events of a stream; None where all its tokens came in one, so that it has no time per token."""
    begins = np.concatenate(([True], stream.gaps_s >= threshold_s))
    if begins.sum() < 2:
        return None
    at_s = np.concatenate(([0.0], np.cumsum(stream.gaps_s)))[begins]
    each = np.ones(begins.size, dtype=np.int64) if stream.n_tok is None else stream.n_tok
    sizes = np.add.reduceat(each, np.flatnonzero(begins))
    # the last event ends the stream: all tokens but the first took until then
    tpot_s = at_s[-1] / (int(sizes.sum()) - 1)
    return Events(sizes, np.diff(at_s) / tpot_s)


def chunk_digest(
    name: str, card: Card, streams: Sequence[Arrivals], *, threshold_s: float = THRESHOLD_S
) -> ChunkDigest | None:
    """Compute the digest of a service's streams; None where no stream has two events."""
    found = [events for stream in streams if (events := events_of(stream, threshold_s)) is not None]
    if not found:
        return None
    sizes, gaps = [events.sizes for events in found], [events.gaps for events in found]
    size, gap = measure.tabulate(np.concatenate(sizes)), measure.tabulate(np.concatenate(gaps))
    measured = {
        "size_lag1": _neighbours(_pairs(sizes)),
        "gap_lag1": _neighbours(_pairs(gaps)),
        "size_then_gap": _neighbours([(e.sizes[:-1], e.gaps) for e in found]),
        "gap_then_size": _neighbours([(e.gaps, e.sizes[1:]) for e in found]),
    }
    law = _law(size, gap, [held[0] for held in sizes], measured)
    all_gaps_s = np.concatenate([stream.gaps_s for stream in streams])
    tokens = np.concatenate(sizes)
    return ChunkDigest(
        name=name,
        card=card,
        n=int(tokens.size),
        n_streams=len(found),
        threshold_s=threshold_s,
        law=law,
        moments={
            "event_tok_mean": float(tokens.mean()),
            "gap_mean": float(np.concatenate(gaps).mean()),
            **measured,
            "under_threshold_share": float(np.mean(all_gaps_s < threshold_s)),
            "gap_mean_s": float(all_gaps_s.mean()),
            "gap_longest_s": float(all_gaps_s.max()),
            "last_event_tok_mean": float(np.mean([held[-1] for held in sizes])),
        },
    )


def _pairs(rows: Sequence[NDArray[np.int64]] | Sequence[Floats]) -> list[tuple[Floats, Floats]]:
    return [(row[:-1].astype(float), row[1:].astype(float)) for row in rows]


def _neighbours(pairs: Sequence[tuple[NDArray[np.int64] | Floats, NDArray[np.int64] | Floats]]) -> float:
    """Return the Pearson correlation of neighbours, pooled, none of which belong to two streams."""
    first, second = (np.concatenate([pair[k] for pair in pairs]) for k in (0, 1))
    return measure.pearson(first, second)


def _law(size: QuantileTable, gap: QuantileTable, first: list[int], measured: dict[str, float]) -> ChunkLaw:
    """Return the law with these correlations; all are taken nearer to 0 where no process has them."""
    wanted = (
        (size, size, measured["size_lag1"]),
        (gap, gap, measured["gap_lag1"]),
        (size, gap, measured["size_then_gap"]),
        (gap, size, measured["gap_then_size"]),
    )
    latent = [measure.latent_cross(*one) if abs(one[2]) >= measure.NEGLIGIBLE_LAG1 else 0.0 for one in wanted]
    table = measure.tabulate(first)
    for shrink in np.linspace(1.0, 0.0, 101).tolist():
        of_size, of_gap, before, after = (round(shrink * rho, 4) for rho in latent)
        if min(_own_noise(of_size, of_gap, before, after)) >= LEAST_NOISE:
            break
    return ChunkLaw(
        size=CorrelatedSeries(size, of_size),
        gap=CorrelatedSeries(gap, of_gap),
        size_then_gap=before,
        gap_then_size=after,
        first=table,
    )


def _own_noise(of_size: float, of_gap: float, before: float, after: float) -> tuple[float, float]:
    """Return what the correlations of three neighbours leave of the variance of the last one."""
    shared = 2.0 * before * after
    squares = before**2 + after**2
    return (
        (1.0 - squares - of_size**2 + shared * of_size) / (1.0 - before**2),
        (1.0 - squares - of_gap**2 + shared * of_gap) / (1.0 - after**2),
    )
