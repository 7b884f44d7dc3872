"""Definitions of what chunks add: gaps between events of arrival, told apart from those between tokens."""

from __future__ import annotations

from functools import partial

from discosim.metrics.declare import MetricDefinition

_request = partial(MetricDefinition, level="request", computed_by="discosim.metrics.events.event_columns")
_summary = partial(
    MetricDefinition, level="summary", dtype="float64", computed_by="discosim.metrics.events.event_numbers"
)
_SOURCE = "as load generators tell chunks from tokens; that 1 us parts two events is our choice"
_WHERE = "There only where a service sends in chunks (`server.chunks`)."

EVENT_REQUEST_METRICS: tuple[MetricDefinition, ...] = (
    _request(
        name="n_events",
        unit="1",
        dtype="int64",
        formula="1 + #{A_i - A_{i-1} > 1 us}",
        description=f"Events at which tokens of the answer reached the client; 0 unless finished. {_WHERE}",
        source=_SOURCE,
    ),
    _request(
        name="inter_event_max_s",
        unit="s",
        dtype="float64",
        formula="max(E_j - E_{j-1}), E_j the first A_i of event j",
        description=f"Longest gap between events of arrival; NaN where there is one event. {_WHERE}",
        direction="lower",
        source=_SOURCE,
    ),
)
EVENT_COLUMNS = tuple(metric.name for metric in EVENT_REQUEST_METRICS)
"""Columns that stand in a result only where a service sends in chunks."""

EVENT_SUMMARY_METRICS: tuple[MetricDefinition, ...] = (
    _summary(
        name="event_tok_mean",
        unit="tok",
        formula="sum(output_tok)/sum(n_events)",
        description=f"Tokens per event of arrival, over finished requests. {_WHERE}",
        source=_SOURCE,
    ),
    _summary(
        name="inter_event_pooled_p50_s",
        unit="s",
        formula="p50 of all E_j - E_{j-1}",
        description="Median of the gaps between events of arrival, of all finished requests; from a histogram, "
        f"relative error below 0.2 %. {_WHERE}",
        direction="lower",
        source=_SOURCE,
    ),
    _summary(
        name="inter_event_pooled_p99_s",
        unit="s",
        formula="p99 of all E_j - E_{j-1}",
        description=f"Their 99th percentile. {_WHERE}",
        direction="lower",
        source=_SOURCE,
        aliases={"AIPerf": "inter_chunk_latency p99", "vLLM bench serve": "p99_itl of a service that sends in chunks"},
    ),
)
EVENT_NUMBERS = tuple(metric.name for metric in EVENT_SUMMARY_METRICS)
"""Numbers that stand in a result only where a service sends in chunks."""
