"""How the batteries of a world stand when its last answer has ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from discosim.metrics.battery import Batteries
from discosim.runs.collect import Columns
from discosim.world.fleet import Fleet


def batteries_of(fleet: Fleet, columns: Columns) -> Batteries | None:
    """Return the batteries of a world that has run; None where no kind of device has one."""
    charges = fleet.charges()
    if not charges:
        return None
    finished = columns["status"] == "finished"
    ends_s = (columns["arrival_s"] + columns["e2e_s"])[finished]
    end_s = float(ends_s.max()) if ends_s.size else float(columns["arrival_s"].max(initial=0.0))
    return Batteries(
        capacity_j=np.array([np.nan if charge is None else charge.capacity_j for charge in charges]),
        left_percent=np.array([np.nan if charge is None else charge.left_percent(end_s) for charge in charges]),
        is_low=np.array([charge is not None and charge.is_low(end_s) for charge in charges]),
        n_refused=sum(charge.n_refused for charge in charges if charge is not None),
    )


def refused_note(policy: str, summaries: Sequence[Mapping[str, float]]) -> str | None:
    """Return how often devices refused under a policy, as a sentence; None where they never did."""
    counts = [numbers.get("n_battery_refused", 0.0) for numbers in summaries]
    if not any(count > 0.0 for count in counts):  # NaN where no user has drawn the device with a battery
        return None
    mean = float(np.nanmean(counts))
    return (
        f"{policy}: devices refused {mean:,.4g} times per replication, as their batteries were below the reserve "
        "(n_battery_refused); the request went to the server or failed, as the policy has it"
    )
