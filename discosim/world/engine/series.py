"""What an engine was like second by second, as an operator's dashboard shows it; from its leaps, without steps.

Everything that an iteration changes, it changes at a boundary; in between, the batch stands still, memory grows by a
known number of blocks with each iteration, and the queue by the arrivals whose times its jobs know. So it is enough
to hear of each finished run of iterations, and most hold no end of a second at all.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from discosim.world.engine.engine import EngineModel
from discosim.world.engine.job import Job
from discosim.world.engine.plan import Plan
from discosim.world.engine.replica import Replica
from discosim.world.engine.schedulers.base import Orders

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False, kw_only=True)
class EngineSeries:
    """An engine by the second; row i covers the time after ``t_s[i] - 1`` up to and including ``t_s[i]``.

    Parameters
    ----------
    t_s : array of float, shape (n,)
        1, 2, 3, ... on the clock of the world; n is where the last iteration ended, rounded up.
    running : array of int, shape (n,)
        Requests in the batch at the end of the second, all replicas together. What a boundary at that very moment
        changes comes after it.
    waiting : array of int, shape (n,)
        Requests in the queues at that moment, those that were set aside included, be it in host memory.
    prompt_tok_per_s, output_tok_per_s : array of int, shape (n,)
        Prompt tokens processed in the second, recomputed ones included and those found in a prefix cache not, and
        tokens generated. A token counts where its iteration ends.
    kv_share : array of float, shape (n,)
        Share of the KV memory in use at the end of the second, in [0, 1], over all replicas that decode.

    Notes
    -----
    Requests whose cache is on its way from a prefill pool neither run nor wait. Source: the metrics that vLLM logs once
    in a while (``num_requests_running``, ``num_requests_waiting``, ``kv_cache_usage_perc``); counting tokens where
    their iteration ends, and the sums over replicas, are our choice.
    """

    t_s: Floats
    running: Counts
    waiting: Counts
    prompt_tok_per_s: Counts
    output_tok_per_s: Counts
    kv_share: Floats

    def __len__(self) -> int:
        return int(self.t_s.size)


class SeriesRecorder:
    """Counts while an engine runs; an `Observer`. It costs a few additions per change of the batch.

    Parameters
    ----------
    kv_blocks : int
        Blocks of all replicas that decode together, >= 1.
    most_s : float
        The series ends there at the latest, in s.

    Attributes
    ----------
    is_cut : bool
        Whether the engine was at work beyond ``most_s``.
    """

    def __init__(self, kv_blocks: int, most_s: float = math.inf) -> None:
        self._kv_blocks = kv_blocks
        self._most_s = most_s
        self._whole_s = math.inf  # so far is nothing missing
        self._n = 0
        self._running: list[int] = []
        self._waiting: list[int] = []
        self._blocks: list[int] = []
        self._prompt: list[int] = []
        self._output: list[int] = []
        self._idle_from_s: dict[Replica, float] = {}

    @classmethod
    def of(cls, model: EngineModel, most_s: float = math.inf) -> SeriesRecorder:
        """Return a recorder for all replicas of an engine."""
        return cls(model.n_replicas * model.replica.kv_blocks, most_s)

    @property
    def is_cut(self) -> bool:
        """Whether the engine was at work beyond the last second that is told."""
        return self._whole_s < math.inf

    def iterations(self, replica: Replica, plan: Plan, orders: Orders) -> None:
        """Take a finished run of iterations; the replica stands as it did while they ran."""
        begin_s, end_s = plan.begin_s, replica.now_s
        last = math.ceil(end_s) - 1
        if last >= self._n:
            if end_s > self._most_s:
                self._whole_s = min(self._whole_s, math.floor(begin_s))
                return
            self._grow(last + 1)
        prefiller = replica.model.role == "prefill"
        if prefiller:
            self._count_idle(replica, begin_s)
            self._idle_from_s[replica] = end_s
        n_left = plan.m * plan.n_decode
        if orders.prefill:
            self._prompt[last] += plan.n_prefill_tok
            n_left += sum(job.prefill_left_tok == tok for job, tok in orders.prefill)
        first_tick = math.floor(begin_s) + 1
        if first_tick <= end_s:
            n_left -= self._count_ticks(replica, plan, range(first_tick, math.floor(end_s) + 1), holds=not prefiller)
        self._output[last] += n_left

    def _count_ticks(self, replica: Replica, plan: Plan, ticks: range, *, holds: bool) -> int:
        """Note how things stood at ends of seconds in a run of iterations; return the tokens made up to the last.

        Those of an iteration with prompts, which is alone in its run, are left to the caller.
        """
        memory, step = replica.memory, replica.steps.n
        used, n_resident, n_swapped = memory.total_blocks - memory.free_blocks, replica.n_resident, len(replica.swapped)
        n, n_before = plan.n_decode, 0
        for tick in ticks:
            row, i = tick - 1, plan.index_at(tick)
            self._running[row] += n_resident
            self._waiting[row] += n_swapped + _there(replica.waiting, tick) + replica.n_unseen_before(tick)
            if holds:
                self._blocks[row] += used + (memory.growth(step, i) if n else 0)
            if not plan.n_prefill_tok:
                ended = i if plan.end_s(i) <= tick else i - 1
                self._output[row] += n * (ended - n_before)
                n_before = ended
        return n * n_before

    def _count_idle(self, replica: Replica, until_s: float) -> None:
        """Count who waits where memory is still on its way out, which keeps a prefill pool from its work."""
        since_s = self._idle_from_s.get(replica, 0.0)
        for tick in range(math.floor(since_s) + 1, math.floor(until_s) + 1):
            jobs = chain(replica.prefilling, replica.waiting)
            self._waiting[tick - 1] += sum(job.queued_s < tick for job in jobs)

    def _grow(self, n: int) -> None:
        more = [0] * (n - self._n)
        for column in (self._running, self._waiting, self._blocks, self._prompt, self._output):
            column.extend(more)
        self._n = n

    def series(self) -> EngineSeries:
        """Return the series so far."""
        n = int(min(self._n, self._whole_s))
        running, waiting, blocks, prompt, output = (
            np.array(column[:n], dtype=np.int64)
            for column in (self._running, self._waiting, self._blocks, self._prompt, self._output)
        )
        return EngineSeries(
            t_s=np.arange(1, n + 1, dtype=np.float64),
            running=running,
            waiting=waiting,
            prompt_tok_per_s=prompt,
            output_tok_per_s=output,
            kv_share=blocks / self._kv_blocks,
        )


def _there(queue: OrderedDict[Job, None], at_s: float) -> int:
    """Return how many jobs of a queue had come before ``at_s``; the newest arrivals are its last ones."""
    n = len(queue)
    for job in reversed(queue):
        if job.queued_s < at_s:
            break
        n -= 1
    return n
