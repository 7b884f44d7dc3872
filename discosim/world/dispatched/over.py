"""Planned requests that are over, in arrays: who has spoken, what device and engine did, and the server's tokens."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discosim.core.timeline import Ragged, offsets_of
from discosim.world.dispatched.pending import SERVER, Pending
from discosim.world.engine.job import Job
from discosim.world.engine.stream import joined

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Over:
    """Requests in the order in which their records come out; arrays of shape (m,).

    Parameters
    ----------
    row : array of int
        Their numbers.
    speaker : array of int
        Who has spoken first, as in `pending`.
    asks_server, asks_device, is_prefill_only : array of bool
        Who was asked, and whose device had to finish its prefill for nothing.
    spoke_s, begin_s, prefill_end_s : array of float
        When somebody spoke, and when the device turned to it and had its first token; inf where that never was.
    base_tok, left_tok : array of int
        Tokens that the engine made, and tokens of the prompt that it had still to prefill at the end.
    n_preemptions, gpu_s, kv_tok_s, scheduled_s : array
        As in `Job`.
    reached_s : array of float
        When the engine got it; NaN where it never did.
    made_s : Ragged
        When each token was made that the server has shown; empty rows of all others.
    """

    row: Ints
    speaker: Ints
    asks_server: Bools
    asks_device: Bools
    is_prefill_only: Bools
    spoke_s: Floats
    begin_s: Floats
    prefill_end_s: Floats
    base_tok: Ints
    left_tok: Ints
    n_preemptions: Ints
    gpu_s: Floats
    kv_tok_s: Floats
    scheduled_s: Floats
    reached_s: Floats
    made_s: Ragged

    def __len__(self) -> int:
        return int(self.row.size)

    @classmethod
    def of(cls, pendings: Sequence[Pending]) -> Over:
        """Put requests together that have been over one by one."""
        n = len(pendings)

        def column(of: Callable[[Pending], Any], dtype: type) -> NDArray[Any]:
            return np.fromiter(map(of, pendings), dtype, n)

        has_job = column(lambda pending: pending.job is not None, np.bool_)
        at = np.flatnonzero(has_job)
        jobs = [job for pending in pendings if (job := pending.job) is not None]

        def inside(of: Callable[[Job], float], dtype: type, otherwise: float) -> NDArray[Any]:
            found: NDArray[Any] = np.full(n, otherwise, dtype=dtype)
            found[at] = np.fromiter(map(of, jobs), dtype, at.size)
            return found

        return cls(
            row=column(lambda pending: pending.i, np.int64),
            speaker=column(lambda pending: pending.speaker, np.int64),
            asks_server=has_job,
            asks_device=column(lambda pending: pending.is_device_asked, np.bool_),
            is_prefill_only=column(lambda pending: pending.is_prefill_only, np.bool_),
            spoke_s=column(lambda pending: pending.spoke_s, np.float64),
            begin_s=column(lambda pending: pending.begin_s, np.float64),
            prefill_end_s=column(lambda pending: pending.prefill_end_s, np.float64),
            base_tok=inside(lambda job: job.base_tok, np.int64, 0),
            left_tok=inside(lambda job: job.prefill_left_tok, np.int64, 0),
            n_preemptions=inside(lambda job: job.n_preemptions, np.int64, 0),
            gpu_s=inside(lambda job: job.gpu_s, np.float64, 0.0),
            kv_tok_s=inside(lambda job: job.kv_tok_s, np.float64, 0.0),
            scheduled_s=inside(lambda job: job.scheduled_s, np.float64, math.inf),
            reached_s=inside(lambda job: job.arrival_s, np.float64, math.nan),
            made_s=Ragged.of([_shown_s(pending) for pending in pendings]),
        )

    @classmethod
    def read(cls, columns: Mapping[str, NDArray[Any]]) -> Over:
        """Take over what the compiled library says."""
        taken = dict(columns)
        made_s = Ragged(taken.pop("made_s"), offsets_of(taken.pop("tok")))
        for name in ("asks_server", "asks_device", "is_prefill_only"):
            taken[name] = taken[name].astype(np.bool_)
        return cls(made_s=made_s, **taken)

    def part(self, start: int, stop: int) -> Over:
        """Return rows ``start`` to ``stop``, as views."""
        rows = {f.name: getattr(self, f.name) for f in fields(self)}
        made_s = rows.pop("made_s").part(start, stop)
        return Over(made_s=made_s, **{name: column[start:stop] for name, column in rows.items()})

    @classmethod
    def joined(cls, parts: Sequence[Over]) -> Over:
        """Put parts one after the other."""
        names = [f.name for f in fields(cls) if f.name != "made_s"]
        columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
        return cls(made_s=Ragged.joined([part.made_s for part in parts]), **columns)


NOTHING: Floats = np.empty(0)


def _shown_s(pending: Pending) -> Floats:
    if pending.speaker != SERVER:
        return NOTHING
    assert pending.job is not None
    return joined(pending.job)
