"""The turn of an engine's replica or an edge box: an event that comes last in its moment."""

from __future__ import annotations

from collections.abc import Callable

import simpy
from simpy.events import Event

LATE = simpy.events.EventPriority(2)
"""Boundaries come after everything else that happens at the same moment, so that they see it."""


class Turn(Event):
    """Calls ``act`` after ``delay_s``, once all else of that moment has happened."""

    def __init__(self, env: simpy.Environment, act: Callable[[Event], None], delay_s: float) -> None:
        # as SimPy's own Timeout does: this is on every request's path
        self.env = env
        self.callbacks = [act]
        self._value = None
        self._ok = True
        env.schedule(self, LATE, delay_s)
