"""Axes in words: of metrics with the unit from their definitions, of keys of a scenario with that of their suffix."""

from __future__ import annotations

import re

from discosim.metrics.definitions import DEFINITIONS, MetricDefinition

PER_REQUESTS = 1000.0

_NAMES = {
    "ttft": "TTFT", "tpot": "TPOT", "tbt": "TBT", "e2e": "end-to-end latency", "qoe": "QoE", "gpu": "GPU", "kv": "KV",
    "norm": "normalised", "tok": "tokens", "andes": "", "mser5": "(MSER-5)", "rtt": "RTT",
}  # fmt: skip
_WHOLE = {
    "qoe_andes_mean": "mean QoE",
    "qoe_andes": "QoE",
    "qoe_andes_code_mean": "mean QoE as the authors' code has it",
    "qoe_andes_code": "QoE as the authors' code has it",
    "qoe_andes_ge_0_95_share": "share of requests with QoE ≥ 0.95",
    "qoe_andes_ge_0_99_share": "share of requests with QoE ≥ 0.99",
    "qoe_visible_mean": "mean QoE with the sketch",
    "qoe_visible": "QoE with the sketch",
    "ttft_visible_mean_s": "mean time to the first thing seen",
    "ttft_visible_s": "time to the first thing seen",
    "ttft_target_attainment": "share of requests within the TTFT target",
    "n_requests": "requests",
    "n_finished": "finished requests",
    "n_failed": "failed requests",
    "n_rejected": "rejected requests",
    "stall_mean_s": "mean stall",
    "stall_s": "stall",
    "stall_request_share": "share of requests that stall",
    "stall_time_share": "share of reading time stalled",
    "device_first_share": "share of first tokens from the device",
    "n_tok_device_share": "share of tokens from the device",
    "n_tok_edge_share": "share of tokens from the edge",
    "n_tok_wasted_share": "share of tokens wasted",
    "n_tok_wasted_total": "tokens wasted",
    "n_tok_late_total": "late tokens",
    "n_tok_late_mean": "late tokens per request",
    "n_tok_late_per_migration": "late tokens per migration",
    "n_migrations_total": "migrations",
    "n_migrations_mean": "migrations per request",
    "n_preemptions_mean": "preemptions per request",
    "n_stalls_mean": "stalls per request",
    "budget_used_device": "share of prompt tokens on the device",
    "budget_used_server": "share of prompt tokens on the server",
    "throughput_rps": "throughput",
    "throughput_tok_per_s": "throughput",
    "span_s": "span of the run",
    "warmup_mser5_share": "share of requests in warm-up (MSER-5)",
    "sketched_share": "share of requests sketched",
    "battery_user_day_percent": "battery per user and day",
    "n_battery_refused": "requests refused for the battery",
    "event_tok_mean": "tokens per event",
    "accuracy": "accuracy",
    "slo_attainment": "share of requests within all targets",
    "goodput_rps": "goodput",
}
_KEYS = {
    "rate_per_s": "arrival rate",
    "n_requests": "requests",
    "n_users": "users",
    "digest": "",
    "kind": "",
    "profile": "",
    "budget": "budget",
    "tok_per_s": "reading speed",
}
_UNITS = (
    ("_tok_per_s", "tokens/s"), ("_per_s", "1/s"), ("_ms", "ms"), ("_s", "s"), ("_tok", "tokens"), ("_usd", "USD"),
    ("_j", "J"), ("_bytes", "bytes"), ("_w", "W"),
)  # fmt: skip
_SHOWN_UNITS = {"tok": "tokens", "tok/s": "tokens/s", "tok s": "tokens·s", "1/s": "requests/s"}


def factor_of(name: str) -> float:
    """Return what a metric is multiplied with where people look at it: dollars per request count for a thousand."""
    metric = DEFINITIONS.get(name)
    is_single = metric is not None and metric.unit == "USD" and not metric.name.endswith("_total_usd")
    return PER_REQUESTS if is_single else 1.0


def metric_label(name: str) -> str:
    """Return the label of an axis of a metric.

    Examples
    --------
    >>> metric_label("ttft_p99_s"), metric_label("unified_cost_mean_usd"), metric_label("tbt_displayed_pooled_p99_s")
    ('p99 TTFT [s]', 'unified cost [USD per 1,000 requests]', 'p99 displayed TBT [s]')
    >>> metric_label("device_energy_mean_j"), metric_label("qoe_andes_mean"), metric_label("my_own_number")
    ('device energy [J per request]', 'mean QoE', 'my own number')
    """
    metric = DEFINITIONS.get(name)
    if metric is None:
        return name.replace("_", " ")
    words, unit = metric_words(metric)
    return f"{words} [{unit}]" if unit else words


def metric_words(metric: MetricDefinition) -> tuple[str, str]:
    """Return what a metric is called in words, and the unit in which it is shown; '' for pure numbers."""
    return _WHOLE.get(metric.name) or _built(metric.name), _unit(metric)


def _unit(metric: MetricDefinition) -> str:
    if metric.unit in ("USD", "J") and not metric.name.endswith(("_total_usd", "_total_j")):
        return "USD per 1,000 requests" if metric.unit == "USD" else "J per request"
    if metric.unit in ("", "1") or metric.name.startswith("n_tok_late"):
        return ""
    return _SHOWN_UNITS.get(metric.unit, metric.unit)


def _built(name: str) -> str:
    """Return a name in words: the statistic first, then what it is of."""
    stem = re.sub(r"_(s|tok|usd|j|percent|rps)$", "", name)
    stem = re.sub(r"^n_tok_", "tok_", stem)
    stem = re.sub(r"^(n|is)_", "", stem)
    first = ""
    if stem.endswith("request_p99_mean"):
        stem, first = stem.removesuffix("_request_p99_mean"), "mean per-request p99"
    elif found := re.search(r"_p(\d+)(?:_(\d+))?$", stem):
        stem, first = stem[: found.start()], "p" + ".".join(part for part in found.groups() if part)
    elif found := re.search(r"_(mean|min|max|peak)$", stem):
        stem, first = stem[: found.start()], {"max": "largest", "min": "smallest"}.get(found[1], found[1])
    elif stem.endswith("_total"):
        stem, first = stem.removesuffix("_total"), "total"
    if stem.endswith("_share"):
        stem = stem.removesuffix("_share")
        first = f"{first} share".strip()
    if first == "mean" and name.endswith(("_usd", "_j")):
        first = ""  # per request, as the unit says
    stem = re.sub(r"(^|_)pooled(_|$)", r"\2", stem).strip("_")
    stem = re.sub(r"^(tbt|ttft|e2e)_(displayed|generated)$", r"\2_\1", stem)
    words = " ".join(filter(None, (_NAMES.get(word, word) for word in stem.split("_"))))
    return f"{first} {words}".strip()


def key_label(path: str) -> str:
    """Return the label of an axis along which a key of the scenario was varied.

    Examples
    --------
    >>> key_label("workload.arrivals.rate_per_s"), key_label("policies.DiSCo-S.budget"), key_label("devices[0].profile")
    ('arrival rate [1/s]', 'budget', 'device')
    >>> key_label("server.digest"), key_label("server.ttft_slope_s"), key_label("link")
    ('server', 'ttft slope [s]', 'link')
    """
    parts = [re.sub(r"\[\d+\]", "", part) for part in path.split(".")]
    last = parts[-1]
    unit = next((unit for suffix, unit in _UNITS if f"_{last}".endswith(suffix)), "")
    suffix = next((suffix for suffix, _ in _UNITS if last.endswith(suffix)), "")
    words = _KEYS.get(last, last.removesuffix(suffix).replace("_", " "))
    if not words:
        above = parts[-2] if len(parts) > 1 else last
        words = above.removesuffix("s") if above.endswith(("devices", "policies")) else above.replace("_", " ")
    return f"{words} [{unit}]" if unit else words
