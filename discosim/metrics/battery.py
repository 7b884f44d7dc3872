"""What requests take from the batteries of their users' devices."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discosim.metrics.declare import MetricDefinition

DAY_S = 86_400.0

Floats = NDArray[np.float64]
Columns = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Batteries:
    """The batteries of all users of a replication, as arrays of one entry per user.

    Parameters
    ----------
    capacity_j : array of float
        Capacity; NaN for a user without a battery.
    left_percent : array of float
        Charge when the last answer had ended, in [0, 100]; NaN likewise.
    is_low : array of bool
        Whether that is below the reserve.
    n_refused : int
        Streams that devices refused because of it.
    """

    capacity_j: Floats
    left_percent: Floats
    is_low: NDArray[np.bool_]
    n_refused: int


def battery_columns(columns: Columns, batteries: Batteries) -> dict[str, Floats]:
    """Return what each request took of its user's battery, in per cent of the capacity; NaN without a battery."""
    capacity_j = batteries.capacity_j[columns["user_id"]]
    return {"battery_percent": 100.0 * columns["device_energy_j"] / capacity_j}


def battery_numbers(columns: Columns, batteries: Batteries, span_s: float) -> dict[str, float]:
    """Return what requests took of batteries, by request and by user and day, and how batteries stand at the end.

    Parameters
    ----------
    columns : mapping of str to array, shape (n,)
        With `battery_columns` as ``battery_percent``.
    batteries : Batteries
        Of all users.
    span_s : float
        From the first arrival to the last token; NaN where nothing was answered.
    """
    took = columns["battery_percent"]
    counted = ~np.isnan(took) & (columns["status"] != "rejected")
    has_battery = ~np.isnan(batteries.capacity_j)
    n_users, total = int(has_battery.sum()), float(np.nansum(took))
    if not n_users:  # a kind of device that no user drew
        return NO_BATTERY
    left = batteries.left_percent[has_battery]
    return {
        "battery_mean_percent": total / int(counted.sum()) if counted.any() else math.nan,
        "battery_user_day_percent": total / n_users * DAY_S / span_s if span_s > 0.0 else math.nan,
        "battery_left_mean_percent": float(left.mean()),
        "battery_left_min_percent": float(left.min()),
        "battery_low_share": float(batteries.is_low[has_battery].mean()),
        "n_battery_refused": float(batteries.n_refused),
    }


_request = partial(MetricDefinition, level="request", dtype="float64")
_summary = partial(
    MetricDefinition, level="summary", dtype="float64", computed_by="discosim.metrics.battery.battery_numbers"
)
_ONLY = "Only where a device of the scenario has a battery."

BATTERY_REQUEST_METRICS: tuple[MetricDefinition, ...] = (
    _request(
        name="battery_percent",
        unit="%",
        formula="100*device_energy_j/capacity of the user's battery",
        description=f"Share of a full battery that the request took. {_ONLY} NaN where the user's device has none.",
        computed_by="discosim.metrics.battery.battery_columns",
        direction="lower",
    ),
)
BATTERY_SUMMARY_METRICS: tuple[MetricDefinition, ...] = (
    _summary(
        name="battery_mean_percent",
        unit="%",
        formula="sum(battery_percent)/#{served requests of users with a battery}",
        description=f"Per cent of a battery per served request of users with a battery. {_ONLY}",
        direction="lower",
    ),
    _summary(
        name="battery_user_day_percent",
        unit="%",
        formula="sum(battery_percent)/users with a battery*86400/span_s",
        description="Per cent of a battery that requests take per user and day, at the rate of the run; what the rest "
        f"of the phone takes (drain_w) is not in it. Users are all up to the highest user_id. {_ONLY}",
        direction="lower",
    ),
    _summary(
        name="battery_left_mean_percent",
        unit="%",
        formula="mean over users with a battery of max(0, start - requests - drain_w*time)",
        description=f"Charge of the batteries when the last answer has ended. {_ONLY}",
        direction="higher",
    ),
    _summary(
        name="battery_left_min_percent",
        unit="%",
        formula="min over users with a battery of max(0, start - requests - drain_w*time)",
        description=f"Charge of the emptiest battery when the last answer has ended. {_ONLY}",
        direction="higher",
    ),
    _summary(
        name="battery_low_share",
        unit="1",
        formula="#{charge below reserve_percent}/#{users with a battery}",
        description=f"Share of the batteries that are below their reserve when the last answer has ended. {_ONLY}",
        direction="lower",
    ),
    _summary(
        name="n_battery_refused",
        unit="1",
        formula="#{streams refused}",
        description="How often a device was asked for tokens and refused because its battery was below its reserve. "
        f"{_ONLY}",
        direction="lower",
    ),
)
NO_BATTERY: dict[str, float] = {metric.name: math.nan for metric in BATTERY_SUMMARY_METRICS}
"""What a run without batteries has to say about them; such numbers have no place in its files."""
