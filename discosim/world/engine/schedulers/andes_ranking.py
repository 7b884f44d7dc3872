"""Who comes first between two calls of Andes' solver: who enters, and who leaves where memory runs out."""

from __future__ import annotations

from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from discosim.world.engine.job import Job, State
from discosim.world.engine.schedulers.andes_solver import Look
from discosim.world.engine.schedulers.entering import OUTSIDE, enter_in_order, rows_that_may_fit
from discosim.world.engine.schedulers.fcfs import preempt_newest
from discosim.world.engine.schedulers.future_qoe import FutureQoe
from discosim.world.engine.schedulers.moves import enter, outside
from discosim.world.engine.schedulers.objectives import Objective, gain
from discosim.world.engine.schedulers.packing import ranked

Ints = NDArray[np.int64]
Admission = Literal["priority", "arrival"]
Overflow = Literal["newest", "priority"]


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
        return self.sorted(np.arange(len(self.look.jobs)))

    def sorted(self, rows: Ints) -> Ints:
        """Return rising rows of the live jobs, best first."""
        if rows.size < 2:
            return rows
        look = self.look
        future = FutureQoe(look.live, look.now_s, self.ahead_s, rows)
        waiting = future.waiting()
        present = waiting
        if self.objective != "average":
            now = FutureQoe(look.live, look.now_s, 0.0).waiting()
            present = now if self.objective == "max_min" else now[rows]  # max-min asks for the worst of all
        served = future.served(look.token_s(min(self.size, len(look.jobs))))
        value = gain(self.objective, served, waiting, present)
        return rows[ranked(value / look.context_tok[rows], look.is_resident[rows])]

    def first_outside(self, admission: Admission) -> Job:
        """Return who enters a replica on which nobody is; it has to run, whatever it takes."""
        if admission == "arrival":
            return next(outside(self.look.replica))
        jobs = self.look.jobs
        first: Job = next(jobs[i] for i in self.order.tolist() if jobs[i].state in OUTSIDE)
        return first

    def admit_what_fits(self, admission: Admission) -> None:
        """Let whoever fits enter, up to the batch size; who does not fit keeps nobody out who does."""
        replica, live = self.look.replica, self.look.live
        if replica.n_resident >= self.size or self.look.is_resident.all():
            return
        rows = rows_that_may_fit(replica, live)
        if admission == "priority":
            enter_in_order(replica, live, self.sorted(rows), self.size)
        elif rows.size:
            for job in outside(replica):
                if replica.n_resident < self.size and replica.fits(job):
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
