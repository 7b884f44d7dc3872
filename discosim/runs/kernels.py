"""The seam between SimPy and kernels: who computes which requests of a replication, and how both come together.

SimPy is where behaviour is defined. A kernel repeats some of it, for many requests at once and to the same bit, and
says which requests it has done; all others go through the world. It is asked with what any policy and any world has,
and nothing here knows one by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from discosim.core.request import RequestRecord, RequestTable
from discosim.core.timelines import Timelines, TimelineWriter
from discosim.policies.base import Policy
from discosim.runs.build import Blueprint
from discosim.runs.collect import BATCH
from discosim.world.luck import Luck
from discosim.world.world import World

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
SIMPY = "simpy"
"""Under this name `run.json` counts the requests that no kernel took."""


@dataclass(frozen=True)
class Part:
    """Some requests that a kernel has done.

    Parameters
    ----------
    timelines : Timelines
        What happened to them, in any order.
    ended_s : array of float, shape (rows,)
        What the clock of the world would show when each is over: the moment in which its record would come out.
    horizon_s : float
        No request of a later part ends before this moment.
    """

    timelines: Timelines
    ended_s: Floats
    horizon_s: float = np.inf


@dataclass(frozen=True)
class Taken:
    """What a kernel takes of a replication.

    Parameters
    ----------
    name : str
        Name of the kernel, for `run.json`.
    is_taken : array of bool, shape (n,)
        The requests that it does; the world does the others first, and the parts are asked for after that.
    parts : iterable of Part
        They, in parts that are made when they are asked for. No two requests of a replication may end at the same
        moment, unless both are done by the world, or both by the kernel in one part and in the order of the world.
    figures : mapping of str to float, or None
        What a white-box server did as a whole, where the kernel knows; None leaves it to the world.
    """

    name: str
    is_taken: Bools
    parts: Iterable[Part]
    figures: Mapping[str, float] | None = None


class Kernel(Protocol):
    """Whoever can do requests of a replication without the world."""

    def __call__(
        self, policy: Policy, blueprint: Blueprint, requests: RequestTable, luck: Luck, world: World
    ) -> Taken | None:
        """Return what it takes; None where it cannot be of use.

        Parameters
        ----------
        policy : Policy
            The copy that serves this replication, prepared.
        blueprint : Blueprint
            The scenario, built.
        requests : RequestTable
            Who arrives.
        luck : Luck
            The draws of the replication. A kernel may only ask for those that the world would ask for.
        world : World
            The world that does what is not taken; nothing has happened in it yet.
        """
        ...


KERNELS: tuple[Kernel, ...] = ()
"""Asked in this order; the first that takes anything has it."""


def taken_of(
    policy: Policy, blueprint: Blueprint, requests: RequestTable, luck: Luck, world: World, kernels: Iterable[Kernel]
) -> Taken | None:
    """Ask who takes anything of a replication; None where all of it goes through the world."""
    if blueprint.scenario.kernel == SIMPY:
        return None
    for kernel in kernels:
        taken = kernel(policy, blueprint, requests, luck, world)
        if taken is not None and taken.is_taken.any():
            return taken
    return None


def run(taken: Taken, policy: Policy, world: World, take: Callable[[Timelines], None]) -> None:
    """Let the world do what is not taken, and hand all requests over as if the world had done them all, in that order.

    ``take`` gets them in batches of `collect.BATCH`, so that sums over batches are the same to the last bit.
    """
    parts: list[Part] = []
    if not taken.is_taken.all():
        writer, ended_s = TimelineWriter(), list[float]()

        def sink(record: RequestRecord) -> None:
            writer.add(record)
            ended_s.append(world.env.now)

        world.run(policy, sink, ~taken.is_taken)
        parts.append(Part(writer.take(), np.array(ended_s), -np.inf))
    for batch in in_batches(in_order([*parts], taken.parts)):
        take(batch)


def in_order(first: Iterable[Part], parts: Iterable[Part]) -> Iterator[Timelines]:
    """Yield requests by the moment in which they end, as soon as no later part can hold an earlier one."""
    held = [(part.timelines, part.ended_s) for part in first]
    for part in parts:
        held.append((part.timelines, part.ended_s))
        timelines, ended_s = Timelines.joined([rows for rows, _ in held]), np.concatenate([at_s for _, at_s in held])
        order = np.argsort(ended_s, kind="stable")
        n_over = int(np.searchsorted(ended_s[order], part.horizon_s, side="left")) if part.horizon_s < np.inf else None
        yield timelines.take(order[:n_over])
        rest = order[:0] if n_over is None else np.sort(order[n_over:])
        held = [(timelines.take(rest), ended_s[rest])]
    if held and held[0][1].size:
        yield Timelines.joined([rows for rows, _ in held]).take(
            np.argsort(np.concatenate([at_s for _, at_s in held]), kind="stable")
        )


def in_batches(chunks: Iterable[Timelines]) -> Iterator[Timelines]:
    """Cut requests into batches of `collect.BATCH` rows, the last one shorter."""
    left: Timelines | None = None
    for chunk in chunks:
        rows = chunk if left is None else Timelines.joined([left, chunk])
        whole = len(rows) // BATCH * BATCH
        for start in range(0, whole, BATCH):
            yield rows.take(np.arange(start, start + BATCH))
        left = rows.take(np.arange(whole, len(rows)))
    if left is not None and len(left):
        yield left


def counts(taken: Taken | None, n_requests: int) -> dict[str, int]:
    """Return how many requests went which way."""
    n_taken = 0 if taken is None else int(taken.is_taken.sum())
    found = {SIMPY: n_requests - n_taken}
    return found if taken is None else {**found, taken.name: n_taken}
