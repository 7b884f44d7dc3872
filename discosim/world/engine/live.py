"""All live jobs of a replica as arrays, kept up to date at changes of state and read in whole columns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from discosim.world.engine.job import Floats, Job, State
from discosim.world.engine.memory import KvMemory
from discosim.world.engine.schedulers.base import Ints, LiveArrays
from discosim.world.engine.steps import StepLog

T = TypeVar("T", bound=np.generic)

FIRST_ROWS = 256
FLOATS = ("arrival_s", "reader_tok_per_s", "ttft_target_s", "first_token_s", "clock_s", "delay_s")
INTS = ("state", "prompt_tok", "base_tok", "join_step", "n_seen", "held", "n_preemptions")
MOVED = ("state", "prompt_tok", "base_tok", "join_step", "held", "n_preemptions")
READING = ("clock_s", "delay_s")
GONE, DECODING = int(State.GONE), int(State.DECODING)  # looking a member up costs more than comparing a column
MAX_CELLS = 1 << 20


class Counters(Protocol):
    """What the table reads of its replica."""

    @property
    def steps(self) -> StepLog:
        """The ends of the iterations that decoded."""
        ...

    @property
    def memory(self) -> KvMemory:
        """Its KV memory."""
        ...

    iteration: int
    """How many iterations have begun."""


class LazyArrays(LiveArrays):
    """Live jobs whose columns that no move of a job changes are read when somebody first asks, at the same boundary."""

    __slots__ = ("_read",)

    def __init__(self, read: Callable[[str], Any], **columns: Any) -> None:
        self._read = read
        for name, values in columns.items():
            setattr(self, name, values)

    def __getattr__(self, name: str) -> Any:
        """Read a column that is not there yet."""
        values = self._read(name)
        setattr(self, name, values)
        return values


class LiveTable:
    """Rows in order of submission; rows of jobs that are gone are squeezed out now and then.

    The reader's clock of a job is brought up to date when somebody asks, for all jobs at once.
    """

    def __init__(self, replica: Counters) -> None:
        self._replica = replica
        self._jobs = np.empty(FIRST_ROWS, dtype=object)
        self._n = 0  # rows in use, those of jobs that are gone included
        self._n_read = 0  # decode iterations whose tokens all readers have
        self._floats = {name: np.zeros(FIRST_ROWS) for name in FLOATS}
        self._ints = {name: np.zeros(FIRST_ROWS, dtype=np.int64) for name in INTS}

    def add(self, job: Job) -> None:
        """Take a job up."""
        if self._n == self._ints["state"].size:
            self._make_room()
        row = job.row = self._n
        self._jobs[row] = job
        self._n += 1
        floats, ints = self._floats, self._ints
        floats["arrival_s"][row] = job.arrival_s
        floats["reader_tok_per_s"][row] = job.reader_tok_per_s
        floats["ttft_target_s"][row] = job.ttft_target_s
        floats["clock_s"][row] = -np.inf
        floats["delay_s"][row] = 0.0
        ints["prompt_tok"][row] = job.prompt_tok
        ints["n_seen"][row] = 0
        self.note(job)

    def remove(self, job: Job) -> None:
        """Let a job go."""
        self._jobs[job.row] = None
        self._ints["state"][job.row] = GONE

    def note(self, job: Job) -> None:
        """Write down a change of state, and the tokens that the job brings along from the state before."""
        row, ints = job.row, self._ints
        ints["state"][row] = job.state
        ints["base_tok"][row] = job.base_tok
        ints["join_step"][row] = job.join_step
        ints["held"][row] = job.blocks if job.state is State.PREFILLING else 0
        ints["n_preemptions"][row] = job.n_preemptions
        self._floats["first_token_s"][row] = job.first_token_s
        missing = job.base_tok - int(ints["n_seen"][row])
        if missing == 1:
            span = job.spans[-1]
            self._read_one(row, span if isinstance(span, float) else float(span[-1]))
        elif missing > 0:
            made_s = np.concatenate([np.atleast_1d(span) for span in job.spans])[-missing:]
            self._read(np.array([row]), made_s[None, :], np.zeros(1, dtype=np.int64))

    def arrays(self) -> LiveArrays:
        """Return the columns of the live jobs."""
        rows = np.flatnonzero(self._ints["state"][: self._n] != GONE)
        state, prompt, base, joined, held, n_preemptions = (self._ints[name].take(rows) for name in MOVED)
        decoding = state == DECODING
        generated = base + np.where(decoding, self._replica.steps.n - joined, 0)
        context = prompt + generated
        block_tok = self._replica.memory.block_tok
        began = self._replica.iteration
        return LazyArrays(
            lambda name: self._column(name, rows, began),
            state=state,
            prompt_tok=prompt,
            generated_tok=generated,
            blocks=np.where(decoding, -(-(context - 1) // block_tok), held),
            run_blocks=-(-context // block_tok),
            n_preemptions=n_preemptions,
        )

    def _column(self, name: str, rows: Ints, began: int) -> Any:
        """Return what nothing changes at one boundary; readers are brought up to date before somebody asks for them."""
        if self._replica.iteration != began and name in LiveArrays.__slots__:
            raise RuntimeError(f"live jobs are those of one call of the scheduler: read {name} there")
        if name == "jobs":
            return self._jobs.take(rows).tolist()
        if name in READING:
            self._catch_up()
        if name not in self._floats:
            raise AttributeError(name)
        return self._floats[name].take(rows)

    def _catch_up(self) -> None:
        """Read the tokens that decoding jobs have made since somebody last asked."""
        if self._n_read == self._replica.steps.n:
            return
        self._n_read = self._replica.steps.n
        ints = self._ints
        rows = np.flatnonzero(ints["state"][: self._n] == DECODING)
        if rows.size == 0:
            return
        # step at which the next unread token of each job was made
        since = ints["join_step"][rows] + ints["n_seen"][rows] - ints["base_tok"][rows]
        now = self._replica.steps.n
        at = int(since.min())
        window = max(1, MAX_CELLS // rows.size)
        ends_s = self._replica.steps.since(at)
        while at < now:
            size = min(window, now - at)
            block = np.broadcast_to(ends_s[:size], (rows.size, size))
            self._read(rows, block, np.clip(since - at, 0, size))
            ends_s, at = ends_s[size:], at + size

    def _read_one(self, row: int, made_s: float) -> None:
        """Do what `_read` does with one token of one job, by the same operations."""
        floats, n_seen = self._floats, self._ints["n_seen"]
        gap_s = 1.0 / float(floats["reader_tok_per_s"][row])
        consumed = max(made_s, float(floats["clock_s"][row]) + gap_s)
        ideal = float(floats["arrival_s"][row]) + float(floats["ttft_target_s"][row]) + int(n_seen[row]) * gap_s
        floats["delay_s"][row] += max(0.0, consumed - ideal)
        floats["clock_s"][row] = consumed
        n_seen[row] += 1

    def _read(self, rows: Ints, made_s: Floats, skip: Ints) -> None:
        """Let readers consume tokens made at ``made_s``, shape (rows, m); the first ``skip`` of each row are no news.

        c_i = max(made_i, c_(i-1) + 1 / rate), solved as a running maximum; delay += max(0, c_i - T_i).
        """
        floats, n_seen = self._floats, self._ints["n_seen"]
        gap_s = (1.0 / floats["reader_tok_per_s"][rows])[:, None]
        k = np.arange(made_s.shape[1]) - skip[:, None]  # index of the token among the new ones, from 0
        is_new = k >= 0
        ahead = np.where(is_new, made_s - k * gap_s, -np.inf)
        np.maximum.accumulate(ahead, axis=1, out=ahead)
        clock_s = floats["clock_s"][rows][:, None]
        consumed = np.maximum(ahead, clock_s + gap_s) + k * gap_s
        ideal = (floats["arrival_s"][rows] + floats["ttft_target_s"][rows])[:, None]
        ideal = ideal + (n_seen[rows][:, None] + k) * gap_s
        floats["delay_s"][rows] += np.where(is_new, np.maximum(0.0, consumed - ideal), 0.0).sum(axis=1)
        floats["clock_s"][rows] = np.where(is_new[:, -1], consumed[:, -1], clock_s[:, 0])
        n_seen[rows] += made_s.shape[1] - skip

    def _make_room(self) -> None:
        """Squeeze rows that are gone out, or double the columns."""
        kept = np.flatnonzero(self._ints["state"][: self._n] != GONE)
        size = self._ints["state"].size
        if kept.size > size // 2:
            size *= 2
        self._floats = {name: _squeezed(values, kept, size) for name, values in self._floats.items()}
        self._ints = {name: _squeezed(values, kept, size) for name, values in self._ints.items()}
        jobs = self._jobs.take(kept)
        self._jobs = np.empty(size, dtype=object)
        self._jobs[: kept.size] = jobs
        self._n = kept.size
        for row, job in enumerate(jobs):
            job.row = row


def _squeezed(values: NDArray[T], kept: Ints, size: int) -> NDArray[T]:
    fresh = np.zeros(size, dtype=values.dtype)
    fresh[: kept.size] = values[kept]
    return fresh
