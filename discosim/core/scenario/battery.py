"""A device's battery."""

from __future__ import annotations

from dataclasses import dataclass

from discosim.core.spec import spec


@dataclass(frozen=True, kw_only=True)
class Battery:
    """A battery that runs down over the run; nobody charges it. Below the reserve the device takes nothing on."""

    capacity_wh: float = spec(doc="Energy of a full battery; one in mAh is times 3.85 V / 1000.", unit="Wh", gt=0)
    start_percent: float = spec(100.0, doc="Charge when the run begins.", unit="%", gt=0, le=100)
    reserve_percent: float = spec(
        20.0,
        doc="Charge below which the device is not used (our choice: where phones offer to save power).",
        unit="%",
        ge=0,
        le=100,
    )
    drain_w: float = spec(0.0, doc="What the rest of the phone takes all the time.", unit="W", ge=0)
