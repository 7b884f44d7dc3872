"""The luck of one replication: every draw the world needs, by request and not by order of calls.

Draw ``i`` of a role belongs to request ``i``. It depends on the seed, the replication, the role and ``i`` alone, so
all policies of a scenario meet the same luck (common random numbers) and a policy that asks for more draws shifts
nobody else's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from discosim.core.rng import RandomStreams

Floats = NDArray[np.float64]
T = TypeVar("T")


class Law(Protocol):
    """Anything that can draw a series of consecutive values."""

    def sample(self, n: int, rng: np.random.Generator) -> Floats:
        """Draw ``n`` consecutive values."""
        ...


@dataclass
class Luck:
    """Lazily drawn columns of random numbers, one entry per request.

    Parameters
    ----------
    streams : RandomStreams
        Streams of this replication.
    n_requests : int
        Length of every column.
    """

    streams: RandomStreams
    n_requests: int
    _shared: dict[str, Any] = field(default_factory=dict, repr=False)
    _columns: dict[str, Sequence[float]] = field(default_factory=dict, repr=False)
    _arrays: dict[str, Floats] = field(default_factory=dict, repr=False)

    def shared(self, role: str, draw: Callable[[RandomStreams], T]) -> T:
        """Return what ``draw`` makes of the streams, made once for all policies of this replication."""
        if role not in self._shared:
            self._shared[role] = draw(self.streams)
        made: T = self._shared[role]
        return made

    def series(self, role: str, law: Law) -> Floats:
        """Return the column of ``role``, drawn in request order from a correlated series."""
        if role not in self._arrays:
            self._arrays[role] = law.sample(self.n_requests, self.streams.generator(role))
        return self._arrays[role]

    def asked(self) -> frozenset[str]:
        """Return the roles whose columns somebody has asked for."""
        return frozenset(self._arrays)

    def uniform(self, role: str) -> Floats:
        """Return the column of ``role``, uniform on [0, 1)."""
        if role not in self._arrays:
            self._arrays[role] = self.streams.generator(role).random(self.n_requests)
        return self._arrays[role]

    def series_list(self, role: str, law: Law) -> Sequence[float]:
        """Return :meth:`series` as plain numbers, which are quicker to read one by one."""
        if role not in self._columns:
            self._columns[role] = _plain(self.series(role, law))
        return self._columns[role]

    def uniform_list(self, role: str) -> Sequence[float]:
        """Return :meth:`uniform` as plain numbers, which are quicker to read one by one."""
        if role not in self._columns:
            self._columns[role] = _plain(self.uniform(role))
        return self._columns[role]


def _plain(column: Floats) -> Sequence[float]:
    """Return a view that gives Python floats: a list would take four times the memory of the column."""
    return cast("Sequence[float]", np.ascontiguousarray(column).data)
