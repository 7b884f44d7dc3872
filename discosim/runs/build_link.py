"""From a scenario's last hop to its model; what is counted elsewhere already is taken out."""

from __future__ import annotations

from discosim.core.empirical import CorrelatedSeries, QuantileTable
from discosim.core.scenario import ConstantLink, DigestLink, Link, NoLink
from discosim.traces.catalogue import load_digest
from discosim.traces.digest import RttDigest
from discosim.traces.digest_file import dump_digest, parse_digest, read_own_digest
from discosim.traces.kinds import Digest
from discosim.traces.own_rtt import digest_rtt
from discosim.world.link import LinkModel

DEFAULT_TICK_S = 0.2
FLOOR_LEVEL = 0.01


def link_model(spec: Link, server_contains: tuple[str, ...]) -> tuple[LinkModel, tuple[str, ...]]:
    """Return the last hop to a service and what was taken out of it, given what the service's TTFT contains."""
    if isinstance(spec, NoLink):
        return LinkModel(), ()
    uplink = None if spec.uplink_mbit_per_s is None else spec.uplink_mbit_per_s * 1e6
    if isinstance(spec, ConstantLink):
        rtt = CorrelatedSeries(QuantileTable.constant(spec.rtt_s))
        return LinkModel(
            rtt,
            up_share=spec.up_share,
            tokens_per_packet=spec.tokens_per_packet,
            uplink_bit_per_s=uplink,
            outages=spec.outages,
        ), ()
    assert isinstance(spec, DigestLink)
    digest = rtt_digest_of(spec)
    out_s, notes = _overlap_s(spec, digest, server_contains)
    values = tuple(max(0.0, v - out_s) for v in digest.rtt.table.values)
    return LinkModel(
        rtt=CorrelatedSeries(QuantileTable(digest.rtt.table.levels, values), digest.rtt.latent_rho),
        tick_s=digest.spacing_s or DEFAULT_TICK_S,
        up_share=spec.up_share,
        loss_share=digest.loss_share if spec.loss else 0.0,
        retransmit_s=spec.retransmit_s,
        tokens_per_packet=spec.tokens_per_packet,
        uplink_bit_per_s=uplink,
        outages=spec.outages,
    ), notes


def rtt_digest_of(spec: DigestLink) -> RttDigest:
    """Return the digest behind a last hop: a shipped one, the user's own, or that of the user's own rows.

    Raises
    ------
    UserError
        If a file is of no use; the message names the key that settles it.
    """
    digest: Digest
    if spec.digest is not None:
        digest = load_digest(spec.digest, "rtt")
    elif spec.digest_file is not None:
        digest = read_own_digest(spec.digest_file, "rtt")
    else:
        assert spec.series is not None
        made = digest_rtt(
            spec.series,
            format=spec.series_format,
            group=spec.series_group,
            measured_to=spec.series_to,
            unit=spec.series_unit,
        )
        digest = parse_digest(
            dump_digest(made), where=spec.series
        )  # as many digits as the file of a digest has: the same numbers
    assert isinstance(digest, RttDigest)
    return digest


def link_doubts(spec: Link) -> tuple[str, ...]:
    """Return what to doubt about a last hop of the user's own; the cards of shipped digests are in the docs."""
    if not isinstance(spec, DigestLink) or spec.digest is not None:
        return ()
    return tuple(f"last hop: {quirk}" for quirk in rtt_digest_of(spec).card.quirks)


def _overlap_s(spec: DigestLink, digest: RttDigest, server_contains: tuple[str, ...]) -> tuple[float, tuple[str, ...]]:
    """Return how much of each round trip is counted elsewhere already, in s.

    Source: our choice. A round trip to a distant host contains the wide-area path, and so does a TTFT measured
    from a data centre; the round trip's 1st percentile stands for that fixed path and is taken out once.
    """
    both = "wide_area" in digest.card.contains and "wide_area" in server_contains
    if spec.overlap == "remove_floor" and both:
        floor_s = float(digest.rtt.table.ppf(FLOOR_LEVEL))
        note = (
            f"last hop {digest.name}: its p1 of {floor_s * 1e3:.0f} ms was taken out of every round trip, because "
            "the wide-area path is contained in the measured TTFT already (link.overlap: remove_floor)"
        )
        return floor_s, (note,)
    if digest.server_time_s > 0.0:
        return digest.server_time_s, (
            f"last hop {digest.name}: {digest.server_time_s * 1e3:.0f} ms of server time (inferred) taken out",
        )
    return 0.0, ()
