"""All live jobs of a replica as arrays, kept up to date at changes of state and read in whole columns."""

from __future__ import annotations

from typing import Protocol, TypeVar

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


class LiveTable:
    """Rows in order of submission; rows of jobs that are gone are squeezed out now and then.

    The reader's clock of a job is brought up to date when somebody asks, for all jobs at once.
    """

    def __init__(self, replica: Counters) -> None:
        self._replica = replica
        self._jobs: list[Job | None] = []
        self._n_gone = 0
        self._floats = {name: np.zeros(FIRST_ROWS) for name in FLOATS}
        self._ints = {name: np.zeros(FIRST_ROWS, dtype=np.int64) for name in INTS}

    def add(self, job: Job) -> None:
        """Take a job up."""
        row = len(self._jobs)
        if row == self._ints["state"].size:
            self._make_room()
            row = len(self._jobs)
        job.row = row
        self._jobs.append(job)
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
        self._ints["state"][job.row] = State.GONE
        self._n_gone += 1

    def note(self, job: Job) -> None:
        """Write down a change of state, and the tokens that the job brings along from the state before."""
        row, floats, ints = job.row, self._floats, self._ints
        ints["state"][row] = job.state
        ints["base_tok"][row] = job.base_tok
        ints["join_step"][row] = job.join_step
        ints["held"][row] = job.blocks if job.state is State.PREFILLING else 0
        ints["n_preemptions"][row] = job.n_preemptions
        floats["first_token_s"][row] = job.first_token_s
        missing = job.base_tok - int(ints["n_seen"][row])
        if missing > 0:
            made_s = np.concatenate([np.atleast_1d(span) for span in job.spans])[-missing:]
            rows = np.array([row])
            self._read(rows, made_s[None, :], np.zeros(1, dtype=np.int64))

    def arrays(self) -> LiveArrays:
        """Return the columns of the live jobs."""
        self._catch_up()
        n = len(self._jobs)
        rows = np.flatnonzero(self._ints["state"][:n] != State.GONE)
        floats = {name: values[rows] for name, values in self._floats.items()}
        ints = {name: values[rows] for name, values in self._ints.items()}
        decoding = ints["state"] == State.DECODING
        generated = ints["base_tok"] + np.where(decoding, self._replica.steps.n - ints["join_step"], 0)
        context = ints["prompt_tok"] + generated
        block_tok = self._replica.memory.block_tok
        return LiveArrays(
            jobs=[job for job in self._jobs if job is not None],
            state=ints["state"],
            prompt_tok=ints["prompt_tok"],
            generated_tok=generated,
            blocks=np.where(decoding, -(-(context - 1) // block_tok), ints["held"]),
            run_blocks=-(-context // block_tok),
            n_preemptions=ints["n_preemptions"],
            **floats,
        )

    def _catch_up(self) -> None:
        """Read the tokens that decoding jobs have made since somebody last asked."""
        ints, n = self._ints, len(self._jobs)
        rows = np.flatnonzero(ints["state"][:n] == State.DECODING)
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
        kept = np.flatnonzero(self._ints["state"][: len(self._jobs)] != State.GONE)
        size = self._ints["state"].size
        if kept.size > size // 2:
            size *= 2
        self._floats = {name: _squeezed(values, kept, size) for name, values in self._floats.items()}
        self._ints = {name: _squeezed(values, kept, size) for name, values in self._ints.items()}
        self._jobs = [job for job in self._jobs if job is not None]
        for row, job in enumerate(self._jobs):
            assert job is not None
            job.row = row
        self._n_gone = 0


def _squeezed(values: NDArray[T], kept: Ints, size: int) -> NDArray[T]:
    fresh = np.zeros(size, dtype=values.dtype)
    fresh[: kept.size] = values[kept]
    return fresh
