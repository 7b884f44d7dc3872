"""Who asks: the users of a trace, from the names in it; whoever has no name is a user of his own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from discosim.traces.readers import RequestTrace

Ints = NDArray[np.int64]


def users_of(trace: RequestTrace, n: int) -> tuple[Ints | None, int]:
    """Return the user of each of the first ``n`` requests, numbered from 0 in the order of their first appearance.

    A request belongs to the user it names. Where it names none, its session says: to the one user that the session
    names elsewhere, or to a user of the session's own. Where it has no session either, nobody knows who asked, and it
    is a user of its own: a person with one device has not sent all that is unnamed.

    Parameters
    ----------
    trace : RequestTrace
        Requests.
    n : int
        How many of them count.

    Returns
    -------
    users : array of int, shape (n,), or None
        None where no request has a name.
    n_unnamed : int
        Requests that are users of their own for want of a name.

    Notes
    -----
    Source: our choice. One user of all unnamed requests would queue them all at one device; users drawn at random would
    join some of them to people who are named.
    """
    if trace.user_id is None and trace.session_id is None:
        return None, 0
    none = [""] * n
    users = none if trace.user_id is None else trace.user_id[:n].tolist()
    sessions = none if trace.session_id is None else trace.session_id[:n].tolist()
    named: dict[str, set[str]] = {}
    for user, session in zip(users, sessions, strict=True):
        if user and session:
            named.setdefault(session, set()).add(user)
    number: dict[tuple[str, str] | int, int] = {}
    found, n_unnamed = np.empty(n, dtype=np.int64), 0
    for i, (user, session) in enumerate(zip(users, sessions, strict=True)):
        owner: tuple[str, str] | int
        if user:
            owner = ("user", user)
        elif session:
            who = named.get(session, ())
            owner = ("user", next(iter(who))) if len(who) == 1 else ("session", session)
        else:
            owner = i
            n_unnamed += 1
        found[i] = number.setdefault(owner, len(number))
    return found, n_unnamed
