"""The record of a request, from its card, what was shown, the bill and what verbs noted."""

from __future__ import annotations

import math
from collections.abc import Sequence

from discosim.core.request import RequestRecord, Work
from discosim.world.cards import Card
from discosim.world.fleet import Fleet
from discosim.world.ledger import NO_WORK, Bill
from discosim.world.setting import Setting
from discosim.world.shown import Timeline
from discosim.world.stream import NOTHING, Floats, Stream
from discosim.world.waiting import on_air
from discosim.world.writing import Writing

PLAIN = Writing()


def record(
    card: Card,
    status: str,
    shown: Timeline,
    bill: Bill,
    noted: Writing | None,
    setting: Setting,
    n_before: int,
    streams: Sequence[Stream],
    work: tuple[Work, ...] = (),
    *,
    is_in_parts: bool,
) -> RequestRecord:
    """Return what happened to one request.

    Parameters
    ----------
    card : Card
        The request.
    status : str
        ``finished``, ``failed`` or ``rejected``.
    shown : Timeline
        Who showed which tokens, and when; empty unless finished.
    bill : Bill
        What was processed, and what it costs.
    noted : Writing or None
        What verbs noted; None for nothing.
    setting : Setting
        The world.
    n_before : int
        Tokens shown before the first hand-over, or all.
    streams : sequence of Stream
        All that were asked for.
    work : tuple of Work
        The bill by endpoint, where it is itemised.
    is_in_parts : bool
        Whether what is shown was written in parts.
    """
    segments, generated_s, delivered_s = shown
    server, device, edge = bill.get("server", NO_WORK), bill.get("device", NO_WORK), bill.get("edge", NO_WORK)
    usd = server.usd + edge.usd + device.usd
    waiting_j = waiting_of(card, delivered_s, streams, setting.fleet) if setting.fleet.counts_waiting else 0.0
    device_j = device.energy_j + waiting_j
    energy_j = device_j + edge.energy_j + server.energy_j
    n_made = server.output_tok + device.output_tok + edge.output_tok
    writing = noted or PLAIN
    sketch_tok = 0 if writing.sketch is None else writing.sketch.bill()[1]
    paced_s = sketch_s = NOTHING
    if noted is not None and delivered_s.size:
        paced_s = writing.paced_s(card.request_id, delivered_s, n_before)
        sketch_s = writing.seen_sketch_s(card.arrival_s)
    quality = math.nan
    if setting.quality is not None and status != "rejected":
        quality = writing.quality(setting.quality, segments, is_in_parts=is_in_parts)
    scheduled_s = queue_s = math.nan
    if server.scheduled_s < math.inf:
        scheduled_s, queue_s = server.scheduled_s - card.arrival_s, server.queue_s
    # by position, in the order of its fields: forty keywords would cost every request two microseconds
    return RequestRecord(
        card.request_id,
        card.user_id,
        card.arrival_s,
        card.prompt_tok,
        card.output_tok,
        card.reader_tok_per_s,
        card.ttft_target_s,
        status,
        segments[0].counts_as if segments else "",
        segments,
        generated_s,
        delivered_s,
        device.is_dispatched,
        server.is_dispatched,
        n_made - sketch_tok - delivered_s.size,  # n_tok_wasted
        int(server.prompt_tok),
        server.output_tok,
        device.prompt_tok,
        device.output_tok,
        server.usd,
        device_j,
        setting.meter.unified_usd(usd, energy_j),
        server.n_preemptions,
        server.gpu_s,
        server.kv_tok_s,
        sketch_tok,
        sketch_s,
        paced_s,
        writing.n_parts if is_in_parts else 0,
        edge.prompt_tok,
        edge.output_tok,
        edge.box_s,
        edge.energy_j,
        edge.usd,
        quality,
        work,
        scheduled_s,
        queue_s,
        waiting_j,
    )


def waiting_of(card: Card, delivered_s: Floats, streams: Sequence[Stream], fleet: Fleet) -> float:
    """Return what screen and radio of the user's phone took for a request, in J."""
    if delivered_s.size:
        end_s = float(delivered_s[-1])
    else:  # given up when nothing more could come
        end_s = max((on_air(stream)[2] for stream in streams), default=card.arrival_s)
    return fleet.waiting_j(card, end_s, streams)
