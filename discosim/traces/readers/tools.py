"""Files of other tools that look like measurements and hold no single requests: what they are, what to give then."""

from __future__ import annotations

_BENCH = "which holds speeds of one device (tokens a second) and no requests; put them into a device of the scenario:"
_SUMMARY = "which holds averages alone;"
_BESIDE = f"a summary of AIPerf or GenAI-Perf, {_SUMMARY} give the profile_export.jsonl beside it"
_SERIES = (
    "write its gauges as a table by time (t_s, running, waiting, prompt_tok_per_s, output_tok_per_s, kv_share), and "
)
_COUNTERS = (
    f"sums since the server's start and no requests; {_SERIES}give that to engine calibrate or validate as --series"
)
_PROMETHEUS = f"a page of metrics as Prometheus reads it, which holds {_COUNTERS}"
_OBJECT = b"{"
_KNOWN: tuple[tuple[bytes, tuple[bytes, ...], str], ...] = (
    (
        _OBJECT,
        (b'"engine_kwargs"',),
        "settings of a server, and no requests; give them to engine calibrate as --meta, beside a log of requests",
    ),
    (b"# HELP ", (), _PROMETHEUS),
    (b"# TYPE ", (), _PROMETHEUS),
    (_OBJECT, (b'"resultType"', b'"metric"'), f"an answer of Prometheus, whose metrics are {_COUNTERS}"),
    (
        b"",
        (b" batch", b"#running-req:", b"#queue-req:"),
        f"a log that SGLang writes of itself, which is not read; {_SERIES}give that as --series",
    ),
    (
        b"|",
        (b"| model |", b"| test |", b"| t/s |"),
        f"a table of llama-bench, {_BENCH} prefill_s_per_tok = 1 / (t/s of pp), decode_tok_per_s = t/s of tg",
    ),
    (
        b"",
        (b"build_commit", b"n_gen", b"avg_ts", b"stddev_ts"),
        f"an output of llama-bench, {_BENCH} prefill_s_per_tok = 1 / avg_ts of pp, decode_tok_per_s = avg_ts of tg",
    ),
    (
        _OBJECT,
        (b'"experiments"', b'"requests"', b'"response_timestamps"'),
        "a profile export of Perf Analyzer (GenAI-Perf), without counts of tokens; run AIPerf, and give its records",
    ),
    (_OBJECT, (b'"time_to_first_token"', b'"inter_token_latency"', b'"avg"', b'"p99"'), _BESIDE),
    (b"Metric,avg,min,max", (b"p99",), _BESIDE),
    (
        _OBJECT,
        (b'"mean_ttft_ms"', b'"median_ttft_ms"'),
        f"a summary of vLLM or SGLang, {_SUMMARY} run it with --save-result --save-detailed (SGLang: --output-details)",
    ),
    (
        _OBJECT,
        (b'"elapsed_time"', b'"num_requests"', b'"tokens_per_second"'),
        f"a result of `vllm bench throughput`, {_SUMMARY} run `vllm bench serve` with --save-result --save-detailed",
    ),
    (
        _OBJECT,
        (b'"avg_latency"', b'"latencies"', b'"percentiles"'),
        f"a result of `vllm bench latency`, {_SUMMARY} run `vllm bench serve` with --save-result --save-detailed",
    ),
    (
        _OBJECT,
        (b'"benchmarks"', b'"results"', b'"prompt_token_count"'),
        "a report of GuideLLM 0.1, whose requests have other names; write it again with a newer GuideLLM",
    ),
)
"""How a file begins (blanks aside), what it holds near its beginning, and what it is; the first that fits counts."""


def other_tool(head: bytes) -> str:
    """Return what a file of another tool is that no reader reads, as the rest of a sentence; '' where nobody knows it.

    Parameters
    ----------
    head : bytes
        Beginning of the file, decompressed.
    """
    text = b" ".join(head.split())
    fitting = (words for begin, marks, words in _KNOWN if text.startswith(begin) and all(m in text for m in marks))
    return next(fitting, "")
