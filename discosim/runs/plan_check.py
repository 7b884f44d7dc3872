"""Whether a plan of somebody else's says what its policy does: a few of its requests go through SimPy as well."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from discosim.core.errors import UserError
from discosim.core.request import RequestRecord
from discosim.core.timelines import Timelines, TimelineWriter
from discosim.metrics.timeline import request_columns
from discosim.policies.base import Policy
from discosim.runs.kernels import Part, Taken
from discosim.world.world import World

FIRST, SPREAD = 16, 32
"""Requests that are looked at: the first ones, and so many over the whole replication."""


def checked(name: str, policy: Policy, taken: Taken, world: World, *, pacer: bool) -> Taken:
    """Return what a kernel has taken, some of it compared with what SimPy makes of `serve`.

    Parameters
    ----------
    name : str
        Of the policy, for the message.
    policy : Policy
        A copy that nobody has served with, prepared.
    taken : Taken
        What was planned; its parts are compared when they are asked for.
    world : World
        Of the same replication; nothing has happened in it yet, and nobody else may use it.
    pacer : bool
        Whether the client paces tokens.

    Raises
    ------
    UserError
        When the parts are asked for, if a request comes out otherwise; the first column that differs is named.

    Notes
    -----
    Source: our choice. `serve` defines a policy, and a plan that contradicts it is found out nowhere else: the results
    would be those of another policy. The first requests, since a policy may learn; some of all, since it may treat a
    few lengths differently. What differs for fewer requests than that can be missed: `kernel: simpy` leaves plans out.
    """
    who = _sample(taken.is_taken)
    served = _served(policy, world, who)
    return replace(taken, parts=_compared(name, taken, served, who, pacer=pacer))


def _sample(is_taken: NDArray[np.bool_]) -> NDArray[np.int64]:
    ids = np.flatnonzero(is_taken)
    spread = np.linspace(0, ids.size - 1, min(SPREAD, ids.size)).astype(np.int64)
    return np.unique(np.concatenate((ids[:FIRST], ids[spread])))


def _served(policy: Policy, world: World, who: NDArray[np.int64]) -> Timelines:
    writer = TimelineWriter()
    only = np.zeros(len(world.requests), dtype=np.bool_)
    only[who] = True

    def sink(record: RequestRecord) -> None:
        writer.add(record)

    world.run(policy, sink, only)
    return writer.take()


def _compared(name: str, taken: Taken, served: Timelines, who: NDArray[np.int64], *, pacer: bool) -> Iterator[Part]:
    for part in taken.parts:
        rows = np.flatnonzero(np.isin(part.timelines["request_id"], who))
        if rows.size:
            planned = part.timelines.take(rows)
            places = {i: k for k, i in enumerate(served["request_id"].tolist())}
            same = served.take(np.array([places[i] for i in planned["request_id"].tolist()], dtype=np.int64))
            _compare(name, planned, same, pacer=pacer)
        yield part


def _compare(name: str, planned: Timelines, served: Timelines, *, pacer: bool) -> None:
    one, other = (request_columns(held, pacer=pacer) for held in (planned, served))
    differs = {column: ~_same(one[column], other[column]) for column in one}
    rows = np.flatnonzero(np.any(list(differs.values()), axis=0))
    if not rows.size:
        return
    row = int(rows[np.argmin(one["request_id"][rows])])
    column = next(column for column, is_other in differs.items() if is_other[row])
    raise UserError(
        f"its `plan` contradicts its `serve`: request {one['request_id'][row]} has {column} {one[column][row]} by plan "
        f"and {other[column][row]} by serve; `serve` is what counts: mend `plan`, or leave it out",
        where=f"policy {name}",
    )


def _same(one: NDArray[np.generic], other: NDArray[np.generic]) -> NDArray[np.bool_]:
    same: NDArray[np.bool_] = one == other
    if one.dtype.kind == "f":
        same |= np.isnan(one) & np.isnan(other)
    return same
