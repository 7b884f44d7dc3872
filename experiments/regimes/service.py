"""A service by two numbers: a log-normal TTFT, written as the digest file that a scenario names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.special import ndtri

from discosim.core.empirical import CorrelatedSeries, QuantileTable
from discosim.traces.digest import Card, LatencyDigest
from discosim.traces.digest_file import dump_digest

TPOT_S = 0.02
"""Time per token, assumed; half of the services in traces/latency are quicker."""
LEVELS = np.concatenate(([0.0], np.linspace(0.005, 0.9, 180), np.linspace(0.9, 0.999, 100)[1:], [0.9995, 1.0]))
ENDS = (0.001, 0.9998)
"""Levels whose quantiles are the shortest and the longest TTFT."""


def sigma_of(tail: float) -> float:
    """Return the sigma of a log-normal law whose p99 is ``tail`` times its median."""
    return float(np.log(tail) / ndtri(0.99))


def table_of(median_s: float, tail: float) -> QuantileTable:
    """Return the law of the TTFT, last hop aside, as the table that the service draws from."""
    values = median_s * np.exp(sigma_of(tail) * ndtri(np.clip(LEVELS, *ENDS)))
    return QuantileTable(tuple(LEVELS.tolist()), tuple(values.tolist()))


def write_service(path: Path, median_s: float, tail: float) -> None:
    """Write the service as a digest file."""
    card = Card(
        title="a log-normal service",
        origin="experiments/regimes/service.py",
        commit="",
        licence="CC0-1.0",
        citation="none",
        raw_file="none",
        raw_sha256="0" * 64,
        method="log-normal by median and by p99 over median",
        quirks=(),
        contains=("inference", "queueing", "wide_area"),
        status={"*": "assumption"},
    )
    ttft, tpot = table_of(median_s, tail), QuantileTable.constant(TPOT_S)
    digest = LatencyDigest(
        name="log-normal",
        card=card,
        n=100_000,
        ttft=CorrelatedSeries(ttft, 0.0),
        tpot=CorrelatedSeries(tpot, 0.0),
        failure_share=0.0,
        failures={},
        moments={},
    )
    path.write_text(dump_digest(digest), encoding="utf-8")
