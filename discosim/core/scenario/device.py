"""The fleet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from discosim.core.scenario.battery import Battery
from discosim.core.scenario.device_noise import HeatSpec, MeasuredHeat, MeasuredResidual, ResidualSpec
from discosim.core.scenario.waiting import Waiting
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
    """One kind of device of the fleet: a measured profile and what the scenario changes about it, or its own figures."""

    profile: str | None = spec(
        None,
        doc="Name of a device profile (`discosim traces list`); null for a device of one's own, which needs "
        "`decode_tok_per_s`, a prefill speed and both energies.",
        min_length=1,
    )
    profile_file: str | None = spec(
        None,
        doc="Profile of your own device, as `discosim traces digest-device` makes it; instead of `profile`.",
        min_length=1,
        since="0.2",
    )
    name: str | None = spec(
        None, doc="What the notes call it; null for its profile or its place in the list.", min_length=1, since="0.2"
    )
    share: float = spec(1.0, doc="Share of the users who own it (shares are normalised).", gt=0)
    decode_tok_per_s: float | None = spec(None, doc="Replace the measured decode rate.", unit="tok/s", gt=0)
    prefill_s_per_tok: float | None = spec(None, doc="Replace the measured prefill time per token.", unit="s/tok", ge=0)
    prefill_tok_per_s: float | None = spec(
        None,
        doc="The same as a rate, which is what most tools print; not beside `prefill_s_per_tok`.",
        unit="tok/s",
        gt=0,
        since="0.2",
    )
    prefill_intercept_s: float | None = spec(None, doc="Replace the measured fixed prefill time.", unit="s", ge=0)
    chunk_tok: int | Literal["none"] | None = spec(
        None,
        doc="Prompt tokens that are processed together, so that a prompt counts as whole chunks; `none` for a prefill "
        "in proportion. null is the profile's chunk, unless the scenario replaces the prefill speed and the profile's "
        "chunk is assumed.",
        unit="tok",
        ge=1,
        since="0.2",
    )
    max_context_tok: int | None = spec(
        None,
        doc="Longest prompt, tokens that another endpoint wrote included; null for the profile's, or no limit.",
        unit="tok",
        ge=1,
        since="0.2",
    )
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
    battery: Battery | None = spec(None, doc="A battery that runs down; null for one that never does.", since="0.2")
    waiting: Waiting | None = spec(
        None,
        doc="What it takes while it waits for somebody else and receives; null for nothing, which favours policies that "
        "let the phone wait.",
        since="0.2",
    )
    residual: ResidualSpec = spec(MeasuredResidual, doc="How times differ from the line.", since="0.2")
    heat: HeatSpec = spec(MeasuredHeat, doc="How it slows down when hot; not beside `throttle`.", since="0.2")
