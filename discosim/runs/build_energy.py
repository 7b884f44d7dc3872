"""What a token costs a device: the profile's figures, or what a scenario puts over them."""

from __future__ import annotations

from dataclasses import dataclass

from discosim.core.errors import UserError
from discosim.core.scenario import Device
from discosim.runs.device_digest import digest_name
from discosim.traces.digest import DeviceDigest


@dataclass(frozen=True)
class Energies:
    """Joules of a prompt token and of a decoded token, >= 0."""

    prefill_j_per_tok: float
    decode_j_per_tok: float


def energies_of(device: Device, digest: DeviceDigest | None, where: str) -> Energies:
    """Return the energies of a device of the fleet.

    Parameters
    ----------
    device : Device
        What the scenario says.
    digest : DeviceDigest or None
        Its profile; None for a device that stands on its own figures.
    where : str
        Place in the scenario, for messages.

    Raises
    ------
    UserError
        If neither says what a token costs.

    Notes
    -----
    ``decode_j_per_tok_per_b`` moves both energies, so that it says of how thrifty a phone is; ``decode_over_prefill``
    moves that of a prompt token alone.
    """
    decode_j, prefill_j = (None, None) if digest is None else (digest.decode_j_per_tok, digest.prefill_j_per_tok)
    if device.decode_j_per_tok_per_b is not None:
        if digest is None:
            raise UserError(
                "without a profile the model has no known number of parameters; give decode_j_per_tok in J per token",
                where=f"{where}.decode_j_per_tok_per_b",
            )
        scaled_j = device.decode_j_per_tok_per_b * digest.params_b
        prefill_j = scaled_j * prefill_j / decode_j if prefill_j is not None and decode_j else prefill_j
        decode_j = scaled_j
    if device.decode_j_per_tok is not None:
        decode_j = device.decode_j_per_tok
    if device.decode_over_prefill is not None and decode_j is not None:
        prefill_j = decode_j / device.decode_over_prefill
    if device.prefill_j_per_tok is not None:
        prefill_j = device.prefill_j_per_tok
    for key, value in (("prefill_j_per_tok", prefill_j), ("decode_j_per_tok", decode_j)):
        if value is None:
            lacks = (
                "no profile gives it;"
                if digest is None
                else f"profile '{digest_name(device)}' has no published energy;"
            )
            raise UserError(f"{lacks} give {key} in J per token", where=f"{where}.{key}")
    assert prefill_j is not None
    assert decode_j is not None
    return Energies(prefill_j, decode_j)


def energies_inside(device: Device, digest: DeviceDigest | None, *, is_most: bool, is_ratio_most: bool) -> Energies:
    """Return the energies at one end of the measured range of what is assumed.

    Parameters
    ----------
    device, digest : Device, DeviceDigest or None
        As above.
    is_most : bool
        Whether a decoded token costs the most that was measured, else the least.
    is_ratio_most : bool
        Whether a prompt token is as cheap beside it as was measured, else as dear.

    Notes
    -----
    A figure that the scenario replaces is known to whoever wrote it and stays; where only the decoded token's is
    replaced, the range of the ratio still holds for the prompt token's.
    """
    known = energies_of(device, digest, "devices")
    held = None if digest is None else digest.energy_range
    if held is None:
        return known
    decode_j = known.decode_j_per_tok
    if device.decode_j_per_tok is None and device.decode_j_per_tok_per_b is None:
        decode_j = held.decode_j_per_tok[is_most]
    if device.prefill_j_per_tok is not None:
        return Energies(known.prefill_j_per_tok, decode_j)
    ratio = device.decode_over_prefill
    return Energies(decode_j / (held.decode_over_prefill[is_ratio_most] if ratio is None else ratio), decode_j)
