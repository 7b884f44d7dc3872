"""What happened to many requests, lying flat: one array per scalar, and token times end to end.

Checks and metrics read this and nothing else, whoever filled it. :class:`~discosim.core.request.RequestRecord` declares
what a row has; a record is the window on one row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from itertools import chain
from operator import attrgetter
from struct import Struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discosim.core.request import RequestRecord, Segment, Work
from discosim.core.timeline import Floats, Ints, Ragged, offsets_of, rows_at
from discosim.core.works import Works

_DTYPES = {"int": "int64", "float": "float64", "bool": "bool", "str": "object"}

SCALARS: dict[str, str] = {f.name: _DTYPES[str(f.type)] for f in fields(RequestRecord) if str(f.type) in _DTYPES}
"""Name and numpy type of every scalar of a record, in its order."""

TEXTS = tuple(name for name, dtype in SCALARS.items() if dtype == "object")
NUMBERS = tuple(name for name in SCALARS if name not in TEXTS)

_ROW = np.dtype([(name, SCALARS[name]) for name in NUMBERS])
_PACKED = Struct("=" + "".join(_ROW[name].char.replace("l", "q") for name in NUMBERS))
_numbers: Callable[[RequestRecord], tuple[Any, ...]] = attrgetter(*NUMBERS)


@dataclass(frozen=True)
class Segments:
    """Who produced the shown tokens: runs of tokens, those of row i at ``offsets[i]:offsets[i + 1]``.

    Parameters
    ----------
    endpoints, roles : tuple of str
        Names, each once, and the role of each; '' where the name says it.
    code : array of int
        Per run, the place of its endpoint in ``endpoints``.
    first_token, last_token : array of int
        Per run, its tokens, from 1, both included.
    offsets : array of int, shape (rows + 1,)
        Where the runs of each row lie.
    """

    endpoints: tuple[str, ...]
    roles: tuple[str, ...]
    code: Ints
    first_token: Ints
    last_token: Ints
    offsets: Ints

    @classmethod
    def of(cls, rows: Sequence[Sequence[Segment]]) -> Segments:
        """Join rows of segments."""
        held = list(chain.from_iterable(rows))
        named = [segment.endpoint for segment in held]
        codes = {name: code for code, name in enumerate(dict.fromkeys(named))}
        n = len(held)
        return cls(
            endpoints=tuple(codes),
            roles=tuple(held[named.index(name)].role for name in codes),
            code=np.fromiter(map(codes.__getitem__, named), np.int64, n),
            first_token=np.fromiter([segment.first_token for segment in held], np.int64, n),
            last_token=np.fromiter([segment.last_token for segment in held], np.int64, n),
            offsets=offsets_of(np.fromiter(map(len, rows), np.int64, len(rows))),
        )

    @classmethod
    def joined(cls, parts: Sequence[Segments]) -> Segments:
        """Put batches one after the other."""
        roles = {name: role for part in parts for name, role in zip(part.endpoints, part.roles, strict=True)}
        names = tuple(roles)
        places = [np.array([names.index(name) for name in part.endpoints], dtype=np.int64) for part in parts]
        return cls(
            endpoints=names,
            roles=tuple(roles.values()),
            code=np.concatenate([place[part.code] for place, part in zip(places, parts, strict=True)]),
            first_token=np.concatenate([part.first_token for part in parts]),
            last_token=np.concatenate([part.last_token for part in parts]),
            offsets=offsets_of(np.concatenate([np.diff(part.offsets) for part in parts])),
        )

    def part(self, start: int, stop: int) -> Segments:
        """Return rows ``start`` to ``stop``, as views."""
        offsets = self.offsets[start : stop + 1]
        mine = slice(offsets[0], offsets[-1])
        first_token, last_token = self.first_token[mine], self.last_token[mine]
        return Segments(self.endpoints, self.roles, self.code[mine], first_token, last_token, offsets - offsets[0])

    def take(self, rows: Ints) -> Segments:
        """Return the rows of these numbers, in their order."""
        at, offsets = rows_at(self.offsets, rows)
        return Segments(self.endpoints, self.roles, self.code[at], self.first_token[at], self.last_token[at], offsets)

    def names(self) -> NDArray[np.str_]:
        """Return the endpoint of each run."""
        return np.array(self.endpoints, dtype=np.str_)[self.code]

    def n_tok(self) -> Ints:
        """Return the tokens of each run."""
        return self.last_token - self.first_token + 1

    def is_role(self, role: str) -> NDArray[np.bool_]:
        """Tell of each run whether its tokens count as those of a role (device, server or edge)."""
        is_mine = [(held or name) == role for name, held in zip(self.endpoints, self.roles, strict=True)]
        return np.array(is_mine, dtype=np.bool_)[self.code]

    def row_of_each(self) -> Ints:
        """Return the row to which each run belongs."""
        return np.repeat(np.arange(self.offsets.size - 1), np.diff(self.offsets))

    def row(self, i: int) -> tuple[Segment, ...]:
        """Return the runs of row ``i``."""
        return tuple(
            Segment(
                self.endpoints[self.code[k]],
                int(self.first_token[k]),
                int(self.last_token[k]),
                self.roles[self.code[k]],
            )
            for k in range(self.offsets[i], self.offsets[i + 1])
        )


@dataclass(frozen=True)
class Timelines:
    """Requests of one policy, a row each, finished or not; build it with :meth:`of` or a :class:`TimelineWriter`.

    Parameters
    ----------
    scalars : dict of str to array, shape (rows,)
        A column for each name in ``SCALARS``; times are seconds since the start of the replication.
    segments : Segments
        Who produced the shown tokens.
    generated_s, delivered_s : Ragged
        When each shown token was made, and when it reached the client; empty rows where nothing was shown.
    paced_s : Ragged
        When a policy's own pacer showed each token; empty rows where it has none.
    sketch_s : Ragged
        When each token of a shown sketch reached the client.
    work : Works
        What each endpoint did; empty rows where each role has one name.
    """

    scalars: dict[str, NDArray[Any]]
    segments: Segments
    generated_s: Ragged
    delivered_s: Ragged
    paced_s: Ragged
    sketch_s: Ragged
    work: Works

    @classmethod
    def of(cls, records: Iterable[RequestRecord]) -> Timelines:
        """Lay records flat, in their order."""
        writer = TimelineWriter()
        for record in records:
            writer.add(record)
        return writer.take()

    def __len__(self) -> int:
        return len(self.delivered_s)

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Return the column of a scalar."""
        return self.scalars[name]

    def part(self, start: int, stop: int) -> Timelines:
        """Return rows ``start`` to ``stop``, as views."""
        return Timelines(
            scalars={name: column[start:stop] for name, column in self.scalars.items()},
            segments=self.segments.part(start, stop),
            generated_s=self.generated_s.part(start, stop),
            delivered_s=self.delivered_s.part(start, stop),
            paced_s=self.paced_s.part(start, stop),
            sketch_s=self.sketch_s.part(start, stop),
            work=self.work.part(start, stop),
        )

    def take(self, rows: Ints) -> Timelines:
        """Return the rows of these numbers, in their order."""
        return Timelines(
            scalars={name: column[rows] for name, column in self.scalars.items()},
            segments=self.segments.take(rows),
            generated_s=self.generated_s.take(rows),
            delivered_s=self.delivered_s.take(rows),
            paced_s=self.paced_s.take(rows),
            sketch_s=self.sketch_s.take(rows),
            work=self.work.take(rows),
        )

    @classmethod
    def joined(cls, parts: Sequence[Timelines]) -> Timelines:
        """Put batches one after the other; none give no rows."""
        if not parts:
            return cls.of([])
        return cls(
            scalars={name: np.concatenate([part[name] for part in parts]) for name in SCALARS},
            segments=Segments.joined([part.segments for part in parts]),
            generated_s=Ragged.joined([part.generated_s for part in parts]),
            delivered_s=Ragged.joined([part.delivered_s for part in parts]),
            paced_s=Ragged.joined([part.paced_s for part in parts]),
            sketch_s=Ragged.joined([part.sketch_s for part in parts]),
            work=Works.joined([part.work for part in parts]),
        )

    @classmethod
    def interleaved(cls, parts: Sequence[Timelines], rows: Ints) -> Timelines:
        """Return ``joined(parts).take(rows)``, with the token times copied once."""
        return cls(
            scalars={name: np.concatenate([part[name] for part in parts])[rows] for name in SCALARS},
            segments=Segments.joined([part.segments for part in parts]).take(rows),
            generated_s=Ragged.interleaved([part.generated_s for part in parts], rows),
            delivered_s=Ragged.interleaved([part.delivered_s for part in parts], rows),
            paced_s=Ragged.interleaved([part.paced_s for part in parts], rows),
            sketch_s=Ragged.interleaved([part.sketch_s for part in parts], rows),
            work=Works.joined([part.work for part in parts]).take(rows),
        )

    def row(self, i: int) -> RequestRecord:
        """Return row ``i`` as a record, in plain numbers; its token times are views."""
        numbers: dict[str, Any] = {
            name: column[i] if column.dtype == np.object_ else column[i].item() for name, column in self.scalars.items()
        }
        return RequestRecord(
            **numbers,
            segments=self.segments.row(i),
            generated_s=self.generated_s.row(i),
            delivered_s=self.delivered_s.row(i),
            paced_s=self.paced_s.row(i),
            sketch_s=self.sketch_s.row(i),
            work=self.work.row(i),
        )


class TimelineWriter:
    """Takes requests as they end, one by one, and gives them back flat.

    The numbers of a row are packed at once, while they are at hand: read 200 requests later they cost twice as much.
    """

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._rows: list[bytes] = []
        self._texts: dict[str, list[str]] = {name: [] for name in TEXTS}
        self._segments: list[tuple[Segment, ...]] = []
        self._generated_s: list[Floats] = []
        self._delivered_s: list[Floats] = []
        self._paced_s: list[Floats] = []
        self._sketch_s: list[Floats] = []
        self._work: list[tuple[Work, ...]] = []

    def add(self, record: RequestRecord) -> int:
        """Take one row; return how many are held."""
        self._rows.append(_PACKED.pack(*_numbers(record)))
        for name, column in self._texts.items():
            column.append(getattr(record, name))
        self._segments.append(record.segments)
        self._generated_s.append(record.generated_s)
        self._delivered_s.append(record.delivered_s)
        self._paced_s.append(record.paced_s)
        self._sketch_s.append(record.sketch_s)
        self._work.append(record.work)
        return len(self._rows)

    def take(self) -> Timelines:
        """Return the rows held, in the order in which they came, and hold none."""
        rows = np.frombuffer(b"".join(self._rows), dtype=_ROW)
        taken = Timelines(
            scalars={
                name: np.array(self._texts[name], dtype=object) if name in self._texts else rows[name].copy()
                for name in SCALARS
            },
            segments=Segments.of(self._segments),
            generated_s=Ragged.of(self._generated_s),
            delivered_s=Ragged.of(self._delivered_s),
            paced_s=Ragged.of(self._paced_s),
            sketch_s=Ragged.of(self._sketch_s),
            work=Works.of(self._work),
        )
        self._begin()
        return taken
