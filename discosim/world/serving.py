"""A policy at work on one request: a process that starts at once and that nobody waits for."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from simpy.events import Event

from discosim.core.errors import InvariantError


class Serving:
    """Runs a generator as ``simpy.Process`` does, without the two events that tell of its beginning and its end.

    No event of a session fails; one that did would end the run, as an unhandled failure does in SimPy.

    Parameters
    ----------
    generator : generator of Event
        What to run; it starts in the event that made it.

    Notes
    -----
    Source: our choice. A request has about six events under DiSCo with ``simpy.Process`` and four with this, and
    these are most of what SimPy costs (`pytest benchmarks/test_speed.py -s`).
    """

    __slots__ = ("_generator",)

    def __init__(self, generator: Generator[Any, Any, None]) -> None:
        self._generator = generator
        self._resume(None)

    def _resume(self, event: Event | None) -> None:
        """Run until an event comes that has not happened yet."""
        while True:
            try:
                event = self._generator.send(None if event is None else event.value)
            except StopIteration:
                return
            if not isinstance(event, Event):
                raise InvariantError(f"a policy must yield events of its session (got {event!r})")
            if event.callbacks is not None:
                event.callbacks.append(self._resume)
                return
