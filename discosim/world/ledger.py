"""Closing the books of a request."""

from __future__ import annotations

import math
from collections.abc import Sequence

from discosim.core.request import RequestRecord
from discosim.world.cards import Card
from discosim.world.setting import Setting
from discosim.world.shown import Timeline
from discosim.world.stream import NOTHING, Stream
from discosim.world.writing import Writing


def record(
    setting: Setting,
    card: Card,
    writing: Writing,
    streams: Sequence[Stream],
    status: str,
    shown: Timeline,
    *,
    n_dispatch: int,
    is_in_parts: bool,
    n_before: int,
) -> RequestRecord:
    """Return what was shown, what was processed, and what it costs."""
    segments, generated_s, delivered_s = shown
    is_shown = delivered_s.size > 0
    server_prompt = device_prefill = 0.0
    server_output = device_decode = 0
    is_device = is_server = False
    edge_prefill = edge_box_s = 0.0
    edge_decode = sketch_tok = 0
    usage = (0, 0.0, 0.0)  # preemptions, GPU-seconds, KV-token-seconds
    for i, stream in enumerate(streams):
        prefilled, generated = stream.bill()
        if stream.is_growing:
            more = stream.usage()
            usage = (usage[0] + more[0], usage[1] + more[1], usage[2] + more[2])
            edge_box_s += stream.box_s()
        if stream is writing.sketch:
            sketch_tok = generated
        is_dispatch = i < n_dispatch and not stream.failure
        if stream.endpoint == "device":
            device_prefill += prefilled
            device_decode += generated
            is_device |= is_dispatch
        elif stream.endpoint == "edge":
            edge_prefill += prefilled
            edge_decode += generated
        else:
            server_prompt += prefilled
            server_output += generated
            is_server |= is_dispatch
    meter, profile = setting.meter, setting.fleet.profile_of(card.user_id)
    usd = meter.server_usd(server_prompt, server_output)
    energy_j = device_prefill * profile.prefill_j_per_tok + device_decode * profile.decode_j_per_tok
    edge_usd = edge_j = 0.0
    if edge_prefill or edge_decode:
        edge = setting.endpoints["edge"]
        edge_usd = edge.usd(card.user_id, edge_prefill, edge_decode)
        edge_j = edge.energy_j(card.user_id, edge_prefill, edge_decode)
    return RequestRecord(
        request_id=card.request_id,
        user_id=card.user_id,
        arrival_s=card.arrival_s,
        prompt_tok=card.prompt_tok,
        output_tok=card.output_tok,
        reader_tok_per_s=card.reader_tok_per_s,
        ttft_target_s=card.ttft_target_s,
        status=status,
        first_endpoint=segments[0].endpoint if segments else "",
        segments=segments,
        generated_s=generated_s,
        delivered_s=delivered_s,
        paced_s=writing.paced_s(card.request_id, delivered_s, n_before) if is_shown else NOTHING,
        is_device_dispatched=is_device,
        is_server_dispatched=is_server,
        n_tok_wasted=server_output + device_decode + edge_decode - sketch_tok - delivered_s.size,
        server_prompt_tok=int(server_prompt),
        server_output_tok=server_output,
        device_prefill_tok=device_prefill,
        device_decode_tok=device_decode,
        server_cost_usd=usd,
        device_energy_j=energy_j,
        unified_cost_usd=meter.unified_usd(usd + edge_usd, energy_j + edge_j),
        n_preemptions=usage[0],
        gpu_s=usage[1],
        kv_tok_s=usage[2],
        sketch_tok=sketch_tok,
        sketch_s=writing.seen_sketch_s(card.arrival_s) if is_shown else NOTHING,
        n_parts=writing.n_parts if is_in_parts else 0,
        edge_prefill_tok=edge_prefill,
        edge_decode_tok=edge_decode,
        edge_box_s=edge_box_s,
        edge_energy_j=edge_j,
        edge_cost_usd=edge_usd,
        quality_assumed=math.nan
        if status == "rejected"
        else writing.quality(setting.quality, segments, is_in_parts=is_in_parts),
    )
