"""Axes in words: of metrics with the unit from their definitions, of keys of a scenario with that of their suffix.

Words and units are those of `discosim.metrics.words`, words in the field's own short forms: a label of a column's width
has no room for others. Units do not depend on the numbers, so that two pictures in the same axes have the same.
"""

from __future__ import annotations

import re

from discosim.metrics.definitions import DEFINITIONS
from discosim.metrics.words import in_words, readable

_SHORT = {
    "time to first token": "TTFT",
    "time per output token": "TPOT",
    "gap between tokens": "TBT",
    "time to last token": "end-to-end latency",
}
_KEYS = {
    "rate_per_s": "arrival rate",
    "n_requests": "requests",
    "n_users": "users",
    "digest": "",
    "kind": "",
    "profile": "",
    "tok_per_s": "reading speed",
}
_UNITS = (
    ("_tok_per_s", "tokens/s"), ("_per_s", "1/s"), ("_ms", "ms"), ("_s", "s"), ("_tok", "tokens"), ("_usd", "USD"),
    ("_j", "J"), ("_bytes", "bytes"), ("_w", "W"),
)  # fmt: skip
_IN_PAPERS = {"$": "USD", "per s": "1/s"}


def factor_of(name: str) -> float:
    """Return what a metric is multiplied with on an axis: a thousand for dollars per request, 100 for shares.

    Examples
    --------
    >>> factor_of("unified_cost_mean_usd"), factor_of("server_cost_total_usd"), factor_of("budget_used_device")
    (1000.0, 1.0, 100.0)
    """
    return readable(name, DEFINITIONS[name].unit).factor if name in DEFINITIONS else 1.0


def metric_label(name: str) -> str:
    """Return the label of an axis of a metric.

    Examples
    --------
    >>> metric_label("ttft_p99_s"), metric_label("unified_cost_mean_usd"), metric_label("tbt_displayed_pooled_p99_s")
    ('p99 TTFT [s]', 'unified cost [USD per 1,000 requests]', 'p99 TBT on the screen [s]')
    >>> metric_label("device_energy_mean_j"), metric_label("qoe_andes_mean"), metric_label("n_tok_wasted_share")
    ('device energy [J per request]', 'QoE', 'generated tokens that nobody saw [%]')
    >>> metric_label("n_tok_late_mean"), metric_label("my_wait_s"), metric_label("my_own_number")
    ('late tokens [per request]', 'my wait [s]', 'my own number')
    """
    words, unit = metric_words(name), _unit(name)
    return f"{words} [{unit}]" if unit else words


def metric_words(name: str) -> str:
    """Return what a metric is called in words, without its unit."""
    words = in_words(name)
    for long, short in _SHORT.items():
        words = words.replace(long, short)
    return words


def _unit(name: str) -> str:
    """Return the unit in which a metric is shown; '' for pure numbers, and where its words say it."""
    if name not in DEFINITIONS:
        return next((unit for suffix, unit in _UNITS if name.endswith(suffix)), "")
    if name.startswith("n_") and name.endswith("_mean"):
        return "per request"
    known, words = readable(name, DEFINITIONS[name].unit), in_words(name)
    if "per second" in words or (known.unit == "tokens" and "tokens" in words):
        return ""
    if known.unit == "J" and not name.endswith("_total_j"):
        return "J per request"
    return " ".join(_IN_PAPERS.get(part, part) for part in (known.prefix or known.unit, known.per) if part)


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
    suffix, unit = next(((suffix, unit) for suffix, unit in _UNITS if f"_{last}".endswith(suffix)), ("", ""))
    words = _KEYS.get(last, last.removesuffix(suffix).replace("_", " "))
    if not words:
        above = parts[-2] if len(parts) > 1 else last
        words = above.removesuffix("s") if above.endswith(("devices", "policies")) else above.replace("_", " ")
    return f"{words} [{unit}]" if unit else words
