"""Targets that somebody sets for requests afterwards: how many met them all, and how many such came a second."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discosim.core.errors import UserError, close_match
from discosim.metrics.declare import MetricDefinition
from discosim.metrics.request_definitions import REQUEST_METRICS

Columns = Mapping[str, NDArray[Any]]
Targets = Mapping[str, float]
"""Column of requests.parquet -> the most that it may be."""

TARGETABLE: tuple[str, ...] = tuple(m.name for m in REQUEST_METRICS if m.unit == "s" and m.direction == "lower")
"""Durations of a request of which less is better."""
IS_GOOD = "is_good"
_row = partial(MetricDefinition, level="on_demand", dtype="float64", direction="higher")
_SERVED = "served requests (finished or failed)"

TARGET_METRICS: tuple[MetricDefinition, ...] = (
    _row(
        name="slo_attainment",
        computed_by="discosim.metrics.targets.slo_attainment",
        unit="1",
        formula="#{finished, every x <= its target}/n_served",
        description=f"Share of {_SERVED} that met every target given; a failed one misses, and a gap that a request of "
        "one token has not is not late.",
        source="DistServe (arXiv 2401.09670), SLO attainment",
        aliases={"DistServe": "SLO attainment"},
    ),
    _row(
        name="goodput_rps",
        computed_by="discosim.metrics.targets.goodput_rps",
        unit="1/s",
        formula="#{finished, every x <= its target}/span_s",
        description="Requests that met every target given, per second from the first arrival to the last token; over "
        "an open workload below saturation it follows the load. Not the highest load that keeps an attainment.",
        source="vLLM bench serve, request_goodput",
        aliases={"vLLM bench serve": "request_goodput", "AIPerf": "goodput"},
    ),
)
TARGET_NUMBERS: tuple[str, ...] = tuple(metric.name for metric in TARGET_METRICS)


def parse_targets(text: str, where: str = "--slo") -> dict[str, float]:
    """Read ``ttft_s=0.5,tpot_s=0.1``.

    Raises
    ------
    UserError
        For anything else, an unknown column, or one named twice.
    """
    found: dict[str, float] = {}
    for item in text.split(","):
        name, sign, number = (part.strip() for part in item.partition("="))
        try:
            most = float(number)
        except ValueError:
            most = math.nan
        if not name or not sign or math.isnan(most):
            raise UserError(f"expected targets as ttft_s=0.5,tpot_s=0.1 (got {item.strip()!r})", where=where)
        if name in found:
            raise UserError(f"{name} has two targets", where=where)
        found[name] = most
    return checked_targets(found, where)


def checked_targets(targets: Targets, where: str = "targets") -> dict[str, float]:
    """Return targets by column, or say what is wrong with them.

    Raises
    ------
    UserError
        For none, an unknown column, or a target that is no positive number.
    """
    if not targets:
        raise UserError("name at least one target, for example ttft_s=0.5", where=where)
    for name, most in targets.items():
        if name not in TARGETABLE:
            raise UserError(f"'{name}' is no duration of a request; {close_match(name, TARGETABLE)}", where=where)
        is_number = isinstance(most, int | float) and not isinstance(most, bool)
        if not is_number or not 0.0 < most < math.inf:
            raise UserError(f"{name} must be a number of seconds above 0 (got {most!r})", where=where)
    return {name: float(most) for name, most in targets.items()}


def targets_text(targets: Targets) -> str:
    """Return targets as people read them.

    Examples
    --------
    >>> targets_text({"ttft_s": 0.5, "tpot_s": 0.1})
    'ttft_s <= 0.5 s, tpot_s <= 0.1 s'
    """
    return ", ".join(f"{name} <= {most:g} s" for name, most in targets.items())


def is_good(columns: Columns, targets: Targets) -> NDArray[np.bool_]:
    """Return which requests finished and met every target; undefined durations of a finished one are not late."""
    good = columns["status"] == "finished"
    for name, most in targets.items():
        good = good & ~(columns[name] > most)
    return np.asarray(good, dtype=bool)


def slo_attainment(columns: Columns, targets: Targets) -> float:
    """Return the share of served requests that met every target; NaN where none was served."""
    n_served = int((columns["status"] != "rejected").sum())
    return float(is_good(columns, targets).sum() / n_served) if n_served else math.nan


def goodput_rps(columns: Columns, targets: Targets, span_s: float) -> float:
    """Return the requests that met every target, per second of the run; NaN where it has no length."""
    return float(is_good(columns, targets).sum() / span_s) if span_s > 0.0 else math.nan


def target_numbers(columns: Columns, targets: Targets, span_s: float) -> dict[str, float]:
    """Return both numbers of one policy in one replication."""
    return {
        "slo_attainment": slo_attainment(columns, targets),
        "goodput_rps": goodput_rps(columns, targets, span_s),
    }
