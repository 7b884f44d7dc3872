"""Definitions of what an edge tier, sketches and assumed quality add: columns of requests, and summary numbers."""

from __future__ import annotations

import math
from functools import partial

from discosim.metrics.declare import MetricDefinition

_request = partial(MetricDefinition, level="request", computed_by="discosim.metrics.cost.cost_columns")
_visible = partial(MetricDefinition, level="request", computed_by="discosim.metrics.timeline.visible_columns")
_summary = partial(
    MetricDefinition, level="summary", dtype="float64", computed_by="discosim.metrics.numbers.sketch_numbers"
)
_inside = partial(_summary, computed_by="discosim.world.edge.tier.EdgeTier.figures")
_NO_SKETCH = "Equal to the answer's own where no sketch is shown."
_EDGE = "NaN where the scenario has no edge tier."
_METER = "the scenario's edge prices and energies"
_ASSUMED = "our assumption: the scenario's quality model; nobody measured it"

EDGE_REQUEST_METRICS: tuple[MetricDefinition, ...] = (
    _request(
        name="sketch_tok",
        unit="tok",
        dtype="int64",
        formula="s",
        description="Tokens of a sketch that the server wrote; no part of the answer, billed in server_output_tok.",
        source="PICE (arXiv 2501.09367), the idea of a sketch",
    ),
    _request(
        name="n_parts",
        unit="1",
        dtype="int64",
        formula="m",
        description="Pieces of the shown answer that were written side by side; 0 where it was written in one go.",
        source="PICE (arXiv 2501.09367), parallel expansion",
    ),
    _visible(
        name="ttft_visible_s",
        unit="s",
        dtype="float64",
        formula="first of sketch and answer at the client",
        description=f"Arrival of the request to the first token that the reader sees, sketch or answer. {_NO_SKETCH} "
        "NaN unless finished.",
        direction="lower",
    ),
    _visible(
        name="qoe_visible",
        unit="1",
        dtype="float64",
        formula="qoe_andes of sketch and answer, read one after the other",
        description=f"Quality of experience where the sketch is read first and its tokens count like the answer's. "
        f"{_NO_SKETCH}",
        direction="higher",
        source="Andes (arXiv 2404.16283) v2; applying it to a shown sketch is our choice",
    ),
    _request(
        name="n_tok_edge",
        unit="tok",
        dtype="int64",
        formula="#{shown tokens produced at the edge}",
        description="Shown tokens that the edge tier produced.",
    ),
    _request(
        name="edge_prefill_tok",
        unit="tok",
        dtype="float64",
        formula="-",
        description="Prompt and sketch tokens that edge boxes processed; fractional where a prefill was cut short.",
        source=_METER,
    ),
    _request(
        name="edge_decode_tok",
        unit="tok",
        dtype="int64",
        formula="-",
        description="Tokens that edge boxes decoded, shown or not.",
        source=_METER,
    ),
    _request(
        name="edge_box_s",
        unit="s",
        dtype="float64",
        formula="sum over sequences of stay/batch size",
        description="The request's share of the time of edge boxes.",
        direction="lower",
    ),
    _request(
        name="edge_energy_j",
        unit="J",
        dtype="float64",
        formula="edge_prefill_tok*e_prefill + edge_decode_tok*e_decode",
        description="What edge boxes spend, work that was cancelled included.",
        direction="lower",
        source=_METER,
    ),
    _request(
        name="edge_cost_usd",
        unit="USD",
        dtype="float64",
        formula="edge_prefill_tok*p_prompt + edge_decode_tok*p_output",
        description="What the edge tier bills.",
        direction="lower",
        source=_METER,
    ),
    _request(
        name="quality_assumed",
        unit="1",
        dtype="float64",
        formula="token-weighted mean over the writers; at the edge q_cloud - (q_cloud - q_k) (1 - rho)^power",
        description="Assumed quality of the answer in [0, 1]. 0 where it failed, NaN where it was rejected or the "
        "scenario has no quality section.",
        direction="higher",
        source=_ASSUMED,
    ),
)

EDGE_SUMMARY_METRICS: tuple[MetricDefinition, ...] = (
    _summary(
        name="quality_assumed_mean",
        unit="1",
        formula="mean(quality_assumed)",
        description="Mean assumed quality of served requests; NaN without a quality section.",
        direction="higher",
        source=_ASSUMED,
    ),
    _summary(
        name="ttft_visible_mean_s",
        unit="s",
        formula="mean(ttft_visible_s)",
        description="Mean time to the first visible token, sketch or answer, over finished requests.",
        direction="lower",
    ),
    _summary(
        name="qoe_visible_mean",
        unit="1",
        formula="mean(qoe_visible)",
        description="Mean QoE with the sketch read first, over served requests.",
        direction="higher",
    ),
    _summary(
        name="sketched_share",
        unit="1",
        formula="#{sketch_tok > 0 and n_parts > 0}/n_finished",
        description="Share of finished requests that were answered from a sketch.",
    ),
    _summary(
        name="sketch_ratio_mean",
        unit="1",
        formula="mean(sketch_tok/output_tok where sketched)",
        description="Mean sketch length over answer length, where a sketch was used; NaN where none was.",
        source="rho of PICE's bound, derived",
    ),
    _summary(
        name="n_tok_edge_share",
        unit="1",
        formula="sum(n_tok_edge)/sum(output_tok of finished requests)",
        description="Share of the shown tokens that the edge tier produced.",
    ),
    _summary(
        name="edge_cost_mean_usd",
        unit="USD",
        formula="sum(edge_cost_usd)/n_served",
        description="Edge bill per served request.",
        direction="lower",
    ),
    _summary(
        name="edge_energy_mean_j",
        unit="J",
        formula="sum(edge_energy_j)/n_served",
        description="Edge energy per served request.",
        direction="lower",
    ),
    _inside(
        name="edge_busy_s",
        unit="s",
        formula="sum over boxes of busy time",
        description=f"Time in which edge boxes were at work. {_EDGE}",
        direction="lower",
    ),
    _inside(
        name="edge_busy_share",
        unit="1",
        formula="edge_busy_s/(boxes*length of the run)",
        description=f"Share of the run in which a box that was ever asked was at work. {_EDGE}",
    ),
    _inside(
        name="edge_batch_mean",
        unit="1",
        formula="sequences/rounds",
        description=f"Mean number of sequences in a round. {_EDGE}",
    ),
    _inside(
        name="edge_idle_slot_share",
        unit="1",
        formula="1 - slot time used/(slots*edge_busy_s)",
        description=f"Share of the slot time of working boxes that was empty: slots without a sequence, and sequences "
        f"that wait for the longest of their round. {_EDGE}",
        direction="lower",
        source="what the execution optimizer of PICE (arXiv 2501.09367) is there to shrink, secondary source",
    ),
    _inside(
        name="edge_queue_peak",
        unit="1",
        formula="max(waiting sequences)",
        description=f"Most sequences that waited for a pool. {_EDGE}",
        direction="lower",
    ),
)

EDGE_FIGURES: tuple[str, ...] = (
    "edge_busy_s",
    "edge_busy_share",
    "edge_batch_mean",
    "edge_idle_slot_share",
    "edge_queue_peak",
)
NO_EDGE: dict[str, float] = dict.fromkeys(EDGE_FIGURES, math.nan)
"""What a run without an edge tier has to say about it."""
