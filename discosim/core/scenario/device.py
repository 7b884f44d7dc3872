"""The fleet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from discosim.core.scenario.device_noise import HeatSpec, MeasuredHeat, MeasuredResidual, ResidualSpec
from discosim.core.spec import spec


@dataclass(frozen=True, kw_only=True)
class Throttle:
    """A two-speed thermal model: a device that has been busy too long runs at a sustained fraction of its speed."""

    onset_s: float = spec(doc="Busy time at full speed before throttling, from cold.", unit="s", ge=0)
    sustained: float = spec(doc="Speed while hot, as a share of full speed.", gt=0, le=1)
    cooling: float = spec(1.0, doc="Seconds of heat lost per idle second.", gt=0)


@dataclass(frozen=True, kw_only=True)
class ColdStart:
    """A model that has to be loaded before the device can work, and is dropped from memory when idle for long."""

    load_s: float | None = spec(None, doc="Time to load the model; null for the profile's.", unit="s", ge=0)
    keep_s: float = spec(300.0, doc="Idle time after which the model is dropped.", unit="s", ge=0)


@dataclass(frozen=True, kw_only=True)
class Device:
    """One kind of device of the fleet: a measured profile, and what the scenario changes about it."""

    profile: str | None = spec(None, doc="Name of a device profile (`discosim traces list`).", min_length=1)
    profile_file: str | None = spec(
        None,
        doc="Profile of your own device, as `discosim traces digest-device` makes it; instead of `profile`.",
        min_length=1,
        since="0.2",
    )
    share: float = spec(1.0, doc="Share of the users who own it (shares are normalised).", gt=0)
    decode_tok_per_s: float | None = spec(None, doc="Replace the measured decode rate.", unit="tok/s", gt=0)
    prefill_s_per_tok: float | None = spec(None, doc="Replace the measured prefill time per token.", unit="s/tok", ge=0)
    prefill_intercept_s: float | None = spec(None, doc="Replace the measured fixed prefill time.", unit="s", ge=0)
    prefill_j_per_tok: float | None = spec(None, doc="Replace the energy per prompt token.", unit="J/tok", ge=0)
    decode_j_per_tok: float | None = spec(None, doc="Replace the energy per decoded token.", unit="J/tok", ge=0)
    decode_j_per_tok_per_b: float | None = spec(
        None,
        doc="Replace the energy per decoded token by this, times the billions of parameters of the profile's model; a "
        "prompt token keeps its ratio to it.",
        unit="J/tok",
        ge=0,
        since="0.2",
    )
    decode_over_prefill: float | None = spec(
        None, doc="Replace the energy per prompt token: that of a decoded token over this.", gt=0, since="0.2"
    )
    context: Literal["enforce", "extrapolate"] = spec(
        "enforce", doc="Fail above the profile's context length, or extrapolate its speed."
    )
    throttle: Throttle | None = spec(None, doc="Thermal throttling; null for none.")
    cold_start: ColdStart | None = spec(None, doc="Loading the model; null for a model that is always in memory.")
    residual: ResidualSpec = spec(MeasuredResidual, doc="How times differ from the line.", since="0.2")
    heat: HeatSpec = spec(MeasuredHeat, doc="How it slows down when hot; not beside `throttle`.", since="0.2")
