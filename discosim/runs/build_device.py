"""From a device of the scenario to its figures: a profile's, what the scenario says instead, and what that undoes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from discosim.core.scenario import Battery, Device
from discosim.runs.build_energy import energies_of
from discosim.runs.device_digest import digest_name, digest_of
from discosim.traces.digest import DeviceDigest

OWN_SPEED = ("prefill_s_per_tok", "prefill_tok_per_s")
KNOWN_CHUNKS = ("measured", "published-figure")
"""How a profile's chunk must be known to outlive a prefill speed of the scenario's own."""

REPLACEABLE = (
    *OWN_SPEED,
    "prefill_intercept_s",
    "chunk_tok",
    "decode_tok_per_s",
    "prefill_j_per_tok",
    "decode_j_per_tok",
    "decode_j_per_tok_per_b",
    "decode_over_prefill",
    "max_context_tok",
)
"""Figures of a profile that a scenario may put its own over."""

SETTLES = {"decode_j_per_tok_per_b": "decode_j_per_tok", "decode_over_prefill": "prefill_j_per_tok"}
"""What a figure says by another one."""

SLOW_S_PER_TOK, SLOW_TOK_PER_S = 1.0, 0.5
"""A prefill and a decode that no published device is as slow as by ten times: probably the other unit."""

LARGE_WH = 100.0
"""Capacity that is worth a doubt: the most that a laptop may take into a plane."""


def name_of(device: Device, index: int) -> str:
    """Return what a device is called in notes."""
    return device.name or digest_name(device) or f"devices[{index}]"


def profile_of(device: Device) -> DeviceDigest | None:
    """Return the digest behind a device; None for one that stands on its own figures."""
    return digest_of(device)


def figures_of(device: Device, index: int) -> dict[str, Any]:
    """Return speeds, energies and context of a device, by the names of `DeviceProfile`.

    Raises
    ------
    UserError
        If neither profile nor scenario gives an energy.
    """
    digest = profile_of(device)

    def figure(key: str) -> Any:
        own = getattr(device, key)
        return own if own is not None or digest is None else getattr(digest, key)

    # 1e-3 s per token and 1,000 tokens per second must come to the same float, however it is said
    rate = device.prefill_tok_per_s
    figures = {
        # Two entries of a fleet may refine the same profile: the index keeps their names apart.
        "name": f"{name_of(device, index)}#{index}",
        "prefill_s_per_tok": figure("prefill_s_per_tok") if rate is None else 1.0 / rate,
        "prefill_intercept_s": figure("prefill_intercept_s") or 0.0,
        "chunk_tok": None if device.chunk_tok == "none" or drops_chunk(device, digest) else figure("chunk_tok"),
        "decode_tok_per_s": figure("decode_tok_per_s"),
        "max_context_tok": figure("max_context_tok") if device.context == "enforce" else None,
    }
    energies = energies_of(device, digest, f"devices[{index}]")
    return figures | {"prefill_j_per_tok": energies.prefill_j_per_tok, "decode_j_per_tok": energies.decode_j_per_tok}


def drops_chunk(device: Device, digest: DeviceDigest | None) -> bool:
    """Tell whether the profile's chunk falls with its prefill speed.

    Source: our choice. An assumed chunk is how we read somebody else's figures (so many tokens in so many ms). It says
    nothing about a speed that was measured over prompts of any length, and to round those up would count their tokens
    twice. A chunk that was measured or published is the runtime's, and stays.
    """
    if digest is None or digest.chunk_tok is None or device.chunk_tok is not None:
        return False
    return has_own_speed(device) and digest.provenance["chunk_tok"].status not in KNOWN_CHUNKS


def has_own_speed(device: Device) -> bool:
    """Tell whether the scenario says how fast the device prefills."""
    return any(getattr(device, key) is not None for key in OWN_SPEED)


def hidden_figures(devices: Iterable[Device], chosen: tuple[str, ...], digest: DeviceDigest) -> set[str]:
    """Return the figures of a profile that devices with these figures of their own make no use of."""
    hidden = {*chosen, *(SETTLES[figure] for figure in chosen if figure in SETTLES)}
    if hidden & set(OWN_SPEED):
        hidden |= set(OWN_SPEED)
    if any(chosen_of(device) == chosen and drops_chunk(device, digest) for device in devices):
        hidden.add("chunk_tok")
    return hidden


def chosen_of(device: Any) -> tuple[str, ...]:
    """Return the figures that a device (or an edge tier) of the scenario has of its own."""
    return tuple(figure for figure in REPLACEABLE if getattr(device, figure, None) is not None)


def device_notes(devices: Iterable[Device]) -> Iterator[str]:
    """Yield what was done to the figures of the fleet, in sentences for the reader."""
    for index, device in enumerate(devices):
        name, digest = name_of(device, index), profile_of(device)
        if digest is None:
            yield f"device {name}: chosen in the scenario: {', '.join(chosen_of(device))}"
        elif drops_chunk(device, digest):
            yield (
                f"device {name}: the profile's chunk of {digest.chunk_tok} tokens is assumed and went with its prefill "
                f"speed, which the scenario replaces (devices[{index}].chunk_tok sets one)"
            )
        elif digest.chunk_tok is not None and device.chunk_tok is None and has_own_speed(device):
            yield (
                f"device {name}: the profile's chunk of {digest.chunk_tok} tokens is known and stays beside the "
                f"scenario's own prefill speed (devices[{index}].chunk_tok: none drops it)"
            )
        if digest is None and not (device.prefill_j_per_tok or device.decode_j_per_tok):
            yield f"device {name}: its energy is 0 by choice, so columns in joules hold none of its work"
        if device.battery is not None:
            yield _battery_note(name, device.battery, assumed_energies(device, digest))


def assumed_energies(device: Device, digest: DeviceDigest | None) -> tuple[str, ...]:
    """Return the energies of a device that are assumptions of its profile."""
    keys = ("prefill_j_per_tok", "decode_j_per_tok")
    known = {} if digest is None else digest.provenance
    own = {*chosen_of(device), *(SETTLES[figure] for figure in chosen_of(device) if figure in SETTLES)}
    return tuple(key for key in keys if key not in own and known[key].status == "assumption")


def _battery_note(name: str, battery: Battery, assumed: tuple[str, ...]) -> str:
    drain = f"the rest of the phone takes {battery.drain_w:g} W" if battery.drain_w else "nothing else drains it"
    known = f"; its joules are as well known as {' and '.join(assumed)}: assumed" if assumed else ""
    return (
        f"device {name}: a battery of {battery.capacity_wh:g} Wh from {battery.start_percent:g} % on, not used below "
        f"{battery.reserve_percent:g} %; nobody charges it and {drain}{known}. What policies learn from the past knows "
        "no low battery"
    )


def device_doubts(devices: Iterable[Device]) -> Iterator[str]:
    """Yield what is to be doubted about figures that the scenario gives: numbers in another unit."""
    for index, device in enumerate(devices):
        doubts = (*_speed_doubts(device, figures_of(device, index)), *_battery_doubts(device))
        yield from (f"device {name_of(device, index)}: {doubt}" for doubt in doubts)


def _speed_doubts(device: Device, figures: dict[str, Any]) -> Iterator[str]:
    per_tok, decode = figures["prefill_s_per_tok"], figures["decode_tok_per_s"]
    if device.decode_tok_per_s is not None and decode < SLOW_TOK_PER_S:
        yield (
            f"decode_tok_per_s is {decode:g}, an answer of 100 tokens takes {100 / decode:,.0f} s; it is a rate, not "
            "seconds per token"
        )
    elif has_own_speed(device) and per_tok >= SLOW_S_PER_TOK:
        yield (
            f"prefill_s_per_tok is {per_tok:g}, a prompt of 100 tokens takes {100 * per_tok:,.0f} s; tokens per second "
            "go under prefill_tok_per_s, and ms are 1/1000 of a second"
        )
    elif (has_own_speed(device) or device.decode_tok_per_s is not None) and per_tok * decode > 1.0:
        yield (
            f"a prompt token takes {per_tok:g} s and a decoded one {1 / decode:g} s; prompts are read many tokens at a "
            "time, so one of the speeds is probably in another unit"
        )


def _battery_doubts(device: Device) -> Iterator[str]:
    battery = device.battery
    if battery is None:
        return
    if battery.capacity_wh > LARGE_WH:
        yield f"battery.capacity_wh is {battery.capacity_wh:g}; phones hold 10 to 25 Wh (mAh x 3.85 V / 1000)"
    if 0.0 < battery.reserve_percent < 1.0:
        yield f"battery.reserve_percent is {battery.reserve_percent:g} %; as a share it is 100 times that"
    if device.prefill_j_per_tok == 0.0 and device.decode_j_per_tok == 0.0:
        yield "it has a battery, and requests take nothing from it: both energies are 0"
