"""Moments that anybody may wait for: before they come, at them, and after they have passed.

Two rules make asking late as good as asking early. What a verb or a stream returns has never been processed by then:
where the moment has passed, the event is still to come, in the present instant, so that ``yield`` goes on, conditions
count it and callbacks may be added. And whoever waits inside the world does so with :func:`when`, which takes events
that have happened too, as an event that was held, or that a stream of somebody else returns, may have.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from simpy.events import PENDING, Event, Timeout

Act = Callable[[Event], None]


def when(event: Event, act: Act) -> None:
    """Call ``act`` with ``event`` when it happens, at once where it has happened."""
    if event.callbacks is None:
        act(event)
    else:
        event.callbacks.append(act)


class Moment(Event):
    """An event that fires inside the event that decides it, or at a given time.

    Firing inside saves an event, and nothing can come between a token and the policy that waits for it.
    """

    def fire_at(self, at_s: float, value: Any = None) -> None:
        """Fire at ``at_s``, or at once where that has passed."""
        wait_s = at_s - self.env.now
        if wait_s > 0.0:
            Timeout(self.env, wait_s, value).callbacks.append(self._fire)
        else:
            self.fire(value)

    def fire_soon(self, at_s: float, value: Any = None) -> None:
        """Fire at ``at_s``, or later in the present instant where that has passed: for whoever has just asked."""
        Timeout(self.env, max(0.0, at_s - self.env.now), value).callbacks.append(self._fire)

    def _fire(self, due: Event) -> None:
        self.fire(due.value)

    def fire(self, value: Any = None) -> None:
        """Fire now; nothing where it has fired already."""
        if self._value is not PENDING:
            return
        self._ok = True
        self._value = value
        callbacks = self.callbacks
        self.callbacks = None  # type: ignore[assignment]  # SimPy marks a processed event like this
        for callback in callbacks:
            callback(self)
