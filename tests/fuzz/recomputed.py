"""The columns of a request from its tokens, by plain loops that share nothing with the package but its formulas."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

NANO_S = 1e-9
"""Lateness up to this is no pause; docs/metrics.md."""

Row = Mapping[str, Any]


def latency_columns(
    row: Row, arrival: Sequence[float], shown: Sequence[float], made: Sequence[float]
) -> dict[str, float]:
    """Return the latency columns of one finished request.

    Parameters
    ----------
    row : mapping
        The request: ``reader_tok_per_s, ttft_target_s``.
    arrival, shown, made : sequence of float
        When each token reached the client, was on screen, and was made, in s since the request.
    """
    n = len(arrival)
    gaps = [b - a for a, b in pairwise(arrival)]
    on_screen = [b - a for a, b in pairwise(shown)]
    return {
        "ttft_s": arrival[0],
        "ttft_generated_s": made[0],
        "e2e_s": arrival[-1],
        "e2e_generated_s": made[-1],
        "e2e_displayed_s": shown[-1],
        "tpot_s": (arrival[-1] - arrival[0]) / (n - 1) if n > 1 else math.nan,
        "norm_latency_s": arrival[-1] / n,
        "tbt_max_s": max(gaps, default=math.nan),
        "tbt_p99_s": _p99(gaps),
        "tbt_displayed_max_s": max(on_screen, default=math.nan),
        "tbt_displayed_p99_s": _p99(on_screen),
    }


def reading_columns(row: Row, arrival: Sequence[float]) -> dict[str, float]:
    """Return what the reader of one finished request lives through; ``arrival`` is when the client has each token."""
    rate, target, n = row["reader_tok_per_s"], row["ttft_target_s"], len(arrival)
    ideal = [target + i / rate for i in range(n)]
    consumed = consumption(arrival, rate)
    late = stalls = 0
    waited = 0.0
    for i in range(1, n):
        pause = consumed[i] - consumed[i - 1] - 1.0 / rate
        if pause > NANO_S:
            stalls += 1
            waited += pause
        late += arrival[i] > arrival[0] + i / rate + NANO_S
    delay = sum(max(c - t, 0.0) for c, t in zip(consumed, ideal, strict=True))
    end = max(consumed[-1], ideal[-1])
    whole = sum(end - t for t in ideal) + (1.0 / rate if n == 1 else 0.0)
    charged = [arrival[0]]
    for i in range(n):
        charged.append(max(arrival[i], charged[-1] + 1.0 / rate))
    lagged = sum(max(a - t, 0.0) for a, t in zip(charged[:n], ideal, strict=True))
    area = n * (charged[n] - target) - n * n / (2.0 * rate)
    return {
        "stall_s": waited,
        "n_stalls": stalls,
        "n_tok_late": late,
        "qoe_andes": 1.0 if delay <= 0 else min(1.0, max(0.0, 1.0 - delay / whole)),
        "qoe_andes_code": 1.0 if lagged <= 0 else min(1.0, max(0.0, 1.0 - lagged / area)),
    }


def consumption(arrival: Sequence[float], rate: float) -> list[float]:
    """Return when each token is consumed, in one addition since the last pause: a sum of many would drift."""
    consumed, since = [arrival[0]], 0
    for i in range(1, len(arrival)):
        next_s = arrival[since] + (i - since) / rate
        if arrival[i] > next_s:
            since, next_s = i, arrival[i]
        consumed.append(next_s)
    return consumed


def counted_columns(endpoints: Sequence[str]) -> dict[str, int]:
    """Return what is counted over the shown tokens, by the role of who made each."""
    return {
        **{f"n_tok_{role}": sum(role_of(e) == role for e in endpoints) for role in ("device", "server", "edge")},
        "n_migrations": sum(a != b for a, b in pairwise(endpoints)),
    }


def role_of(endpoint: str) -> str:
    """Return the role of an endpoint: what is neither a device nor the edge is a service."""
    return endpoint if endpoint in {"device", "edge"} else "server"


def _p99(values: Sequence[float]) -> float:
    """Return the 99th percentile by linear interpolation between order statistics."""
    if not values:
        return math.nan
    ranked = sorted(values)
    at = 0.99 * (len(ranked) - 1)
    low = int(at)
    high = min(low + 1, len(ranked) - 1)
    return ranked[low] + (ranked[high] - ranked[low]) * (at - low)
