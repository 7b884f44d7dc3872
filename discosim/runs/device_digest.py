"""The digest behind a device of the scenario: a shipped profile, or a file of the user's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from discosim.core.scenario import Device
from discosim.traces.catalogue import load_digest
from discosim.traces.digest import DeviceDigest
from discosim.traces.digest_file import read_own_digest


def digest_of(device: Device) -> DeviceDigest | None:
    """Return the digest of a device; None for one that names none.

    Raises
    ------
    UserError
        If the profile is unknown, or the file holds none.
    """
    if device.profile_file is not None:
        digest = read_own_digest(device.profile_file, "device")
    elif device.profile is not None:
        digest = load_digest(device.profile, "device")
    else:
        return None
    assert isinstance(digest, DeviceDigest)
    return digest


def digest_name(device: Device) -> str:
    """Return what the digest of a device is called: the profile, or the file's name without folder and ending."""
    return device.profile or ("" if device.profile_file is None else Path(device.profile_file).stem)


def own_profiles(devices: Sequence[Device]) -> list[tuple[str, str, str]]:
    """Return (role, file, ``file``) of every profile of the user's own; each device is a role, as files share names."""
    return [
        (f"devices[{index}]", device.profile_file, "file")
        for index, device in enumerate(devices)
        if device.profile_file is not None
    ]


def own_profile_notes(devices: Sequence[Device]) -> list[str]:
    """Return how each figure of the user's own profiles is known, and what their rows do not tell, in sentences."""
    notes = []
    for device in devices:
        digest = digest_of(device) if device.profile_file is not None else None
        if digest is None:
            continue
        by_status: dict[str, list[str]] = {}
        for figure, held in digest.provenance.items():
            by_status.setdefault(held.status, []).append(figure)
        known = "; ".join(f"{status}: {', '.join(figures)}" for status, figures in by_status.items())
        rows = "" if digest.n is None else f", n = {digest.n:,}"
        notes.append(f"device {digest_name(device)}: {known}{rows}")
        if digest.not_identified:
            notes.append(f"device {digest_name(device)}: its rows do not tell {', '.join(digest.not_identified)}")
    return list(dict.fromkeys(notes))
