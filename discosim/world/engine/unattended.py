"""An engine that nobody watches: all arrivals are known beforehand, nobody cancels, and nobody looks before the end.

Then it needs no streams and no sessions, and its arrivals no events: the replicas, schedulers and memory of `engine`
run as they are, and who asked learns of each answer when it is over. What comes out is the same to the last bit; a test
holds it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import simpy
from numpy.typing import NDArray

from discosim.core.timeline import Ragged
from discosim.world.engine.engine import Engine
from discosim.world.engine.job import Job
from discosim.world.engine.stream import joined

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BLOCK = 1000
"""Answers given back together: enough to hide the cost of numpy's calls, few enough to hold little."""


@dataclass(frozen=True)
class Arrivals:
    """Who comes, one entry per job, in the order in which the engine gets them.

    Parameters
    ----------
    at_s : array of float
        When, non-decreasing.
    job_id : array of int
        Numbers of the jobs, each once; the engine breaks ties by them.
    prompt_tok, answer_tok : array of int
        Lengths, >= 1; each fits into a replica.
    reader_tok_per_s, ttft_target_s : array of float
        What readers expect, which some schedulers look at.
    hashes : sequence of tuple of int, or None
        Prefix blocks of the prompts, for reuse.
    """

    at_s: Floats
    job_id: Ints
    prompt_tok: Ints
    answer_tok: Ints
    reader_tok_per_s: Floats
    ttft_target_s: Floats
    hashes: Sequence[tuple[int, ...]] | None = None

    def __len__(self) -> int:
        return int(self.at_s.size)


@dataclass(frozen=True)
class Served:
    """Answers in the order in which they ended.

    Parameters
    ----------
    row : array of int
        Which of the arrivals each belongs to.
    made_s : Ragged
        When each token was made.
    first_at_s, end_at_s : array of float
        What the world's clock showed when its first token was made and when it was over: iterations end at
        sums of their own, which an event may miss by an ulp.
    first_rank : array of int
        How many had made their first token before it.
    n_preemptions, gpu_s, kv_tok_s, scheduled_s : array
        As in `Job`.
    over_s : float
        What ends from now on, ends at this time or later; inf where these are the last.
    """

    row: Ints
    made_s: Ragged
    first_at_s: Floats
    end_at_s: Floats
    first_rank: Ints
    n_preemptions: Ints
    gpu_s: Floats
    kv_tok_s: Floats
    scheduled_s: Floats
    over_s: float

    def after(self, n: int) -> Served:
        """Return the answers but the first ``n``."""
        if not n:
            return self
        rows = np.arange(n, self.row.size)
        columns: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "over_s"}
        taken: dict[str, Any] = {
            name: held.take(rows) if isinstance(held, Ragged) else held[rows] for name, held in columns.items()
        }
        return Served(over_s=self.over_s, **taken)


class Clock(simpy.Environment):
    """A clock that arrivals set without an event of their own."""

    def arrive(self, at_s: float) -> None:
        """Let happen what comes before an arrival, and show its time; boundaries of that moment come after it."""
        queue = self._queue
        while queue and queue[0][0] < at_s:
            self.step()
        self._now = at_s


class _Row:
    """Who asked for one job: notes when it heard of its first token and of its end."""

    __slots__ = ("end_at_s", "ended", "env", "first_at_s", "first_rank", "firsts", "job", "row")

    job: Job

    def __init__(self, row: int, env: Clock, firsts: list[int], ended: list[_Row]) -> None:
        self.row = row
        self.env = env
        self.firsts = firsts
        self.ended = ended

    def on_first(self, at_s: float) -> None:  # noqa: ARG002 - stands in the job
        self.first_at_s = self.env.now
        self.first_rank = self.firsts[0]
        self.firsts[0] += 1

    def on_join(self) -> None:
        """Hear nothing: nobody waits for it."""

    def on_end(self, at_s: float) -> None:  # noqa: ARG002 - stands in the job
        self.end_at_s = self.env.now
        self.ended.append(self)


def serve(env: Clock, engine: Engine, arrivals: Arrivals) -> Iterator[Served]:
    """Yield the answers of an engine in the order in which they end, some at a time; O(changes of the batch).

    Parameters
    ----------
    env : Clock
        The engine's clock, at 0.
    engine : Engine
        Without a prefill pool, which has events of its own whose ties with arrivals are not told apart.
    arrivals : Arrivals
        Who comes.
    """
    firsts, ended = [0], list[_Row]()
    columns = (
        arrivals.at_s.tolist(),
        arrivals.job_id.tolist(),
        arrivals.prompt_tok.tolist(),
        arrivals.answer_tok.tolist(),
        arrivals.reader_tok_per_s.tolist(),
        arrivals.ttft_target_s.tolist(),
    )
    hashes = arrivals.hashes
    for row, (at_s, job_id, prompt_tok, answer_tok, reader, target) in enumerate(zip(*columns, strict=True)):
        env.arrive(at_s)
        if len(ended) >= BLOCK:
            yield _served(ended, at_s)
            ended.clear()
        owner = _Row(row, env, firsts, ended)
        prefix = () if hashes is None else hashes[row]
        owner.job = job = Job(job_id, owner, prompt_tok, answer_tok, at_s, reader, target, prefix)
        engine.submit(job)
    env.run()
    yield _served(ended, math.inf)


def _served(rows: list[_Row], over_s: float) -> Served:
    jobs = [row.job for row in rows]
    n = len(rows)
    for row in rows:
        del row.job  # it names its owner: a circle would wait for the garbage collector
    return Served(
        row=np.fromiter([row.row for row in rows], np.int64, n),
        made_s=Ragged.of([joined(job) for job in jobs]),
        first_at_s=np.fromiter([row.first_at_s for row in rows], np.float64, n),
        end_at_s=np.fromiter([row.end_at_s for row in rows], np.float64, n),
        first_rank=np.fromiter([row.first_rank for row in rows], np.int64, n),
        n_preemptions=np.fromiter([job.n_preemptions for job in jobs], np.int64, n),
        gpu_s=np.fromiter([job.gpu_s for job in jobs], np.float64, n),
        kv_tok_s=np.fromiter([job.kv_tok_s for job in jobs], np.float64, n),
        scheduled_s=np.fromiter([job.scheduled_s for job in jobs], np.float64, n),
        over_s=over_s,
    )
