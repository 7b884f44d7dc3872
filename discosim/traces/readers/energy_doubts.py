"""A device's energies that are none of its requests: a meter that runs on, another unit, a unit that nobody named."""

from __future__ import annotations

import numpy as np

from discosim.core.errors import UserError
from discosim.traces.readers.base import Floats

LEAST = 8
"""Rows from which energies that only rise are those of a meter; fewer rise by chance in one file of 5,000."""
POWER_W = (0.05, 3000.0)
"""Mean powers of a request beyond which its energies are doubted. Source: our choice: from a board that hardly wakes
to a machine of eight GPUs; a phone takes 2 to 10 W, so that mJ taken for J make kilowatts, and J for mJ milliwatts."""
FALLING = 0.1
"""Share of steps at which the times of requests fall from which energies should, too."""


def require_no_meter(energy_j: Floats, time_s: Floats, name: str, where: str) -> None:
    """Raise UserError where energies only rise from row to row, while requests do not get longer."""
    seen = np.isfinite(energy_j) & np.isfinite(time_s)
    if seen.sum() < LEAST or not (np.diff(energy_j[seen]) >= 0).all() or np.ptp(energy_j[seen]) == 0:
        return
    if (np.diff(time_s[seen]) < 0).mean() < FALLING:
        return
    raise UserError(
        "only rises from row to row while the times do not, as a meter that runs on does; expected the energy of each "
        "request: write the differences",
        where=f"{where} column {name}",
    )


def energy_notes(energy_j: Floats, time_s: Floats, name: str, *, has_unit: bool) -> list[str]:
    """Return what was assumed of the column of energies, and a doubt where no device has such a power."""
    notes = []
    if not has_unit:
        notes.append(
            f"Energies (column {name}) have no unit in their name and were taken for J; if they are in another one, "
            f"say --map energy_mj={name} (or energy_wh, energy_mwh, energy_kj)."
        )
    power_w = energy_j / time_s
    power_w = power_w[np.isfinite(power_w) & (power_w > 0)]
    if power_w.size and not POWER_W[0] <= (middle_w := float(np.median(power_w))) <= POWER_W[1]:
        notes.append(
            f"Doubtful: the energies (column {name}) make a power of {middle_w:.3g} W, as hardly a device has; if they "
            f"are in another unit, say --map energy_mj={name} (or energy_j), the column renamed without a unit."
        )
    return notes
