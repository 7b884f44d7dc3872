"""Who fits is found without asking each: the same jobs enter as in a plain loop over everybody."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np

from discosim.world.engine.job import State
from discosim.world.engine.schedulers.entering import OUTSIDE, anybody_fits, enter_in_order, rows_that_may_fit


@dataclass(eq=False)
class Waiter:
    """A job as far as these functions look at it."""

    state: State
    blocks: int
    has_kv: bool


@dataclass
class Room:
    """A replica as far as these functions look at it; what fits is written down as the floor of a replica does it."""

    jobs: list[Waiter]
    free: int
    watermark: int
    growth: int
    n_resident: int
    max_batch: int
    entered: list[int] = field(default_factory=list)

    @property
    def memory(self):
        return SimpleNamespace(free_blocks=self.free)

    def fits(self, job):
        spare = self.free - (self.watermark if self.n_resident else 0)
        grows = self.growth if job.state is State.SWAPPED or job.has_kv else 0
        return self.n_resident < self.max_batch and job.blocks + grows <= spare

    def admit(self, job):
        self.entered.append(self.jobs.index(job))
        self.free -= job.blocks
        self.growth += job.has_kv or job.state is State.SWAPPED
        self.n_resident += 1
        job.state = State.DECODING

    resume = admit


def a_room(rng):
    """Draw a room with jobs of few sizes, so that equals are among them, an order of them, and a batch size."""
    states = rng.choice([State.WAITING, State.WAITING, State.SWAPPED, State.DECODING], int(rng.integers(1, 10)))
    jobs = [Waiter(State(s), int(rng.integers(1, 6)), bool(s == State.WAITING and rng.random() < 0.4)) for s in states]
    free, watermark, growth, n_resident = (int(rng.integers(0, top)) for top in (13, 3, 4, 3))
    return Room(jobs, free, watermark, growth, n_resident, 5), rng.permutation(len(jobs)), int(rng.integers(1, 7))


def live_of(jobs):
    state, blocks = np.array([int(job.state) for job in jobs]), np.array([job.blocks for job in jobs])
    return SimpleNamespace(jobs=jobs, state=state, run_blocks=blocks)


def test_the_same_jobs_enter_as_in_a_plain_loop():
    rng = np.random.default_rng(1)
    for _ in range(1500):
        check(*a_room(rng))


def check(room, order, size):
    plain = Room([Waiter(job.state, job.blocks, job.has_kv) for job in room.jobs], *list(vars(room).values())[1:6])
    for i in order:
        job = plain.jobs[i]
        if job.state in OUTSIDE and plain.n_resident < size and plain.fits(job):
            plain.admit(job)
    live = live_of(room.jobs)
    rows = rows_that_may_fit(room, live)
    enter_in_order(room, live, np.array([i for i in order if i in set(rows.tolist())], dtype=np.int64), size)
    assert room.entered == plain.entered
    # and afterwards, with states as they were before: is there still somebody?
    still = [room.fits(job) for job in room.jobs if job.state in OUTSIDE]
    assert anybody_fits(room, live) == any(still)
    assert rows_that_may_fit(room, live_of(room.jobs)).size or not any(still)
