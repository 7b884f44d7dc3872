"""The part that all round-trip recipes share."""

from __future__ import annotations

from discosim.traces.digest import Card, RttDigest
from discosim.traces.readers.base import RttSeries
from discosim.traces.recipes import measure

METHOD = (
    "quantile table of the answered probes, with the latent correlation that gives their Pearson lag-1 "
    "autocorrelation (probe to next answered probe of the same recording)"
)


def rtt_digest(
    name: str,
    card: Card,
    series: RttSeries,
    *,
    longest_s: float | None = None,
    spacing_s: float | None = None,
    server_time_s: float = 0.0,
) -> RttDigest:
    """Compute a round-trip digest; values above ``longest_s`` are clipped to it."""
    received = ~series.lost
    rtt_s = series.rtt_s[received]
    if longest_s is not None:
        rtt_s = rtt_s.clip(max=longest_s)
    recording = None if series.recording is None else series.recording[received]
    return RttDigest(
        name=name,
        card=card,
        n=int(rtt_s.size),
        rtt=measure.series(rtt_s, recording),
        loss_share=series.loss_share,
        moments=measure.moments("rtt", rtt_s, recording),
        spacing_s=series.spacing_s if spacing_s is None else spacing_s,
        server_time_s=server_time_s,
    )
