"""What each endpoint did for many requests, lying flat; of worlds in which several names share a role."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discosim.core.request import Work
from discosim.core.timeline import Ints, offsets_of, rows_at

_DTYPES = {"int": "int64", "float": "float64", "bool": "bool"}

AMOUNTS: dict[str, str] = {f.name: _DTYPES[str(f.type)] for f in fields(Work) if str(f.type) in _DTYPES}
"""Name and numpy type of every number of a `Work`, in its order."""


@dataclass(frozen=True)
class Works:
    """Entries of row i are ``offsets[i]:offsets[i + 1]``; all rows are empty where each role has one name.

    Parameters
    ----------
    endpoints, roles : tuple of str
        Names, each once, and whose columns each fills.
    code : array of int
        Per entry, the place of its endpoint in ``endpoints``.
    amounts : dict of str to array
        Per entry, a column for each name in ``AMOUNTS``.
    offsets : array of int, shape (rows + 1,)
        Where the entries of each row lie.
    """

    endpoints: tuple[str, ...]
    roles: tuple[str, ...]
    code: Ints
    amounts: dict[str, NDArray[Any]]
    offsets: Ints

    @classmethod
    def of(cls, rows: Sequence[Sequence[Work]]) -> Works:
        """Join rows of entries."""
        held = list(chain.from_iterable(rows))
        roles = {work.endpoint: work.role for work in held}
        codes = {name: code for code, name in enumerate(roles)}
        return cls(
            endpoints=tuple(roles),
            roles=tuple(roles.values()),
            code=np.array([codes[work.endpoint] for work in held], dtype=np.int64),
            amounts={
                name: np.array([getattr(work, name) for work in held], dtype=dtype) for name, dtype in AMOUNTS.items()
            },
            offsets=offsets_of(np.fromiter(map(len, rows), np.int64, len(rows))),
        )

    @classmethod
    def none(cls, n_rows: int) -> Works:
        """Return rows of which nothing is said by name."""
        amounts = {name: np.empty(0, dtype=dtype) for name, dtype in AMOUNTS.items()}
        return cls((), (), np.empty(0, dtype=np.int64), amounts, np.zeros(n_rows + 1, dtype=np.int64))

    @classmethod
    def joined(cls, parts: Sequence[Works]) -> Works:
        """Put batches one after the other."""
        roles = {name: role for part in parts for name, role in zip(part.endpoints, part.roles, strict=True)}
        names = list(roles)
        places = [np.array([names.index(name) for name in part.endpoints], dtype=np.int64) for part in parts]
        return cls(
            endpoints=tuple(names),
            roles=tuple(roles.values()),
            code=np.concatenate([place[part.code] for place, part in zip(places, parts, strict=True)]),
            amounts={name: np.concatenate([part.amounts[name] for part in parts]) for name in AMOUNTS},
            offsets=offsets_of(np.concatenate([np.diff(part.offsets) for part in parts])),
        )

    def __len__(self) -> int:
        return int(self.code.size)

    def part(self, start: int, stop: int) -> Works:
        """Return rows ``start`` to ``stop``, as views."""
        offsets = self.offsets[start : stop + 1]
        mine = slice(offsets[0], offsets[-1])
        amounts = {name: column[mine] for name, column in self.amounts.items()}
        return Works(self.endpoints, self.roles, self.code[mine], amounts, offsets - offsets[0])

    def take(self, rows: Ints) -> Works:
        """Return the rows of these numbers, in their order."""
        at, offsets = rows_at(self.offsets, rows)
        amounts = {name: column[at] for name, column in self.amounts.items()}
        return Works(self.endpoints, self.roles, self.code[at], amounts, offsets)

    def names(self) -> NDArray[np.str_]:
        """Return the endpoint of each entry."""
        return np.array(self.endpoints, dtype=np.str_)[self.code]

    def role_of_each(self) -> NDArray[np.str_]:
        """Return the role of each entry."""
        return np.array(self.roles, dtype=np.str_)[self.code]

    def row_of_each(self) -> Ints:
        """Return the row to which each entry belongs."""
        return np.repeat(np.arange(self.offsets.size - 1), np.diff(self.offsets))

    def row(self, i: int) -> tuple[Work, ...]:
        """Return the entries of row ``i``, in plain numbers."""
        return tuple(
            Work(
                endpoint=self.endpoints[self.code[k]],
                role=self.roles[self.code[k]],
                **{name: column[k].item() for name, column in self.amounts.items()},
            )
            for k in range(self.offsets[i], self.offsets[i + 1])
        )
