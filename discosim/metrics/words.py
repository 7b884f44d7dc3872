"""Metrics as people say them: the name in words, and the unit in which a number is easy to read."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from discosim.metrics.definitions import DEFINITIONS

PER_THOUSAND = 1000.0
"""Requests that money and joules per request are told for: a thousandth of a cent is nothing to anybody."""
MILLI_BELOW_S = 0.2
"""Times that all lie below are told in milliseconds."""
KILO_FROM_J = 1e4

_STEMS = {
    "ttft": "time to first token",
    "ttft_generated": "time to first token at its endpoint",
    "ttft_visible": "time to first visible token",
    "tpot": "time per output token",
    "norm_latency": "time per token, first included",
    "e2e": "time to last token",
    "e2e_generated": "time to last token at its endpoint",
    "e2e_displayed": "time to last token on the screen",
    "tbt": "gap between tokens",
    "tbt_pooled": "gap between tokens",
    "tbt_displayed": "gap between tokens on the screen",
    "tbt_displayed_pooled": "gap between tokens on the screen",
    "inter_event_pooled": "gap between arrivals of tokens",
    "inter_event": "gap between arrivals of tokens",
    "stall": "waiting after the first token",
    "queue": "time in the server's queue",
    "scheduled": "time until the server takes the request",
    "server_cost": "server cost",
    "edge_cost": "edge cost",
    "unified_cost": "unified cost",
    "device_energy": "device energy",
    "edge_energy": "edge energy",
    "device_waiting": "device energy of waiting",
    "n_migrations": "hand-overs",
    "n_preemptions": "preemptions",
    "n_stalls": "pauses",
    "n_tok_late": "late tokens",
    "n_tok_wasted": "wasted tokens",
    "qoe_andes": "QoE",
    "qoe_andes_code": "QoE as the authors' code computes it",
    "qoe_visible": "QoE with the sketch read first",
    "quality_assumed": "assumed quality",
    "battery": "battery taken",
    "battery_user_day": "battery taken per user and day",
    "sketch_ratio": "length of a sketch over its answer",
    "event_tok": "tokens per arrival",
    "edge_batch": "sequences in a round of the edge",
    "engine_batch": "requests in the server's batch",
}
"""What a number is of, before the word that says which number: mean, a percentile, the total."""

_WORDS = {
    "n_requests": "requests",
    "n_finished": "finished requests",
    "n_failed": "failed requests",
    "n_rejected": "rejected requests",
    "tbt_request_p99_mean_s": "mean of each request's p99 gap",
    "tbt_displayed_request_p99_mean_s": "mean of each request's p99 gap on the screen",
    "stall_request_share": "requests with a pause",
    "stall_time_share": "share of reading time spent waiting",
    "n_tok_late_per_migration": "late tokens per hand-over",
    "qoe_andes_ge_0_95_share": "requests with a QoE of 0.95 or more",
    "qoe_andes_ge_0_99_share": "requests with a QoE of 0.99 or more",
    "ttft_target_attainment": "requests whose first token came in time",
    "device_first_share": "first tokens that the device produced",
    "n_tok_device_share": "tokens that the device produced",
    "n_tok_edge_share": "tokens that the edge produced",
    "n_tok_wasted_share": "generated tokens that nobody saw",
    "n_tok_device": "tokens by the device",
    "n_tok_server": "tokens by the server",
    "n_tok_edge": "tokens by the edge",
    "budget_used_device": "device budget used",
    "budget_used_server": "server budget used",
    "span_s": "length of the run",
    "throughput_rps": "finished requests per second",
    "throughput_tok_per_s": "shown tokens per second",
    "warmup_mser5_share": "requests that count as warm-up",
    "engine_gpu_s": "GPU time at work",
    "engine_busy_share": "time the server was at work",
    "engine_queue_peak": "longest queue of the server",
    "engine_kv_mean_share": "KV memory in use, mean",
    "engine_kv_peak_share": "KV memory in use, peak",
    "engine_n_iterations": "iterations of the server",
    "gpu_s": "GPU time",
    "kv_tok_s": "memory held at the server",
    "sketched_share": "requests answered from a sketch",
    "edge_busy_s": "time the edge was at work",
    "edge_busy_share": "share of time the edge was at work",
    "edge_idle_slot_share": "empty slots of working edge boxes",
    "edge_queue_peak": "longest queue of the edge",
    "battery_left_mean_percent": "battery left, mean",
    "battery_left_min_percent": "battery left, emptiest",
    "battery_low_share": "batteries below their reserve",
    "n_battery_refused": "requests refused by a low battery",
    "accuracy": "questions answered right",
    "slo_attainment": "requests within all targets",
    "goodput_rps": "goodput",
    "makespan_s": "first arrival to last token",
    "tok_per_s": "tokens per second",
}
_OF = re.compile(r"^(?P<stem>.+?)_(?P<which>mean|total|max|min|p\d+(?:_\d+)?)$")
_UNIT = re.compile(r"_(s|ms|usd|j|tok|percent|rps)$")


def in_words(name: str) -> str:
    """Return the name of a metric, or of a column of a table, in words, without its unit.

    Examples
    --------
    >>> in_words("ttft_mean_s"), in_words("ttft_p99_s"), in_words("tbt_pooled_p50_s")
    ('mean time to first token', 'p99 time to first token', 'median gap between tokens')
    >>> in_words("server_cost_mean_usd"), in_words("server_cost_total_usd"), in_words("qoe_andes_mean")
    ('server cost', 'total server cost', 'QoE')
    >>> in_words("gap_mean_max_ms"), in_words("budget")
    ('gap mean max', 'budget')
    """
    if name in _WORDS:
        return _WORDS[name]
    plain = _UNIT.sub("", name)
    if plain in _STEMS:
        return _STEMS[plain]
    found = _OF.match(plain)
    if not found or found["stem"] not in _STEMS:
        return plain.replace("_", " ")
    stem, which = _STEMS[found["stem"]], found["which"]
    if which == "mean":
        return f"mean {stem}" if stem.startswith(("time", "gap")) else stem
    words = {"total": "total", "max": "longest", "min": "shortest", "p50": "median"}
    return f"{words.get(which, which.replace('_', '.'))} {stem}"


@dataclass(frozen=True)
class Readable:
    """The unit of a column of numbers as people read it.

    Parameters
    ----------
    factor : float
        What the numbers are multiplied with.
    unit : str
        Behind a number: ``s``, ``ms``, ``%``, ``J``; empty for pure numbers and money.
    prefix : str
        Before a number: ``$``.
    per : str
        What the number is for: ``per 1,000 requests``, or empty.
    """

    factor: float = 1.0
    unit: str = ""
    prefix: str = ""
    per: str = ""

    @property
    def head(self) -> str:
        """The unit as a heading says it; empty where there is none."""
        return " ".join(part for part in (self.prefix or self.unit, self.per) if part)


def readable(name: str, unit: str, values: Iterable[float] = ()) -> Readable:
    """Return how the numbers of a metric are easy to read.

    Parameters
    ----------
    name : str
        Of the metric or column.
    unit : str
        Of the numbers as they are stored.
    values : iterable of float
        The numbers that will stand beside each other; their size decides between s and ms, J and kJ.

    Examples
    --------
    >>> readable("server_cost_mean_usd", "USD", [8.82e-5]).head
    '$ per 1,000 requests'
    >>> readable("tbt_pooled_p99_s", "s", [0.043, 0.08]), readable("accuracy", "1").unit
    (Readable(factor=1000.0, unit='ms', prefix='', per=''), '%')
    """
    sizes = [abs(value) for value in values if math.isfinite(value)]
    largest = max(sizes, default=0.0)
    is_each = "_mean_" in name or (name in DEFINITIONS and DEFINITIONS[name].level == "request")
    if unit == "USD":
        return Readable(PER_THOUSAND, prefix="$", per="per 1,000 requests") if is_each else Readable(prefix="$")
    if unit == "s" and 0.0 < largest < MILLI_BELOW_S:
        return Readable(1e3, "ms")
    if unit == "J":
        per = "per request" if "_mean_" in name else ""
        return Readable(1e-3, "kJ", per=per) if largest >= KILO_FROM_J else Readable(unit="J", per=per)
    if unit == "1":
        return Readable(100.0, "%") if is_share(name) else Readable()
    words = {"tok": "tokens", "tok/s": "tokens/s", "1/s": "per s", "tok s": "token seconds"}
    return Readable(unit=words.get(unit, unit))


def is_share(name: str) -> bool:
    """Tell whether a pure number is a share of a whole, which people read in per cent."""
    return name.endswith(("_share", "_attainment")) or name.startswith("budget_used_") or name == "accuracy"
