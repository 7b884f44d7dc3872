"""Who comes first between two calls of Andes' solver: who enters, and who leaves where memory runs out."""

from __future__ import annotations

from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from discosim.world.engine.job import Job, State
from discosim.world.engine.schedulers.andes_solver import Look
from discosim.world.engine.schedulers.fcfs import preempt_newest
from discosim.world.engine.schedulers.future_qoe import FutureQoe
from discosim.world.engine.schedulers.moves import enter, outside
from discosim.world.engine.schedulers.objectives import Objective, gain
from discosim.world.engine.schedulers.packing import ranked

Ints = NDArray[np.int64]
Admission = Literal["priority", "arrival"]
Overflow = Literal["newest", "priority"]

OUTSIDE = (State.WAITING, State.SWAPPED)


class Ranking:
    """Live jobs by gain per token of context, as the solver would rank them for a batch of ``size``.

    Parameters
    ----------
    look : Look
        The replica at this boundary.
    ahead_s : float
        Delta-t, in s, > 0.
    objective : str
        What is maximised.
    size : int
        Batch size, >= 1, for which tokens take as long as they do: the one that the solver chose last (our reading).
    """

    def __init__(self, look: Look, ahead_s: float, objective: Objective, size: int) -> None:
        self.look = look
        self.ahead_s = ahead_s
        self.objective: Objective = objective
        self.size = size

    @cached_property
    def order(self) -> Ints:
        """Indices of the live jobs, best first, shape (n,)."""
        look = self.look
        future = FutureQoe(look.live, look.now_s, self.ahead_s)
        waiting = future.waiting()
        present = waiting if self.objective == "average" else FutureQoe(look.live, look.now_s, 0.0).waiting()
        served = future.served(look.token_s(min(self.size, len(look.jobs))))
        return ranked(gain(self.objective, served, waiting, present) / look.context_tok, look.is_resident)

    def outside(self, admission: Admission) -> list[Job]:
        """Return the jobs outside in the order in which they may enter; those larger than the free blocks left out."""
        look = self.look
        free = look.replica.memory.free_blocks
        if admission == "arrival":
            blocks_of = look.replica.memory.blocks_of
            return [job for job in outside(look.replica) if blocks_of(job.context_tok) <= free]
        live = look.live
        is_small = ((live.state == State.WAITING) | (live.state == State.SWAPPED)) & (live.run_blocks <= free)
        rows = np.flatnonzero(is_small)
        if rows.size > 1:
            rows = self.order[is_small[self.order]]
        return [live.jobs[i] for i in rows.tolist()]

    def first_outside(self, admission: Admission) -> Job:
        """Return who enters a replica on which nobody is; it has to run, whatever it takes."""
        if admission == "arrival":
            return next(outside(self.look.replica))
        jobs = self.look.jobs
        first: Job = next(jobs[i] for i in self.order.tolist() if jobs[i].state in OUTSIDE)
        return first

    def admit_what_fits(self, admission: Admission) -> None:
        """Let whoever fits enter, up to the batch size; who does not fit keeps nobody out who does."""
        replica = self.look.replica
        if replica.n_resident >= self.size:
            return
        for job in self.outside(admission):
            if replica.n_resident >= self.size:
                return
            if replica.fits(job):
                enter(replica, job)

    def make_room(self, overflow: Overflow) -> int:
        """Preempt decoding jobs until the next decode fits; return how many."""
        replica = self.look.replica
        if overflow == "newest" or replica.decode_shortfall() <= 0:
            return preempt_newest(replica)
        n = 0
        for i in self.order[::-1].tolist():
            job = self.look.jobs[i]
            if job.state is State.DECODING:
                replica.preempt(job)
                n += 1
                if replica.decode_shortfall() <= 0:
                    break
        return n
