"""Definitions of the columns of requests.parquet and tokens.parquet, in file order."""

from __future__ import annotations

from functools import partial

from discosim.metrics.accuracy import ACCURACY_REQUEST_METRICS
from discosim.metrics.battery import BATTERY_REQUEST_METRICS
from discosim.metrics.declare import MetricDefinition
from discosim.metrics.edge_definitions import EDGE_REQUEST_METRICS
from discosim.metrics.engine_definitions import ENGINE_REQUEST_METRICS
from discosim.metrics.event_definitions import EVENT_REQUEST_METRICS
from discosim.metrics.waiting import WAITING_REQUEST_METRICS

_request = partial(MetricDefinition, level="request", computed_by="discosim.metrics.cost.cost_columns")
_text = partial(_request, unit="", dtype="string")
_id = partial(_request, unit="", dtype="int64")
_tok = partial(_request, unit="tok", dtype="int64")
_latency = partial(MetricDefinition, level="request", computed_by="discosim.metrics.timeline.latency_columns")
_s = partial(_latency, unit="s", dtype="float64")
_token = partial(MetricDefinition, level="token", computed_by="discosim.runs.collect.Collector.tokens")
_STACKED = "discosim.runs.gathered.stacked"

_ANDES = "Andes (arXiv 2404.16283)"
_COMMON = "common to all serving benchmarks; the clock stops at the client"
_METER = "the scenario's prices and the device profile's energy per token"

REQUEST_METRICS: tuple[MetricDefinition, ...] = (
    _text(
        name="policy",
        formula="-",
        description="Name of the policy in the scenario.",
        computed_by=_STACKED,
        source="scenario",
    ),
    _id(
        name="replication",
        formula="-",
        description="Index of the replication, from 0; equal indices share all luck between policies.",
        computed_by=_STACKED,
        source="scenario",
    ),
    _id(
        name="request_id",
        formula="-",
        description="Index of the request in its replication, from 0.",
        source="workload",
    ),
    _id(name="user_id", formula="-", description="Owner of the request, from 0.", source="workload"),
    _request(
        name="arrival_s",
        unit="s",
        dtype="float64",
        formula="-",
        description="Moment the user submits the request, since the start of the replication.",
        source="workload",
    ),
    _tok(name="prompt_tok", formula="-", description="Length of the prompt.", source="workload"),
    _tok(name="output_tok", formula="n", description="Length of the answer asked for.", source="workload"),
    _request(
        name="reader_tok_per_s",
        unit="tok/s",
        dtype="float64",
        formula="r",
        description="Rate at which the reader consumes tokens.",
        source="scenario",
    ),
    _request(
        name="ttft_target_s",
        unit="s",
        dtype="float64",
        formula="tau",
        description="TTFT that the reader expects; used by the QoE and by ttft_target_attainment.",
        source="scenario",
    ),
    _text(
        name="first_endpoint",
        formula="producer of token 1",
        description="Endpoint (device, server or edge) whose token was shown first; empty where nothing was shown.",
    ),
    _s(
        name="ttft_s",
        formula="A_1",
        description="Time to first token: arrival of the request to the first token at the client. "
        "The first token is displayed on arrival, with or without a pacer. NaN unless finished.",
        direction="lower",
        source=_COMMON,
        aliases={
            "vLLM bench serve": "ttft",
            "AIPerf": "time_to_first_token",
            "GuideLLM": "time_to_first_token_ms",
            "llmperf": "ttft_s",
            "Etalon": "TTFT",
            "BLIS": "ttft_*_ms",
            "DistServe": "first token latency",
            "DiSCo paper": "TTFT",
        },
    ),
    _s(
        name="ttft_generated_s",
        formula="G_1",
        description="Arrival of the request to the first token at its endpoint, before the way back to the "
        "client. This is what simulators without a last hop call TTFT. NaN unless finished.",
        direction="lower",
        aliases={"Vidur": "prefill_e2e_time", "LLMServingSim": "TTFT"},
    ),
    _s(
        name="e2e_s",
        formula="A_n",
        description="Arrival of the request to the last token at the client. NaN unless finished.",
        direction="lower",
        source=_COMMON,
        aliases={
            "vLLM bench serve": "e2el",
            "AIPerf": "request_latency",
            "GuideLLM": "request_latency",
            "llmperf": "end_to_end_latency_s",
            "Etalon": "E2E",
            "BLIS": "e2e_*_ms",
        },
    ),
    _s(
        name="e2e_generated_s",
        formula="G_n",
        description="Arrival of the request to the last token at its endpoint. NaN unless finished.",
        direction="lower",
        aliases={"Vidur": "request_e2e_time", "LLMServingSim": "latency"},
    ),
    _s(
        name="e2e_displayed_s",
        formula="S_n",
        description="Arrival of the request to the last token on the screen: with the pacer the end of paced "
        "display, else e2e_s. NaN unless finished.",
    ),
    _s(
        name="tpot_s",
        formula="(A_n - A_1)/(n - 1)",
        description="Time per output token after the first: the mean gap of one request. NaN where n < 2 "
        "or unless finished.",
        direction="lower",
        source="vLLM's convention",
        aliases={
            "vLLM bench serve": "tpot",
            "AIPerf": "inter_token_latency",
            "GuideLLM": "inter_token_latency_ms",
            "Vidur": "decode_time_execution_plus_preemption_normalized",
            "DistServe": "tpot",
        },
    ),
    _s(
        name="norm_latency_s",
        formula="A_n/n",
        description="End-to-end latency per output token, the first included. NaN unless finished.",
        direction="lower",
        source="vLLM paper's normalised latency",
        aliases={
            "GuideLLM": "time_per_output_token_ms",
            "llmperf": "inter_token_latency_s",
            "Etalon": "normalized latency",
            "Vidur": "request_e2e_time_normalized",
        },
    ),
    _s(
        name="tbt_max_s",
        formula="max(A_i - A_{i-1}), i = 2..n",
        description="Longest gap between successive tokens at the client. NaN where n < 2 or unless finished.",
        direction="lower",
        source="DiSCo (arXiv 2502.11417): TBT as time between tokens",
    ),
    _s(
        name="tbt_p99_s",
        formula="p99(A_i - A_{i-1}), i = 2..n",
        description="99th percentile (linear) of the gaps of this one request at the client. NaN where n < 2 "
        "or unless finished.",
        direction="lower",
        source="DiSCo (arXiv 2502.11417): TBT as time between tokens",
    ),
    _s(
        name="tbt_displayed_max_s",
        formula="max(S_i - S_{i-1}), i = 2..n",
        description="Longest gap between successive tokens on the screen, after the pacer. NaN where n < 2 "
        "or unless finished.",
        direction="lower",
    ),
    _s(
        name="tbt_displayed_p99_s",
        formula="p99(S_i - S_{i-1}), i = 2..n",
        description="99th percentile (linear) of this request's gaps on the screen. NaN where n < 2 "
        "or unless finished.",
        direction="lower",
    ),
    _s(
        name="stall_s",
        formula="sum of D_i - D_{i-1} - 1/r over the pauses",
        description="Time the reader waited after the first token. The reader reads at rate r whether or "
        "not the screen is paced, so the pacer does not change it. NaN unless finished.",
        direction="lower",
        source=f"consumption curve of {_ANDES} v2",
        aliases={"Eloquent": "stall (as a share of the session)"},
    ),
    _latency(
        name="n_stalls",
        unit="1",
        dtype="int64",
        formula="#{i >= 2: D_i - D_{i-1} > 1/r + 1 ns}",
        description="Number of pauses of the reader after the first token; 0 unless finished.",
        direction="lower",
        source=f"consumption curve of {_ANDES} v2; threshold our choice",
    ),
    _latency(
        name="n_tok_late",
        unit="tok",
        dtype="int64",
        formula="#{i: A_i > A_1 + (i - 1)/r + 1 ns}",
        description="Tokens that arrive after their slot in the uninterrupted reading schedule, which "
        "starts with the first token; one long pause makes many tokens late. 0 unless finished.",
        direction="lower",
        source="our reading of DiSCo's delayed tokens (arXiv 2502.11417; secondary source)",
        aliases={"DiSCo paper": "delay_num (recollection)"},
    ),
    _latency(
        name="qoe_andes",
        unit="1",
        dtype="float64",
        formula="1 - sum(max(D_i - T_i, 0))/sum(max(D_n, T_n) - T_i)",
        description="Quality of experience in [0, 1]; 1 is never late. Closed at D_n + 1/r where n = 1. "
        "0 where the request failed (nothing useful came), NaN where it was rejected.",
        direction="higher",
        source=f"{_ANDES} v2 (secondary sources, agreeing with the authors' code), equal to v1's area "
        "form; n = 1 is our choice",
        aliases={"Andes": "QoE"},
    ),
    _latency(
        name="qoe_andes_code",
        unit="1",
        dtype="float64",
        formula="min(1, 1 - sum(max(a_i - T_i, 0))/(n(a_{n+1} - tau) - n^2/(2r))), "
        "a_1 = A_1, a_{i+1} = max(A_i, a_i + 1/r)",
        description="The QoE as the authors' code computes it: a late token is charged from the next one on. "
        "0 where failed, NaN where rejected.",
        direction="higher",
        source="first author's vLLM fork, qoe_tracker.py",
        aliases={"Andes code": "QoE"},
    ),
    _tok(
        name="n_tok_device",
        formula="#{shown tokens produced by the device}",
        description="Shown tokens that the device produced.",
    ),
    _tok(
        name="n_tok_server",
        formula="#{shown tokens produced by the server}",
        description="Shown tokens that the server produced.",
    ),
    _tok(
        name="n_tok_wasted",
        formula="#{tokens generated, neither shown nor of a sketch}",
        description="Tokens that an endpoint generated and nobody saw: the loser of a race, late cancels, candidates "
        "that were not picked.",
        direction="lower",
    ),
    _request(
        name="n_migrations",
        unit="1",
        dtype="int64",
        formula="#{segments} - 1",
        description="Hand-overs between endpoints inside the shown answer.",
        source="DiSCo (arXiv 2502.11417), migration",
    ),
    _request(
        name="is_device_dispatched",
        unit="",
        dtype="bool",
        formula="-",
        description="Whether a device prefill was asked for before the first token; the device's budget counts it.",
        source="DiSCo (arXiv 2502.11417), budget constraint",
    ),
    _request(
        name="is_server_dispatched",
        unit="",
        dtype="bool",
        formula="-",
        description="Whether a server prefill was asked for before the first token; the server's budget counts it.",
        source="DiSCo (arXiv 2502.11417), budget constraint",
    ),
    _tok(name="server_prompt_tok", formula="-", description="Prompt tokens the server billed.", source=_METER),
    _tok(name="server_output_tok", formula="-", description="Output tokens the server billed.", source=_METER),
    _request(
        name="device_prefill_tok",
        unit="tok",
        dtype="float64",
        formula="-",
        description="Prompt tokens the device processed; fractional where a prefill was cut short.",
        source=_METER,
    ),
    _tok(
        name="device_decode_tok",
        formula="-",
        description="Tokens the device decoded, shown or not.",
        source=_METER,
    ),
    _request(
        name="server_cost_usd",
        unit="USD",
        dtype="float64",
        formula="server_prompt_tok*p_prompt + server_output_tok*p_output",
        description="What the server bills, work that was cancelled included.",
        direction="lower",
        source=_METER,
    ),
    _request(
        name="device_energy_j",
        unit="J",
        dtype="float64",
        formula="device_prefill_tok*e_prefill + device_decode_tok*e_decode + device_waiting_j",
        description="What the device spends, work that was cancelled included; device_waiting_j is 0 where waiting "
        "does not count.",
        direction="lower",
        source=_METER,
    ),
    _request(
        name="unified_cost_usd",
        unit="USD",
        dtype="float64",
        formula="server_cost_usd + edge_cost_usd + lambda*(device_energy_j + edge_energy_j)",
        description="Server and edge money and device and edge energy as one number, at the scenario's exchange rate "
        "lambda.",
        direction="lower",
        source="DiSCo (arXiv 2502.11417), unified cost",
    ),
    *ENGINE_REQUEST_METRICS,
    *EDGE_REQUEST_METRICS,
    *EVENT_REQUEST_METRICS,
    *ACCURACY_REQUEST_METRICS,
    _text(
        name="status",
        formula="-",
        description="finished, failed (arrived, never answered in full) or rejected (over a length limit).",
    ),
    *BATTERY_REQUEST_METRICS,
    *WAITING_REQUEST_METRICS,
)

TOKEN_METRICS: tuple[MetricDefinition, ...] = (
    _token(name="token_index", unit="", dtype="int64", formula="i", description="Position in the answer, from 1."),
    _token(
        name="endpoint",
        unit="",
        dtype="string",
        formula="-",
        description="Endpoint that produced the token: device, server or edge.",
    ),
    _token(
        name="generated_s",
        unit="s",
        dtype="float64",
        formula="G_i + arrival_s",
        description="Moment the endpoint produced the token, since the start of the replication.",
    ),
    _token(
        name="delivered_s",
        unit="s",
        dtype="float64",
        formula="A_i + arrival_s",
        description="Moment the token reached the client; differences are the TBT.",
        aliases={
            "vLLM bench serve": "itl (differences)",
            "AIPerf": "inter_chunk_latency (differences)",
            "Etalon": "TBT (differences)",
        },
    ),
    _token(
        name="displayed_s",
        unit="s",
        dtype="float64",
        formula="S_i + arrival_s",
        description="Moment the token appeared on the screen.",
    ),
)
