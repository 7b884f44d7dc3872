"""A user's device that serves planned requests one after the other, as `device` does for streams.

It is plain: the same speed at any time, no load, no battery.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Protocol

import simpy
from simpy.events import Event, Timeout


class Begins(Protocol):
    """What a device turns to."""

    def begin(self) -> float:
        """Begin now, and return when it would end."""
        ...


class Phone:
    """The device of one user; see `Device`, whose events it makes in the same order.

    Parameters
    ----------
    env : simpy.Environment
        The clock of the world.
    """

    __slots__ = ("_current", "_end_s", "_env", "_next_turn", "_waiting")

    def __init__(self, env: simpy.Environment) -> None:
        self._env = env
        self._current: Begins | None = None
        self._end_s = -math.inf
        self._waiting: deque[Begins] = deque()
        self._next_turn: Event | None = None

    @property
    def is_busy(self) -> bool:
        """Whether something is being done or queued."""
        return self._env.now < self._end_s or bool(self._waiting)

    def take(self, work: Begins) -> None:
        """Begin with some work, or queue it."""
        if self.is_busy:
            self._waiting.append(work)
            if len(self._waiting) == 1:
                self._turn_at(self._end_s)
        else:
            self._begin(work)

    def release(self, work: Begins, at_s: float) -> None:
        """Turn away from work that was told to stop, queued or current, at ``at_s`` (now or later)."""
        if work is not self._current:
            if work in self._waiting:
                self._waiting.remove(work)
        elif at_s < self._end_s:
            self._end_s = at_s
            if self._waiting:
                self._turn_at(at_s)

    def _turn_at(self, at_s: float) -> None:
        self._next_turn = Timeout(self._env, max(0.0, at_s - self._env.now))
        self._next_turn.callbacks.append(self._turn)

    def _turn(self, turn: Event) -> None:
        """Take the next one on, unless the current one was told in the meantime to end earlier."""
        if turn is self._next_turn and self._waiting:
            self._begin(self._waiting.popleft())

    def _begin(self, work: Begins) -> None:
        self._current = work
        self._end_s = work.begin()
        if self._waiting:
            self._turn_at(self._end_s)
