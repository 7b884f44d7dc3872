"""Who of those outside fits, without asking each: a job that needs no less than one that did not fit does not fit.

What a job takes rises with its blocks. A swapped job, or a waiting one whose KV has arrived already, takes the place of
its next token and of everybody else's besides, so it needs no less than a waiting one of as many blocks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from discosim.world.engine.job import State
from discosim.world.engine.schedulers.base import LiveArrays, ReplicaView
from discosim.world.engine.schedulers.moves import enter

Ints = NDArray[np.int64]

OUTSIDE = (State.WAITING, State.SWAPPED)
WAITING, SWAPPED = int(State.WAITING), int(State.SWAPPED)


def rows_that_may_fit(replica: ReplicaView, live: LiveArrays) -> Ints:
    """Return rising rows of jobs outside, all who fit now among them; none where nobody fits. O(n) of numpy.

    Parameters
    ----------
    replica : ReplicaView
        The replica; nobody has moved since ``live`` was read.
    live : LiveArrays
        Its live jobs.
    """
    small = live.run_blocks <= replica.memory.free_blocks
    found = np.zeros(small.size, dtype=np.bool_)
    for state in (WAITING, SWAPPED):
        rows = np.flatnonzero(small & (live.state == state))
        if rows.size:
            job = live.jobs[int(rows[np.argmin(live.run_blocks[rows])])]
            if job.has_kv or replica.fits(job):
                found[rows] = True
    return np.flatnonzero(found)


def enter_in_order(replica: ReplicaView, live: LiveArrays, rows: Ints, size: int) -> None:
    """Let the jobs of these rows enter one after the other where they fit, up to a batch of ``size``."""
    blocks, state, jobs = live.run_blocks, live.state, live.jobs
    while rows.size and replica.n_resident < size:
        first, rows = int(rows[0]), rows[1:]
        job = jobs[first]
        if replica.fits(job):
            enter(replica, job)
        elif job.state is State.WAITING and not job.has_kv:
            rows = rows[blocks[rows] < blocks[first]]
        elif job.state is State.SWAPPED:
            rows = rows[(blocks[rows] < blocks[first]) | (state[rows] == WAITING)]


def anybody_fits(replica: ReplicaView, live: LiveArrays) -> bool:
    """Tell whether somebody outside fits, also after jobs have moved since ``live`` was read."""
    rows = np.flatnonzero(live.run_blocks <= replica.memory.free_blocks)
    jobs = live.jobs
    for i in rows[np.argsort(live.run_blocks[rows], kind="stable")].tolist():
        job = jobs[i]
        if job.state in OUTSIDE:
            if replica.fits(job):
                return True
            if job.state is State.WAITING and not job.has_kv:
                return False
    return False
