"""The link over which KV caches travel from the replicas that prefill to those that decode: first in, first out."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from functools import partial

import simpy
from simpy.events import Event, Timeout

from discosim.world.engine.job import Job

Deliver = Callable[[Job], None]


class KvLink:
    """One cache at a time; the others wait in order of their prefills.

    The link is taken for as long as it sends; the latency comes after and keeps nobody waiting.

    Parameters
    ----------
    s_per_tok, latency_s : float
        Time to send the cache of one token, and from sent to received, in s.

    Attributes
    ----------
    busy_s : float
        Time that the link has been sending, transfers begun so far in full.

    Notes
    -----
    Source: our choice. A cache that waits keeps its blocks where it was prefilled. What is cancelled while it waits is
    not sent; what is being sent is sent to its end.
    """

    def __init__(self, env: simpy.Environment, s_per_tok: float, latency_s: float) -> None:
        self.env = env
        self._s_per_tok = s_per_tok
        self._latency_s = latency_s
        self._free_s = -math.inf
        self._waiting: deque[tuple[Job, Deliver]] = deque()
        self._next_turn: Event | None = None
        self.busy_s = 0.0

    def send(self, job: Job, deliver: Deliver) -> None:
        """Send a job's cache when its turn comes, and call ``deliver`` when it has arrived."""
        if self._waiting or self.env.now < self._free_s:
            self._waiting.append((job, deliver))
            if len(self._waiting) == 1:
                self._await_turn()
        else:
            self._begin(job, deliver)

    def drop(self, job: Job) -> bool:
        """Take a job out of the queue; return whether it stood there."""
        for at, (waiting, _) in enumerate(self._waiting):
            if waiting is job:
                del self._waiting[at]
                return True
        return False

    def _await_turn(self) -> None:
        self._next_turn = Timeout(self.env, max(0.0, self._free_s - self.env.now))
        self._next_turn.callbacks.append(self._turn)

    def _turn(self, turn: Event) -> None:
        if turn is self._next_turn and self._waiting:  # else all who waited were cancelled, and others came
            self._begin(*self._waiting.popleft())
            if self._waiting:
                self._await_turn()

    def _begin(self, job: Job, deliver: Deliver) -> None:
        moving_s = self._latency_s + job.prompt_tok * self._s_per_tok
        sending_s = job.prompt_tok * self._s_per_tok
        self._free_s = self.env.now + sending_s
        self.busy_s += sending_s
        Timeout(self.env, moving_s).callbacks.append(partial(_arrive, deliver, job))


def _arrive(deliver: Deliver, job: Job, _: Event) -> None:
    deliver(job)
