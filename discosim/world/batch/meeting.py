"""Who meets on a device: requests of one user whose work there, or a look at it, could fall together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Stays:
    """When requests have to do with their device; those that never do are left out.

    Parameters
    ----------
    who : array of int, shape (m,)
        Their ids.
    user_id : array of int, shape (m,)
        Whose device.
    from_s, to_s : array of float, shape (m,)
        Between these moments, where nobody else is there.
    at_most_s : array of float, shape (m,)
        How long a stay lasts at most from when the device is free, whatever happens.
    goes_to_world : array of bool, shape (m,)
        Requests that the world does in any case; they may stay as long as they can.
    """

    who: Ints
    user_id: Ints
    from_s: Floats
    to_s: Floats
    at_most_s: Floats
    goes_to_world: Bools


def meetings(stays: Stays) -> tuple[Bools, Floats]:
    """Return who may meet somebody, shape (m,), and until when such a group may be busy, else its own ``to_s``.

    Requests that meet change each other's stay, and may so meet a third: the group grows until a request comes when
    all work of all those before would be done, one after the other.
    """
    order = np.lexsort((stays.from_s, stays.user_id))
    meets = stays.goes_to_world.copy()
    until_s = np.where(meets, stays.from_s + stays.at_most_s, stays.to_s)
    if order.size < 2:
        return meets, until_s
    user, from_s, to_s = stays.user_id[order], stays.from_s[order], until_s[order]
    # most users never come close to it: a look at all neighbours finds those that have to be gone through
    close = (user[1:] == user[:-1]) & (from_s[1:] <= to_s[:-1])
    some = np.unique(user[1:][close])
    mine = order[np.isin(user, some)]
    for user_rows in np.split(mine, np.flatnonzero(np.diff(stays.user_id[mine])) + 1) if mine.size else []:
        _go_through(user_rows.tolist(), stays, meets, until_s)
    return meets, until_s


def _go_through(rows: list[int], stays: Stays, meets: Bools, until_s: Floats) -> None:
    """Group the requests of one user, in the order in which they come."""
    group: list[int] = []
    end_s = -np.inf
    for row in rows:
        from_s, most_s = float(stays.from_s[row]), float(stays.at_most_s[row])
        if from_s > end_s:
            _close(group, end_s, until_s)
            group, end_s = [row], float(until_s[row])
            continue
        if len(group) == 1 and not meets[group[0]]:
            first = group[0]
            meets[first] = True
            end_s = max(end_s, float(stays.from_s[first] + stays.at_most_s[first]))
        group.append(row)
        meets[row] = True
        end_s = max(end_s, from_s) + most_s
    _close(group, end_s, until_s)


def _close(group: list[int], end_s: float, until_s: Floats) -> None:
    for row in group:
        until_s[row] = end_s
