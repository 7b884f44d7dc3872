"""From what a scenario says of a device's noise and heat, and what its profile holds, to the laws of the world."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from discosim.core.device_law import Heat, Residual, Stalls
from discosim.core.empirical import CorrelatedSeries, QuantileTable
from discosim.core.errors import UserError
from discosim.core.portable import exp
from discosim.core.scenario import (
    ColdStart,
    Device,
    GivenHeat,
    LognormalResidual,
    MeasuredHeat,
    MeasuredResidual,
    QuantileResidual,
    Scenario,
)
from discosim.runs.device_digest import digest_name, digest_of
from discosim.traces.catalogue import load_digest
from discosim.traces.digest import DeviceDigest
from discosim.world.device_profile import DeviceProfile

TAIL_LEVELS = (1e-5, 1e-4, 1e-3)


def with_noise(profile: DeviceProfile, device: Device, where: str) -> DeviceProfile:
    """Return a profile with the noise, the heat and the loading time that the scenario wants.

    Parameters
    ----------
    profile : DeviceProfile
        The device by its line.
    device : Device
        What the scenario says of it.
    where : str
        Its place in the scenario, for messages.

    Raises
    ------
    UserError
        If the scenario asks for a measured figure that the profile lacks, or for two models of heat.
    """
    digest = _digest(device)
    heat, start = _heat(device, digest, where)
    return replace(
        profile,
        residual=_residual(device, digest),
        heat=heat,
        heat_at_start=start,
        cold_start=_cold_start(device, digest, where),
    )


def noise_notes(scenario: Scenario) -> tuple[str, ...]:
    """Return what was not taken from a profile, and what was put in its place, in sentences."""
    notes = []
    for device in scenario.devices:
        digest, chosen = _digest(device), []
        if isinstance(device.residual, LognormalResidual | QuantileResidual):
            chosen.append("residual")
        if isinstance(device.heat, GivenHeat):
            chosen.append("heat")
        name = _name(device)
        if chosen:
            notes.append(f"device {name}: {' and '.join(chosen)} chosen in the scenario")
        if digest is None:
            continue
        left = [
            key
            for key, law, held in (("residual", device.residual, digest.residual), ("heat", device.heat, digest.heat))
            if held is not None and law.kind == "none"
        ]
        if left:
            notes.append(f"device {name}: its measured {' and '.join(left)} is left out, as the scenario says")
        if digest.cold_start_load_s is not None and device.cold_start is None:
            notes.append(
                f"device {name}: its measured load of {digest.cold_start_load_s:g} s is left out, as cold_start is null"
            )
    if scenario.edge is not None:
        held = load_digest(scenario.edge.profile, "device")
        assert isinstance(held, DeviceDigest)
        if held.residual is not None or held.heat is not None:
            notes.append(f"edge {held.name}: noise and heat of the profile are left out: boxes keep to their line")
    return tuple(dict.fromkeys(notes))


def _name(device: Device) -> str:
    return device.name or digest_name(device) or "of one's own"


def _digest(device: Device) -> DeviceDigest | None:
    return digest_of(device)


def _residual(device: Device, digest: DeviceDigest | None) -> Residual | None:
    given = device.residual
    if isinstance(given, MeasuredResidual):
        return None if digest is None else digest.residual
    if isinstance(given, QuantileResidual):
        return Residual(
            prefill=_series(given.levels, given.prefill, given.memory),
            decode=None if given.decode is None else _series(given.levels, given.decode, given.memory),
            stalls=None if given.stall_s is None else _stalls(given.stall_share, given.levels, given.stall_s),
            first=given.first,
        )
    if isinstance(given, LognormalResidual):
        return Residual(
            prefill=CorrelatedSeries(lognormal(given.prefill_cv), given.memory),
            decode=CorrelatedSeries(lognormal(given.decode_cv), given.memory) if given.decode_cv else None,
            stalls=_stalls(given.stall_share, (0.0, 1.0), (given.stall_s, given.stall_s)),
            first=given.first,
        )
    return None


def _series(levels: Sequence[float], values: Sequence[float], memory: float) -> CorrelatedSeries:
    return CorrelatedSeries(QuantileTable(tuple(levels), tuple(values)), memory)


def _stalls(share: float, levels: Sequence[float], values: Sequence[float]) -> Stalls | None:
    return Stalls(share=share, duration=QuantileTable(tuple(levels), tuple(values))) if share > 0.0 else None


def lognormal(cv: float) -> QuantileTable:
    """Return a table of a lognormal law with mean 1 and this coefficient of variation; its tails end at 1e-5."""
    from scipy.special import ndtri

    if cv == 0.0:
        return QuantileTable.constant(1.0)
    sigma = math.sqrt(math.log1p(cv * cv))
    middle = np.linspace(0.0, 1.0, 401)[1:-1]
    levels = np.unique(np.concatenate([TAIL_LEVELS, middle, 1.0 - np.array(TAIL_LEVELS)]))
    values = exp(sigma * ndtri(levels) - sigma * sigma / 2.0)
    inner = np.concatenate([[0.0], levels[1:-1], [1.0]])
    table = QuantileTable(tuple(inner.tolist()), tuple(values.tolist()))
    return table.scaled(1.0 / table.mean())


def _heat(device: Device, digest: DeviceDigest | None, where: str) -> tuple[Heat | None, float]:
    """Return the law of heat, and the heat at the begin."""
    given, held = device.heat, None if digest is None else digest.heat
    if isinstance(given, GivenHeat):
        law = Heat(heating_s=given.heating_s, cooling_s=given.cooling_s, onset=given.onset, floor=given.floor)
        return law, given.start
    if not isinstance(given, MeasuredHeat):
        return None, 0.0
    if held is None and given.start > 0.0:
        raise UserError(
            f"profile '{_name(device)}' has no measured heat that could be there at the begin; "
            "give its law by kind: given",
            where=f"{where}.heat.start",
        )
    if held is not None and device.throttle is not None:
        raise UserError(
            f"profile '{_name(device)}' has a measured heat, and two models of heat exclude each other; "
            "write heat: {kind: none} to throttle instead",
            where=f"{where}.throttle",
        )
    return held, given.start


def _cold_start(device: Device, digest: DeviceDigest | None, where: str) -> ColdStart | None:
    cold = device.cold_start
    if cold is None or cold.load_s is not None:
        return cold
    load_s = None if digest is None else digest.cold_start_load_s
    if load_s is None:
        raise UserError(
            f"profile '{_name(device)}' has no measured time to load its model; give it in s",
            where=f"{where}.cold_start.load_s",
        )
    return replace(cold, load_s=load_s)
