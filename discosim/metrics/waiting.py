"""What phones take while they wait for somebody else and receive."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discosim.metrics.declare import MetricDefinition

Columns = Mapping[str, NDArray[Any]]
_ONLY = "Only where a device of the scenario has `waiting`."
_SOURCE = "powers assumed in the scenario; who pays for a moment that requests share is our choice"

WAITING_REQUEST_METRICS: tuple[MetricDefinition, ...] = (
    MetricDefinition(
        name="device_waiting_j",
        level="request",
        unit="J",
        dtype="float64",
        computed_by="discosim.metrics.cost.cost_columns",
        formula="integral of screen_w and of wait_w or receive_w over time that no request closed before has paid for",
        description="The part of device_energy_j that screen, radio and its tail took while the phone waited for "
        f"somebody else and received. {_ONLY}",
        direction="lower",
        source=_SOURCE,
    ),
)
WAITING_SUMMARY_METRICS: tuple[MetricDefinition, ...] = (
    MetricDefinition(
        name="device_waiting_mean_j",
        level="summary",
        unit="J",
        dtype="float64",
        computed_by="discosim.metrics.waiting.waiting_numbers",
        formula="sum(device_waiting_j)/n_served",
        description=f"Energy of waiting and receiving per served request (finished or failed). {_ONLY}",
        direction="lower",
        source=_SOURCE,
    ),
)
WAITING_COLUMNS = tuple(metric.name for metric in WAITING_REQUEST_METRICS)
WAITING_NUMBERS = tuple(metric.name for metric in WAITING_SUMMARY_METRICS)
"""Columns and numbers that stand in a result only where waiting counts."""


def waiting_numbers(columns: Columns) -> dict[str, float]:
    """Return what waiting and receiving took by served request."""
    n_served = int((columns["status"] != "rejected").sum())
    total = float(columns["device_waiting_j"].sum())
    return {"device_waiting_mean_j": total / n_served if n_served else np.nan}
