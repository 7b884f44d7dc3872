"""Definitions of the numbers that summarise one policy in one replication."""

from __future__ import annotations

from functools import partial

from discosim.metrics.accuracy import ACCURACY_SUMMARY_METRICS
from discosim.metrics.battery import BATTERY_SUMMARY_METRICS
from discosim.metrics.declare import Direction, MetricDefinition
from discosim.metrics.edge_definitions import EDGE_SUMMARY_METRICS
from discosim.metrics.engine_definitions import ENGINE_SUMMARY_METRICS
from discosim.metrics.event_definitions import EVENT_SUMMARY_METRICS
from discosim.metrics.waiting import WAITING_SUMMARY_METRICS

_HOME = "discosim.metrics.numbers."
_summary = partial(MetricDefinition, level="summary", dtype="float64")
_count = partial(MetricDefinition, level="summary", dtype="int64", unit="1")
_share = partial(_summary, unit="1")

PERCENTILES: tuple[float, ...] = (50, 75, 90, 95, 99, 99.9)
RARE_FROM_N = 10_000
"""Requests from which on p99.9 is stated: below, it would rest on fewer than ten observations."""

_FINISHED = "finished requests"
_SERVED = "served requests (finished or failed)"


def percentile_name(stem: str, p: float) -> str:
    """Return the name of a percentile of a duration, for example ``ttft_p99_9_s``."""
    return f"{stem}_p{p:g}_s".replace(".", "_")


def _distribution(stem: str, over: str, aliases: dict[str, str]) -> tuple[MetricDefinition, ...]:
    """Define mean and percentiles of one duration column."""
    column = f"{stem}_s"
    mean = _summary(
        computed_by=_HOME + "distribution",
        name=f"{stem}_mean_s",
        unit="s",
        formula=f"mean({column})",
        description=f"Mean over {over}.",
        direction="lower",
        aliases={tool: f"mean_{name}" for tool, name in aliases.items()},
    )
    rest = [
        _summary(
            computed_by=_HOME + "distribution",
            name=percentile_name(stem, p),
            unit="s",
            formula=f"p{p:g}({column})",
            description=f"Percentile (linear) over {over}"
            + (f"; NaN with fewer than {RARE_FROM_N:,} of them." if p > 99 else "."),
            direction="lower",
            aliases={tool: f"p{p:g}_{name}" for tool, name in aliases.items()},
        )
        for p in PERCENTILES
    ]
    return (mean, *rest)


def _amount(stem: str, unit: str, column: str, what: str) -> tuple[MetricDefinition, ...]:
    """Define total and mean of one cost column."""
    suffix = unit.lower()
    total = _summary(
        computed_by=_HOME + "endpoint_numbers",
        name=f"{stem}_total_{suffix}",
        unit=unit,
        formula=f"sum({column})",
        description=f"{what} of all requests, failed ones included.",
        direction="lower",
    )
    mean = _summary(
        computed_by=_HOME + "endpoint_numbers",
        name=f"{stem}_mean_{suffix}",
        unit=unit,
        formula=f"sum({column})/n_served",
        description=f"{what} per served request (finished or failed).",
        direction="lower",
    )
    return total, mean


def _pooled(stem: str, where: str, symbol: str) -> tuple[MetricDefinition, ...]:
    """Define median and tail of the gaps of all requests together."""
    return tuple(
        _summary(
            computed_by=_HOME + "pooled_numbers",
            name=percentile_name(f"{stem}_pooled", p),
            unit="s",
            formula=f"p{p:g} of all {symbol}_i - {symbol}_{{i-1}}",
            description=f"Percentile over the gaps {where} of all finished requests together, so long "
            "answers weigh more; from a histogram, relative error below 0.2 %, gaps under 1 us count as 0.",
            direction="lower",
            aliases={"vLLM bench serve": f"p{p:g}_itl", "DynoSim": f"token_gap p{p:g}"} if symbol == "A" else {},
        )
        for p in (50, 99)
    )


def _per_request(stem: str, symbol: str) -> MetricDefinition:
    return _summary(
        computed_by=_HOME + "pooled_numbers",
        name=f"{stem}_request_p99_mean_s",
        unit="s",
        formula=f"mean({stem}_p99_s)",
        description=f"Mean over {_FINISHED} of two tokens or more of each request's own p99 gap ({symbol}).",
        direction="lower",
    )


def _qoe_share(level: str, why: str) -> MetricDefinition:
    return _share(
        computed_by=_HOME + "quality_numbers",
        name=f"qoe_andes_ge_{level.replace('.', '_')}_share",
        formula=f"#{{qoe_andes >= {level}}}/n_served",
        description=f"Share of {_SERVED} with a QoE of at least {level}.",
        direction="higher",
        source=why,
    )


def _budget(endpoint: str) -> MetricDefinition:
    direction: Direction = "neutral"
    return _share(
        computed_by=_HOME + "endpoint_numbers",
        name=f"budget_used_{endpoint}",
        formula=f"sum(prompt_tok where is_{endpoint}_dispatched)/sum(prompt_tok)",
        description=f"Share of the prompt tokens of {_SERVED} whose prefill was asked of the {endpoint} "
        "before the first token; prefills for a migration do not count.",
        direction=direction,
        source="DiSCo (arXiv 2502.11417), budget constraint",
        aliases={"DiSCo paper": "budget ratio b"},
    )


_QUEUE = _distribution("queue", f"{_FINISHED} that a server's scheduler took; only of a white-box server", {})

WHITE_BOX_NUMBERS = tuple(metric.name for metric in _QUEUE)
"""Numbers that stand in a result only where a server can be looked into."""

SUMMARY_METRICS: tuple[MetricDefinition, ...] = (
    _count(
        name="n_requests",
        computed_by=_HOME + "request_counts",
        formula="#{requests}",
        description="Requests that arrived.",
    ),
    _count(
        name="n_finished",
        computed_by=_HOME + "request_counts",
        formula="#{status = finished}",
        description="Requests answered in full.",
        direction="higher",
    ),
    _count(
        name="n_failed",
        computed_by=_HOME + "request_counts",
        formula="#{status = failed}",
        description="Requests that got no full answer.",
        direction="lower",
    ),
    _count(
        name="n_rejected",
        computed_by=_HOME + "request_counts",
        formula="#{status = rejected}",
        description="Requests refused by a length limit; of the other numbers only n_requests counts them.",
    ),
    *_distribution("ttft", _FINISHED, {"vLLM bench serve": "ttft_ms"}),
    *_distribution("tpot", f"{_FINISHED} of two tokens or more", {"vLLM bench serve": "tpot_ms"}),
    *_distribution("e2e", _FINISHED, {"vLLM bench serve": "e2el_ms"}),
    *_pooled("tbt", "at the client", "A"),
    *_pooled("tbt_displayed", "on the screen", "S"),
    _per_request("tbt", "at the client"),
    _per_request("tbt_displayed", "on the screen"),
    _summary(
        name="stall_mean_s",
        computed_by=_HOME + "reading_numbers",
        unit="s",
        formula="mean(stall_s)",
        description=f"Mean time a reader waited after the first token, over {_FINISHED}.",
        direction="lower",
    ),
    _share(
        name="stall_request_share",
        computed_by=_HOME + "reading_numbers",
        formula="#{n_stalls > 0}/n_finished",
        description=f"Share of {_FINISHED} with at least one pause.",
        direction="lower",
    ),
    _share(
        name="stall_time_share",
        computed_by=_HOME + "reading_numbers",
        formula="sum(stall_s)/sum(stall_s + (n - 1)/r)",
        description="Share of all reading time, from each first to each last token, that was waiting.",
        direction="lower",
        source="stall ratio of Eloquent (arXiv 2401.12961)",
        aliases={"Eloquent": "stall ratio"},
    ),
    _summary(
        name="n_stalls_mean",
        computed_by=_HOME + "reading_numbers",
        unit="1",
        formula="mean(n_stalls)",
        description=f"Pauses per request, over {_FINISHED}.",
        direction="lower",
    ),
    _count(
        name="n_tok_late_total",
        computed_by=_HOME + "reading_numbers",
        formula="sum(n_tok_late)",
        description="Late tokens of all requests.",
        direction="lower",
    ),
    _summary(
        name="n_tok_late_mean",
        computed_by=_HOME + "reading_numbers",
        unit="tok",
        formula="sum(n_tok_late)/n_finished",
        description=f"Late tokens per request, over {_FINISHED}.",
        direction="lower",
    ),
    _summary(
        name="n_tok_late_per_migration",
        computed_by=_HOME + "reading_numbers",
        unit="tok",
        formula="sum(n_tok_late where n_migrations > 0)/sum(n_migrations)",
        description="Late tokens of answers that migrated, per migration; NaN where none migrated.",
        direction="lower",
        source="DiSCo (arXiv 2502.11417), migration study",
    ),
    _share(
        name="qoe_andes_mean",
        computed_by=_HOME + "quality_numbers",
        formula="mean(qoe_andes)",
        description=f"Mean QoE over {_SERVED}; a failed request counts 0.",
        direction="higher",
        source="Andes (arXiv 2404.16283): average QoE",
        aliases={"Andes": "average QoE"},
    ),
    _share(
        name="qoe_andes_code_mean",
        computed_by=_HOME + "quality_numbers",
        formula="mean(qoe_andes_code)",
        description=f"Mean over {_SERVED} of the QoE as the authors' code computes it.",
        direction="higher",
        source="first author's vLLM fork, qoe_tracker.py",
    ),
    _qoe_share("0.95", "acceptable QoE of Andes v2"),
    _qoe_share("0.99", "perfect-QoE share of the Andes authors' analysis script"),
    _share(
        name="ttft_target_attainment",
        computed_by=_HOME + "quality_numbers",
        formula="#{ttft_s <= ttft_target_s}/n_served",
        description=f"Share of {_SERVED} whose first token came within the reader's target; a failed one misses it.",
        direction="higher",
        aliases={"DistServe": "SLO attainment (TTFT part)"},
    ),
    _share(
        name="device_first_share",
        computed_by=_HOME + "endpoint_numbers",
        formula="#{first_endpoint = device}/n_finished",
        description=f"Share of {_FINISHED} whose first token the device produced.",
    ),
    _share(
        name="n_tok_device_share",
        computed_by=_HOME + "endpoint_numbers",
        formula="sum(n_tok_device)/sum(n_tok_device + n_tok_server + n_tok_edge)",
        description="Share of the shown tokens that the device produced.",
    ),
    *_amount("server_cost", "USD", "server_cost_usd", "Server bill"),
    *_amount("device_energy", "J", "device_energy_j", "Device energy"),
    *_amount("unified_cost", "USD", "unified_cost_usd", "Money plus energy at the exchange rate"),
    _count(
        name="n_tok_wasted_total",
        computed_by=_HOME + "endpoint_numbers",
        formula="sum(n_tok_wasted)",
        description="Tokens generated and never shown.",
        direction="lower",
    ),
    _share(
        name="n_tok_wasted_share",
        computed_by=_HOME + "endpoint_numbers",
        formula="sum(n_tok_wasted)/sum(server_output_tok + device_decode_tok + edge_decode_tok)",
        description="Share of the generated tokens that nobody saw.",
        direction="lower",
    ),
    _count(
        name="n_migrations_total",
        computed_by=_HOME + "endpoint_numbers",
        formula="sum(n_migrations)",
        description="Hand-overs of all requests.",
    ),
    _summary(
        name="n_migrations_mean",
        computed_by=_HOME + "endpoint_numbers",
        unit="1",
        formula="sum(n_migrations)/n_finished",
        description=f"Hand-overs per request, over {_FINISHED}.",
    ),
    _budget("device"),
    _budget("server"),
    _summary(
        name="span_s",
        computed_by=_HOME + "throughput_numbers",
        unit="s",
        formula="max(arrival_s + e2e_s) - min(arrival_s)",
        description="First arrival to last token at the client.",
    ),
    _summary(
        name="throughput_rps",
        computed_by=_HOME + "throughput_numbers",
        unit="1/s",
        formula="n_finished/span_s",
        description="Finished requests per second; over an open workload below saturation it only mirrors the load.",
        aliases={"vLLM bench serve": "request_throughput"},
    ),
    _summary(
        name="throughput_tok_per_s",
        computed_by=_HOME + "throughput_numbers",
        unit="tok/s",
        formula="sum(n_tok_device + n_tok_server + n_tok_edge)/span_s",
        description="Shown tokens per second.",
        aliases={"vLLM bench serve": "output_throughput"},
    ),
    _share(
        name="warmup_mser5_share",
        computed_by=_HOME + "warmup_numbers",
        formula="n_deleted/n of MSER-5 over ttft_s",
        description=f"Share of {_FINISHED}, from the first on, that the MSER-5 rule would leave out as warm-up of "
        "TTFT. Nothing is left out of the other numbers; above 0.5 the run is too short to tell. NaN below 50.",
        source="White, Cobb and Spratt, WSC 2000",
    ),
    *ENGINE_SUMMARY_METRICS,
    *_QUEUE,
    *EDGE_SUMMARY_METRICS,
    *BATTERY_SUMMARY_METRICS,
    *EVENT_SUMMARY_METRICS,
    *ACCURACY_SUMMARY_METRICS,
    *WAITING_SUMMARY_METRICS,
)
