"""The seam between SimPy and kernels: who computes which requests of a replication, and how both come together.

SimPy is where behaviour is defined. A kernel repeats some of it, for many requests at once and to the same bit, and
says which requests it has done; all others go through the world. It is asked with what any policy and any world has,
and nothing here knows one by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from discosim.core.request import RequestRecord, RequestTable
from discosim.core.timelines import Timelines, TimelineWriter
from discosim.core.undecided import UndecidedError
from discosim.policies.base import Policy
from discosim.runs.build import Blueprint
from discosim.runs.collect import BATCH, rows_together
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
        What happened to them, in the order in which they end.
    ended_s : array of float, shape (rows,)
        What the clock of the world would show when each is over: the moment in which its record would come out.
    before_s : array of float, shape (rows,)
        When the event of that moment would have been scheduled; events of one moment come in that order.
    is_direct : array of bool, shape (rows,)
        Whether that event would have been scheduled in one that the arrival itself had scheduled: of such requests the
        first to arrive is also the first to end where all moments are the same.
    horizon_s : float
        No request of a later part ends before this moment.
    """

    timelines: Timelines
    ended_s: Floats
    before_s: Floats
    is_direct: Bools
    horizon_s: float = np.inf

    def rest(self, start: int) -> Part:
        """Return the rows from ``start`` on."""
        if not start:
            return self
        rows = self.timelines.part(start, self.ended_s.size)
        return Part(rows, self.ended_s[start:], self.before_s[start:], self.is_direct[start:], self.horizon_s)


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
        They, in parts that are made when they are asked for.
    latest_s : array of float, shape (n,)
        When requests that the world does must be over for the others not to notice.
    figures : mapping of str to float, or None
        What a white-box server did as a whole, where the kernel knows; None leaves it to the world.
    """

    name: str
    is_taken: Bools
    parts: Iterable[Part]
    latest_s: Floats
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

    ``take`` gets whole batches of `collect.BATCH`, so that sums over batches are the same to the last bit.

    Raises
    ------
    UndecidedError
        If the order cannot be told, or a request of the world has gone on for longer than was foreseen.
    """
    first: list[Part] = []
    if not taken.is_taken.all():
        writer, ended_s = TimelineWriter(), list[float]()

        def sink(record: RequestRecord) -> None:
            writer.add(record)
            ended_s.append(world.env.now)

        world.run(policy, sink, ~taken.is_taken)
        n_done = len(ended_s)
        done = Part(
            writer.take(), np.array(ended_s), np.full(n_done, np.nan), np.zeros(n_done, dtype=np.bool_), -np.inf
        )
        if (done.ended_s > taken.latest_s[done.timelines["request_id"]]).any():
            raise UndecidedError
        first.append(done)
    for batch in in_order(chain(first, taken.parts)):
        take(batch)


def in_order(parts: Iterable[Part], size: int = BATCH) -> Iterator[Timelines]:
    """Yield requests by the moment in which they end, whole batches of ``size``, once no later part can hold any."""
    held: list[Part] = []
    for part in parts:
        held = [one for one in (*held, part) if one.ended_s.size]
        if held:
            yield from _merged(held, part.horizon_s, size)
    if held:
        yield from _merged(held, np.inf, 1 + sum(one.ended_s.size for one in held), is_end=True)


def _merged(held: list[Part], until_s: float, size: int, *, is_end: bool = False) -> Iterator[Timelines]:
    """Yield whole batches of what ends before a moment, at the end the rest, and leave in ``held`` what is left.

    Each part is in order, so what is yielded holds a run of rows of each.
    """
    ended_s, before_s = (np.concatenate([getattr(one, name) for one in held]) for name in ("ended_s", "before_s"))
    owner = np.repeat(np.arange(len(held)), [one.ended_s.size for one in held])
    order = np.lexsort((before_s, ended_s))  # those of one moment stay in the order in which they came
    ended_s, owner = ended_s[order], owner[order]
    _check_order(ended_s, before_s[order], np.concatenate([one.is_direct for one in held])[order])
    n_over = int(np.searchsorted(ended_s, until_s, side="left")) if until_s < np.inf else order.size
    n_whole = n_over if is_end else n_over - n_over % size
    rows_each = rows_together(order.size, sum(one.timelines.delivered_s.values.size for one in held), size)
    begun = [0] * len(held)
    for start in range(0, n_whole, rows_each):
        end = min(start + rows_each, n_whole)
        of_batch = owner[start:end]
        whose, n_rows = np.unique(of_batch, return_counts=True)
        runs = _runs(held, begun, whose.tolist(), n_rows)
        place = np.argsort(np.argsort(of_batch, kind="stable"), kind="stable")
        yield runs[0] if len(runs) == 1 else Timelines.interleaved(runs, place)
    held[:] = [one.rest(n_rows) for one, n_rows in zip(held, begun, strict=True)]


def _runs(held: Sequence[Part], begun: list[int], whose: Sequence[int], n_rows: NDArray[np.int64]) -> list[Timelines]:
    """Take so many of the next rows of each of these parts, and note in ``begun`` how far each has come."""
    runs = []
    for k, n in zip(whose, n_rows.tolist(), strict=True):
        runs.append(held[k].timelines.part(begun[k], begun[k] + n))
        begun[k] += n
    return runs


def _check_order(ended_s: Floats, before_s: Floats, is_direct: Bools) -> None:
    """Refuse to guess where two requests end in one moment; what the world has done is in its own order."""
    same = ended_s[1:] == ended_s[:-1]
    if same.any():
        known = np.isnan(before_s[1:]) & np.isnan(before_s[:-1]) | (before_s[1:] > before_s[:-1])
        known |= (before_s[1:] == before_s[:-1]) & is_direct[1:] & is_direct[:-1]
        if (same & ~known).any():
            raise UndecidedError


def counts(taken: Taken | None, n_requests: int) -> dict[str, int]:
    """Return how many requests went which way."""
    n_taken = 0 if taken is None else int(taken.is_taken.sum())
    found = {SIMPY: n_requests - n_taken}
    return found if taken is None else {**found, taken.name: n_taken}
