"""Planned requests that are over, in arrays: who has spoken, what device and engine did, and the server's tokens."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discosim.core.timeline import Ragged, offsets_of
from discosim.world.dispatched.pending import DEVICE, FAILED, SERVER, SILENT, Pending
from discosim.world.dispatched.work import Work
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
        Who was asked before somebody spoke, and whose device had to finish its prefill for nothing.
    spoke_s, begin_s, prefill_end_s : array of float
        When somebody spoke, and when the device turned to it and had its first token; inf where that never was.
    prompt_tok, base_tok : array of int
        Tokens that the engine prefilled, and tokens that it made, for whatever it was asked.
    n_preemptions, gpu_s, kv_tok_s : array
        As in `Job`, of all its jobs.
    scheduled_s, reached_s : array of float
        When the scheduler first took one of its jobs, and when the engine had got that one; inf and NaN for never.
    goes_to : array of int
        Who has gone on with the answer, as in `pending`; 0 where it was not handed over, ``FAILED`` where nobody could.
    after_tok : array of int
        Tokens shown before that.
    handed_s, rest_end_s, rest_gap_s : array of float
        When it was handed over; of a device that went on, its first token and the time per token after it.
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
    prompt_tok: Ints
    base_tok: Ints
    n_preemptions: Ints
    gpu_s: Floats
    kv_tok_s: Floats
    scheduled_s: Floats
    reached_s: Floats
    goes_to: Ints
    after_tok: Ints
    handed_s: Floats
    rest_end_s: Floats
    rest_gap_s: Floats
    made_s: Ragged

    def __len__(self) -> int:
        return int(self.row.size)

    @classmethod
    def of(cls, pendings: Sequence[Pending]) -> Over:
        """Put requests together that have been over one by one."""
        n = len(pendings)

        def column(values: Iterable[Any], dtype: type) -> NDArray[Any]:
            return np.fromiter(values, dtype, n)

        works, rests = ([getattr(pending, name) for pending in pendings] for name in ("work", "work_after"))
        bills = [_bill(pending) for pending in pendings]
        server = {
            name: column(values, DTYPES[name]) for name, values in zip(DTYPES, zip(*bills, strict=True), strict=True)
        }
        return cls(
            row=column([pending.i for pending in pendings], np.int64),
            speaker=column([pending.speaker for pending in pendings], np.int64),
            asks_server=column([pending.answer is not None for pending in pendings], np.bool_),
            asks_device=column([pending.work is not None for pending in pendings], np.bool_),
            is_prefill_only=column([work is not None and work.is_prefill_only for work in works], np.bool_),
            spoke_s=column([pending.spoke_s for pending in pendings], np.float64),
            begin_s=column([_begin_s(work) for work in works], np.float64),
            prefill_end_s=column([_first_s(work) for work in works], np.float64),
            **server,
            goes_to=column([_goes_to(pending) for pending in pendings], np.int64),
            after_tok=column([pending.after_tok for pending in pendings], np.int64),
            handed_s=column([pending.handed_s for pending in pendings], np.float64),
            rest_end_s=column([_first_s(work) for work in rests], np.float64),
            rest_gap_s=column([0.0 if work is None else work.gap_s for work in rests], np.float64),
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

    @property
    def outcome(self) -> Ints:
        """Who has spoken first of those whose request came to an end that the client saw, else what became of it."""
        return np.where(self.goes_to == FAILED, FAILED, self.speaker)

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
DTYPES: dict[str, type] = {
    "prompt_tok": np.int64,
    "base_tok": np.int64,
    "n_preemptions": np.int64,
    "gpu_s": np.float64,
    "kv_tok_s": np.float64,
    "scheduled_s": np.float64,
    "reached_s": np.float64,
}
"""What `_bill` returns."""


def _bill(pending: Pending) -> tuple[int, int, int, float, float, float, float]:
    """Return what the engine did for a request, as `ledger` adds it up."""
    prompt_tok = base_tok = n_preemptions = 0
    gpu_s = kv_tok_s = 0.0
    scheduled_s, reached_s = math.inf, math.nan
    for answer in (pending.answer, pending.answer_after):
        if answer is None:
            continue
        job = answer.job
        # without any token: so much of the prompt as had been computed
        prompt_tok += job.prompt_tok - (0 if job.base_tok else min(job.prefill_left_tok, job.prompt_tok))
        base_tok += job.base_tok
        n_preemptions += job.n_preemptions
        gpu_s += job.gpu_s
        kv_tok_s += job.kv_tok_s
        if job.scheduled_s < scheduled_s:
            scheduled_s, reached_s = job.scheduled_s, job.arrival_s
    return prompt_tok, base_tok, n_preemptions, gpu_s, kv_tok_s, scheduled_s, reached_s


def _begin_s(work: Work | None) -> float:
    return math.inf if work is None else work.begin_s


def _first_s(work: Work | None) -> float:
    return math.inf if work is None else work.prefill_end_s


def _goes_to(pending: Pending) -> int:
    if pending.has_failed:
        return FAILED
    if pending.work_after is not None:
        return DEVICE
    return SILENT if pending.answer_after is None else SERVER


def _shown_s(pending: Pending) -> Floats:
    if pending.answer_after is not None:
        return joined(pending.answer_after.job)
    if pending.speaker != SERVER:
        return NOTHING
    assert pending.answer is not None
    made_s = joined(pending.answer.job)
    return made_s[: pending.after_tok] if pending.after_tok else made_s
