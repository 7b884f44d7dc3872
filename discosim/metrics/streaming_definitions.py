"""Definitions of the streaming metrics that are computed on demand, by `discosim.metrics.streaming` and `.capacity`."""

from __future__ import annotations

from functools import partial

from discosim.metrics.declare import MetricDefinition

_row = partial(MetricDefinition, level="on_demand", dtype="float64")
_SMOOTH = "smooth goodput (arXiv 2410.14257; secondary source)"
_ETALON = "Etalon (github.com/project-etalon/etalon), documentation and code"

STREAMING_METRICS: tuple[MetricDefinition, ...] = (
    _row(
        name="tds_tok_per_s",
        computed_by="discosim.metrics.streaming.tds_tok_per_s",
        unit="tok/s",
        formula="(n - 1)/(A_n - A_1)",
        description="Token delivery speed of one answer; NaN where n < 2.",
        direction="higher",
        source="Andes (arXiv 2404.16283); the reciprocal of tpot_s",
        aliases={"Andes": "TDS"},
    ),
    _row(
        name="fluidity_index",
        computed_by="discosim.metrics.streaming.fluidity_index",
        unit="1",
        formula="met/(met + missed), a late token missing floor(lateness/D_d) + 1 deadlines; "
        "lateness = (A_i - A_{i-1}) - D_d - slack",
        description="Share of the token deadlines met, D_p for the first token and D_d for each later one; early "
        "tokens add to the slack, a late one empties it.",
        direction="higher",
        source=_ETALON,
        aliases={"Etalon": "fluidity-index"},
    ),
    _row(
        name="share_on_time",
        computed_by="discosim.metrics.streaming.share_on_time",
        unit="1",
        formula="1 - #{late tokens}/n",
        description="Share of the tokens that meet their deadline with slack, as fluidity_index but each late token "
        "counted once.",
        direction="higher",
        source=_ETALON,
    ),
    _row(
        name="fluid_token_rate_tok_per_s",
        computed_by="discosim.metrics.streaming.fluid_token_rate",
        unit="tok/s",
        formula="1/min(D_d) such that 99 % of the requests have a fluidity_index of at least 0.9",
        description="Highest steady rate that nearly all readers could be promised; one number for a run.",
        direction="higher",
        source=_ETALON,
        aliases={"Etalon": "fluid token generation rate"},
    ),
    _row(
        name="idle_latency_s",
        computed_by="discosim.metrics.streaming.idle_latency_s",
        unit="s",
        formula="max(A_i - i/r, 0)",
        description="User idle latency: how far the worst token lies behind the reader's line, which begins with the "
        "request; max(A_i - T_i, 0) where the line is to begin with the TTFT target.",
        direction="lower",
        source=_SMOOTH,
        aliases={"smooth goodput": "user idle latency l_r"},
    ),
    _row(
        name="smooth_goodput_tok_per_s",
        computed_by="discosim.metrics.streaming.smooth_goodput_tok_per_s",
        unit="tok/s",
        formula="sum(n - alpha f(idle_latency_s))/span_s, alpha = 2.5",
        description="Tokens less a penalty for idle latency, per second; f is open in the paper, here f(l) = l in "
        "seconds or f(l) = l r in tokens.",
        direction="higher",
        source=f"{_SMOOTH}; both readings of f are ours",
    ),
    _row(
        name="slo_goodput_tok_per_s",
        computed_by="discosim.metrics.streaming.slo_goodput_tok_per_s",
        unit="tok/s",
        formula="sum(n where idle_latency_s = 0)/span_s",
        description="Tokens per second of answers that are never behind the reader's line.",
        direction="higher",
        source=_SMOOTH,
    ),
    _row(
        name="stall_ratio",
        computed_by="discosim.metrics.streaming.stall_ratio",
        unit="1",
        formula="stall_s/(D_n - D_1)",
        description="Share of one reader's session that was waiting; it ignores the wait for the first token.",
        direction="lower",
        source="Eloquent (arXiv 2401.12961); that the session begins with the first token is our reading",
        aliases={"Eloquent": "stall ratio"},
    ),
    _row(
        name="capacity_rps",
        computed_by="discosim.metrics.capacity.capacity",
        unit="1/s",
        formula="max load with mean(qoe_andes) >= 0.9",
        description="Highest request rate that keeps a mean QoE (0.95 in Andes v2), by bisection per replication.",
        direction="higher",
        source="Andes (arXiv 2404.16283; secondary sources); bisection and interval are our choice",
        aliases={"Andes": "capacity"},
    ),
)
