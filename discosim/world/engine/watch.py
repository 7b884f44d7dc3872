"""Waiting for a moment of a stream whose future is not known.

Nobody may look ahead, and looking at every token would be an event per token. So a watch looks, works out how soon
the moment can come at the very earliest, and looks again then. The bound uses the fastest iteration that the cost
model allows, so each look halves the distance or better, and the moment itself is met exactly: the end of an iteration
is certain as soon as it has begun.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import simpy
from simpy.events import PENDING, Event, Timeout

from discosim.world.engine.job import Floats
from discosim.world.stream import ramp

if TYPE_CHECKING:
    from discosim.world.engine.server import EngineStream

NeedTok = Callable[[int, int], Floats]

AFTER_S = 1e-9
"""A look that waits for an iteration to begin comes this much later, so that rounding cannot make it come before."""


@dataclass(slots=True)
class Known:
    """What is certain of a stream: tokens made, their arrivals, and when the next token can be made at the earliest."""

    made_s: Floats
    arrival_s: Floats
    next_s: float

    @staticmethod
    def wait_s(at_s: float, now_s: float) -> float:
        """Return the time from now until just after ``at_s``."""
        return max(0.0, at_s - now_s) + AFTER_S * (1.0 + 1e-3 * now_s)


class Moment(Event):
    """An event that fires inside the event that decides it, or at a given time."""

    def __init__(self, env: simpy.Environment) -> None:
        super().__init__(env)

    def fire_at(self, at_s: float, value: Any = None) -> None:
        """Fire at ``at_s``, or at once where that has passed."""
        wait_s = at_s - self.env.now
        if wait_s > 0.0:
            Timeout(self.env, wait_s, value).callbacks.append(self._fire)
        else:
            self._fire_now(value)

    def _fire(self, due: Event) -> None:
        self._fire_now(due.value)

    def _fire_now(self, value: Any) -> None:
        if self._value is not PENDING:
            return
        self._ok = True
        self._value = value
        callbacks = self.callbacks
        self.callbacks = None  # type: ignore[assignment]  # SimPy marks a processed event like this
        for callback in callbacks:
            callback(self)


class BufferWatch(Moment):
    """Fires with token k when the reader's buffer first suffices after k tokens; see `Session.buffer_reaches`."""

    def __init__(self, stream: EngineStream, rate_tok_per_s: float, need_tok: NeedTok, fastest_s: float) -> None:
        super().__init__(stream.env)
        self._stream = stream
        self._rate = rate_tok_per_s
        self._fastest_s = fastest_s
        self._need = need_tok(stream.first_token, stream.n_tok)
        self._look()

    def _look(self, _: Event | None = None) -> None:
        stream, need = self._stream, self._need
        known = stream.known()
        arrival_s = known.arrival_s
        n, total = arrival_s.size, stream.n_tok
        level = 0.0
        if n:
            ahead = arrival_s * self._rate
            ahead -= ramp(n)
            levels = np.maximum.accumulate(ahead)
            levels -= ahead
            levels += 1.0 + 1e-9
            enough = levels >= need[:n]
            at = int(enough.argmax())
            if enough[at] and at + 1 < total:
                self.fire_at(float(arrival_s[at]), stream.first_token + at)
                return
            level = float(levels[-1])
        if stream.is_closed or n == total:
            self.fire_at(float(arrival_s[-1]) if n else self.env.now)
            return
        # the level can rise by one a token at most: the first token after which it may suffice
        may = level + ramp(total - n) + 1.0 >= need[n:]
        first = int(may.argmax()) if may.any() else total - n - 1
        ahead_tok = n + first + 1 - known.made_s.size  # tokens to be made until then, that one included
        at_s = known.next_s + max(0, ahead_tok - 1) * self._fastest_s
        Timeout(self.env, known.wait_s(at_s, self.env.now)).callbacks.append(self._look)
