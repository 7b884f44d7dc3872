"""What a run checks and says of phones that wait for somebody else and receive."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from discosim.core.errors import InvariantError
from discosim.core.scenario import Device
from discosim.runs.build_device import name_of
from discosim.runs.checks import Columns

REL = 1e-9


def check_waiting(columns: Columns, total_j: Mapping[int, float], policy: str) -> None:
    """Check INV-21: requests of a user pay together for what the user's screen and radio took, each moment once.

    Parameters
    ----------
    columns : mapping of str to array
        Columns of all requests.
    total_j : mapping of int to float
        What screen and radio took, by user.
    policy : str
        For messages.

    Raises
    ------
    InvariantError
        If a user's requests pay more or less, or a request pays a negative sum, or more than its device spent.
    """
    users, paid_j = columns["user_id"], columns["device_waiting_j"]
    bad = ~((paid_j >= 0.0) & (paid_j <= columns["device_energy_j"] * (1.0 + REL)))  # NaN is bad
    if bad.any():
        i = int(np.argmax(bad))
        raise InvariantError(
            f"INV-21: request {columns['request_id'][i]} under {policy}: pays {paid_j[i]} J for waiting, of "
            f"{columns['device_energy_j'][i]} J in all"
        )
    owed_j = np.zeros(1 + max(int(users.max(initial=0)), *total_j, 0))
    for user, joules in total_j.items():
        owed_j[user] = joules
    found_j = np.bincount(users, paid_j, owed_j.size)
    wrong = np.abs(found_j - owed_j) > REL * (1.0 + owed_j)
    if wrong.any():
        user = int(np.argmax(wrong))
        raise InvariantError(
            f"INV-21: requests of user {user} under {policy} pay {found_j[user]} J for waiting, the phone took "
            f"{owed_j[user]} J"
        )


def waiting_notes(devices: Sequence[Device]) -> Iterator[str]:
    """Yield what waiting and receiving is taken to cost, in sentences for the reader."""
    for index, device in enumerate(devices):
        name, waiting = name_of(device, index), device.waiting
        if waiting is None:
            continue
        receive_w = waiting.wait_w if waiting.receive_w is None else waiting.receive_w
        yield (
            f"device {name}: while a request is open its screen takes {waiting.screen_w:g} W; while it waits for "
            f"somebody else its radio takes {waiting.wait_w:g} W, while it receives {receive_w:g} W, and "
            f"{waiting.wait_w:g} W for {waiting.tail_s:g} s after: assumption. Requests side by side share "
            "one phone, and no policy knows of it"
        )
