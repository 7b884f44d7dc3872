"""Andes' knapsack: one look at a replica, the trigger, the batch sizes worth a try, and the choice."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from discosim.world.engine.job import Job, State
from discosim.world.engine.schedulers.andes_dp import exact
from discosim.world.engine.schedulers.base import NEVER, LiveArrays, ReplicaView
from discosim.world.engine.schedulers.future_qoe import FutureQoe
from discosim.world.engine.schedulers.objectives import Objective, gain
from discosim.world.engine.schedulers.packing import greedy, most_that_fit, ranked

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Solver = Literal["greedy", "dp"]

DP_UNITS = 512
"""Units of memory the exact solver distinguishes inside the engine. Our choice: blocks by the thousand are too slow."""


class Look:
    """A replica at one boundary, as the solver sees it; it goes stale with the first move."""

    def __init__(self, replica: ReplicaView) -> None:
        self.replica = replica
        self.live: LiveArrays = replica.live()
        self.now_s = replica.now_s
        memory = replica.memory
        self.capacity = memory.total_blocks - memory.watermark_blocks
        # A request larger than what admission may fill still runs alone, so it must not block the packing.
        self.weight: Ints = np.minimum(self.live.run_blocks, self.capacity)
        self.is_resident: Bools = (self.live.state == State.DECODING) | (self.live.state == State.PREFILLING)

    @property
    def jobs(self) -> list[Job]:
        """The live jobs."""
        return self.live.jobs

    @cached_property
    def context_tok(self) -> Ints:
        """Prompt and answer tokens of each job."""
        return self.live.prompt_tok + self.live.generated_tok

    @cached_property
    def shortest_interval_s(self) -> float:
        """Reading time of a token of the fastest reader, in s."""
        return float(1.0 / self.live.reader_tok_per_s.max())

    def token_s(self, n: int) -> float:
        """Return the time of a decode iteration of ``n`` live jobs of average context.

        Source: Andes takes the token latency as a function of the batch size, because batch size and total context
        correlate at 0.997 (secondary source); the average context makes it one.
        """
        fixed_s, slope_s = self.replica.cost.decode_line(n)
        return fixed_s + slope_s * n * float(self.context_tok.mean())

    def is_crowded(self, share: float) -> bool:
        """Tell whether serving every live job would fill the memory beyond ``share`` or be too slow for a reader.

        Source: selective trigger of Andes: KV occupancy above 90 %, or a token latency above the interval of the most
        stringent reader (secondary source). Occupancy counts those who wait, so that nobody waits untriggered.
        """
        n = len(self.jobs)
        limit = min(share * self.replica.memory.total_blocks, self.capacity)
        if int(self.weight.sum()) > limit or n > self.replica.max_batch:
            return True
        return self.token_s(n) > self.shortest_interval_s

    @cached_property
    def is_settled(self) -> bool:
        """Whether everybody is inside, fits, and is served fast enough: the solver would have nothing to decide."""
        fits = int(self.weight.sum()) <= self.capacity
        return bool(self.is_resident.all()) and fits and self.token_s(len(self.jobs)) <= self.shortest_interval_s

    def calm_iterations(self) -> int:
        """Return how many decode iterations pass before a batch that holds everybody may need the solver, >= 1.

        A lower bound: each job takes at most one block per ``block_tok`` iterations, and the first may come at once.
        """
        n, block_tok = len(self.jobs), self.replica.memory.block_tok
        spare = self.capacity - int(self.weight.sum())
        if spare < 0:
            return 1
        grows = block_tok * (spare // n)
        fixed_s, slope_s = self.replica.cost.decode_line(n)
        token_s = fixed_s + slope_s * float(self.context_tok.sum())
        left_s = self.shortest_interval_s - token_s
        if left_s <= 0.0:
            return 1
        slows = NEVER if slope_s == 0.0 else int(left_s / (slope_s * n))
        return max(1, min(grows, slows))


@dataclass(frozen=True)
class Choice:
    """What the solver found.

    Parameters
    ----------
    order : array of int, shape (n,)
        All live jobs, best first.
    chosen : array of int
        Those to be served, best first.
    value : array of float, shape (n,)
        Gain of serving each.
    size : int
        Batch size for which this is the best choice.
    token_s : float
        Token latency assumed, in s.
    """

    order: Ints
    chosen: Ints
    value: Floats
    size: int
    token_s: float


def choose(look: Look, ahead_s: float, objective: Objective, solver: Solver, n_sizes: int) -> Choice:
    """Solve Andes' knapsack; O(n log n) for each batch size tried with the greedy packing.

    Parameters
    ----------
    look : Look
        The replica, with at least one live job.
    ahead_s : float
        Delta-t, in s, > 0.
    objective, solver : str
        What is maximised, and how.
    n_sizes : int
        Most batch sizes tried, >= 1.

    Source: Andes (arXiv 2404.16283): priority = gain / context tokens, the best batch size of those left by pruning
    (secondary sources).
    """
    future = FutureQoe(look.live, look.now_s, ahead_s)
    waiting = future.waiting()
    present = waiting if objective == "average" else FutureQoe(look.live, look.now_s, 0.0).waiting()
    best: Choice | None = None
    best_total = -1.0
    for size in reversed(batch_sizes(look, n_sizes)):
        token_s = look.token_s(size)
        value = gain(objective, future.served(token_s), waiting, present)
        order = ranked(value / look.context_tok, look.is_resident)
        if solver == "greedy":
            chosen = greedy(order, look.weight, look.capacity, size)
        else:
            members = exact(value, look.weight, look.capacity, size, max_units=DP_UNITS)
            chosen = order[np.isin(order, members)]
        total = float(value[chosen].sum())
        if total > best_total:
            best, best_total = Choice(order, chosen, value, size, token_s), total
    assert best is not None
    return best


def batch_sizes(look: Look, n_sizes: int) -> list[int]:
    """Return the batch sizes worth a try, rising.

    Source: pruning of Andes: ``B_max`` is how many fit with the shortest contexts first, ``B_min`` the largest batch
    that is still faster than the most stringent reader (secondary source). Only ``n_sizes`` of the sizes between
    them, evenly spaced, are tried: our choice, to bound the time of a call.
    """
    largest = max(1, min(most_that_fit(look.weight, look.capacity), look.replica.max_batch))
    smallest = _largest_fast_batch(look, largest)
    if smallest >= largest:
        return [largest]
    sizes = np.linspace(smallest, largest, min(n_sizes, largest - smallest + 1)) if n_sizes > 1 else [largest]
    return sorted({round(float(size)) for size in sizes})


def _largest_fast_batch(look: Look, largest: int) -> int:
    """Return the largest batch, 1 .. largest, whose iterations are no longer than the shortest reading interval."""
    if look.token_s(largest) <= look.shortest_interval_s:
        return largest
    low, high = 1, largest
    while high - low > 1:
        middle = (low + high) // 2
        if look.token_s(middle) <= look.shortest_interval_s:
            low = middle
        else:
            high = middle
    return low
