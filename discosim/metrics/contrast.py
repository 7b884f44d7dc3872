"""What other tools call the same quantities, and where one name has several meanings."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ToolVocabulary:
    """The words of one tool or paper for six quantities; ``-`` where it has none."""

    tool: str
    first_token: str
    mean_gap: str
    single_gap: str
    mean_with_first: str
    whole_request: str
    good_requests: str


@dataclass(frozen=True)
class Trap:
    """A word with several meanings, and the stems of our metrics that it concerns."""

    stems: tuple[str, ...]
    text: str


VOCABULARY: tuple[ToolVocabulary, ...] = (
    ToolVocabulary(
        "discosim", "ttft_s", "tpot_s", "TBT (tbt_*)", "norm_latency_s", "e2e_s", "goodput_rps (with --slo)"
    ),
    ToolVocabulary(
        "vLLM bench serve",
        "ttft",
        "tpot (one-token requests count 0 for the goodput)",
        "itl (all gaps pooled)",
        "-",
        "e2el",
        "request_goodput: requests meeting all SLOs, per second",
    ),
    ToolVocabulary(
        "AIPerf / GenAI-Perf",
        "time_to_first_token",
        "inter_token_latency",
        "inter_chunk_latency",
        "-",
        "request_latency",
        "goodput: good requests per second",
    ),
    ToolVocabulary(
        "GuideLLM",
        "time_to_first_token_ms",
        "inter_token_latency_ms",
        "-",
        "time_per_output_token_ms",
        "request_latency",
        "-",
    ),
    ToolVocabulary("llmperf", "ttft_s", "-", "-", "inter_token_latency_s", "end_to_end_latency_s", "-"),
    ToolVocabulary(
        "Etalon",
        "TTFT",
        "TPOT (code: mean gap; documentation: total/n)",
        "TBT",
        "normalized latency",
        "E2E",
        "fluidity-index: share of tokens on time, slack carried",
    ),
    ToolVocabulary(
        "Vidur",
        "prefill_e2e_time (at the endpoint)",
        "decode_time_execution_plus_preemption_normalized",
        "decode_token_execution_plus_preemption_time",
        "request_e2e_time_normalized",
        "request_e2e_time (at the endpoint)",
        "-",
    ),
    ToolVocabulary("BLIS", "ttft_*_ms", "-", "itl_*_ms", "-", "e2e_*_ms", "per SLO class"),
    ToolVocabulary(
        "LLMServingSim", "TTFT (at the endpoint)", "TPOT", "ITL list", "-", "latency (at the endpoint)", "-"
    ),
    ToolVocabulary(
        "DistServe",
        "first token latency",
        "tpot",
        "-",
        "-",
        "-",
        "SLO attainment; goodput = highest rate that keeps attainment",
    ),
    ToolVocabulary("DiSCo paper", "TTFT", "-", "TBT", "-", "-", "-"),
    ToolVocabulary("Andes paper", "TTFT", "1/TDS (token delivery speed)", "-", "normalised latency", "-", "QoE"),
)
"""Names read in the tools' public documentation and code in November 2026."""

TRAPS: tuple[Trap, ...] = (
    Trap(
        ("tpot", "tbt", "delivered"),
        "AIPerf's and GuideLLM's inter-token latency is our tpot_s, a mean per request; vLLM's ITL is the "
        "single gap, our TBT.",
    ),
    Trap(
        ("tpot", "norm"),
        "GuideLLM's time per output token and llmperf's inter-token latency include the first token: they "
        "are our norm_latency_s, not tpot_s.",
    ),
    Trap(
        ("tbt", "delivered"),
        "Percentiles of pooled gaps and of per-request values have very different tails; the name says "
        "which: tbt_pooled_* or tbt_request_*.",
    ),
    Trap(
        ("throughput", "ttft_target_attainment", "goodput"),
        "Goodput means a rate of good requests at a given load (vLLM, AIPerf) or the highest load that keeps "
        "attainment (DistServe); goodput_rps is the former, and the latter is never called so here.",
    ),
    Trap(
        ("ttft", "e2e", "tbt"),
        "Simulators of servers stop the clock when a token is computed, clients when it arrives. "
        "*_generated_* is the first, the plain name the second, *_displayed_* what the screen shows.",
    ),
    Trap(
        ("tbt", "tpot", "delivered"),
        "A chunk of a stream is not a token: where a link packs several tokens, the gaps inside a packet "
        "are 0 and the gap before it is long.",
    ),
    Trap(
        ("tbt", "inter_event", "n_events", "event_tok"),
        "Where a service sends in chunks, TBT counts the gaps of 0 between tokens that came together; inter_event_* "
        "counts the gaps between arrivals, as AIPerf's inter_chunk_latency does and vLLM's ITL of such a service.",
    ),
    Trap(
        ("qoe",),
        "Andes averages lateness over tokens and dilutes it with the length of the answer; Etalon counts "
        "missed slots; a stall ratio ignores the wait for the first token.",
    ),
    Trap(
        ("n_tok_late", "n_stalls", "stall"),
        "One long pause is one stall but makes every token behind it late until the stream has caught up "
        "with the reading schedule.",
    ),
    Trap(
        ("n_tok_late", "n_stalls", "stall_s", "stall_mean", "qoe"),
        "The scenario's pacer changes nothing here, a policy's own does (session.pace, pd_device): its readers "
        "read what the screen shows, so S_i stands for A_i.",
    ),
    Trap(
        ("edge_box",),
        "The shares add up to at most edge_busy_s: empty slots of a round that waits for its longest sequence "
        "are nobody's.",
    ),
)


def traps_of(name: str) -> list[str]:
    """Return the warnings that concern a metric."""
    return [trap.text for trap in TRAPS if any(name.startswith(stem) for stem in trap.stems)]
