"""What runs and policies that are computed apart from each other draw once all the same."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

from discosim.core.request import RequestTable
from discosim.core.rng import RandomStreams
from discosim.world.link import Link, LinkModel
from discosim.world.luck import Floats, Law, Luck

T = TypeVar("T")
LINK = "link"
"""Role under which a world asks for its last hop."""
MOST_USERS = 20_000
"""Users up to which a last hop is kept for the next run of the same seed: then it takes a few MiB."""


class ApartLuck(Luck):
    """Draws of a replication that another luck has, or makes, for all of its policies.

    What a policy asked for is told by it alone, so that an outcome that is kept for other runs is the same whoever ran
    beside it. The draws are those of a luck of its own: they depend on seed, replication and role alone.

    Parameters
    ----------
    common : Luck
        Of the replication.
    """

    def __init__(self, common: Luck) -> None:
        super().__init__(common.streams, common.n_requests)
        self._common = common

    def shared(self, role: str, draw: Callable[[RandomStreams], T]) -> T:
        """Return what ``draw`` makes of the streams, made once for all policies of this replication."""
        return self._common.shared(role, draw)

    def series(self, role: str, law: Law) -> Floats:
        """Return the column of ``role``, drawn in request order from a correlated series."""
        if role not in self._arrays:
            self._arrays[role] = self._common.series(role, law)
        return self._arrays[role]

    def uniform(self, role: str) -> Floats:
        """Return the column of ``role``, uniform on [0, 1)."""
        if role not in self._arrays:
            self._arrays[role] = self._common.uniform(role)
        return self._arrays[role]


class RunLuck(Luck):
    """Luck whose last hop is taken over from another run of the same seed: a sweep has many.

    Drawing it takes longer than a small run. A last hop may only be read.

    Parameters
    ----------
    streams : RandomStreams
        Streams of the replication.
    n_requests : int
        Length of every column.
    model : LinkModel
        The last hop of the scenario.
    n_users : int
        Users of the replication.
    """

    def __init__(self, streams: RandomStreams, n_requests: int, model: LinkModel, n_users: int) -> None:
        super().__init__(streams, n_requests)
        self._last_hop = model, n_users

    def shared(self, role: str, draw: Callable[[RandomStreams], T]) -> T:
        """Return what ``draw`` makes of the streams, made once for all policies of this replication."""
        if role == LINK and role not in self._shared and self._last_hop[1] <= MOST_USERS:
            self._shared[role] = _last_hop(*self._last_hop, self.streams.seed, self.streams.replication)
        return super().shared(role, draw)


def luck_of(seed: int, replication: int, requests: RequestTable, model: LinkModel) -> RunLuck:
    """Return the luck of a replication."""
    n_users = 1 + int(requests.user_id.max(initial=0))
    return RunLuck(RandomStreams(seed, replication), len(requests), model, n_users)


@lru_cache(maxsize=2)
def _last_hop(model: LinkModel, n_users: int, seed: int, replication: int) -> Link:
    return Link(model, n_users, RandomStreams(seed, replication))
