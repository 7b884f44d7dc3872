"""A stream is a promise of tokens: when each is generated, when each reaches the client, and how it can end early.

An endpoint hands out streams. Where the endpoint is replayed or idle the whole timeline is known at once; where
requests queue it becomes known when the work begins. No event is made per token: a stream schedules one event for
its first token, and whoever waits for more asks for one moment of the timeline.
"""

from __future__ import annotations

from functools import cache
from typing import Protocol

import numpy as np
import simpy
from numpy.typing import NDArray
from simpy.events import PENDING, Event, Timeout

Floats = NDArray[np.float64]


@cache
def _counting(size: int) -> Floats:
    numbers = np.arange(size, dtype=float)
    numbers.flags.writeable = False
    return numbers


def ramp(n: int) -> Floats:
    """Return 0.0, 1.0, ..., n - 1 as a read-only view: every timeline starts from one."""
    return _counting(1 << max(12, (n - 1).bit_length()))[:n]


ROUNDING = 1.0 + 2.0**-50
"""A stop lets pass what was due up to this factor of its time.

A policy that reacts to a token acts at ``now + (t - now)``, which may miss the token's time t by a rounding error; the
token it has seen must not count as never generated.
"""


class Listener(Protocol):
    """Who wants to know whether a stream speaks or fails."""

    def hear(self, stream: Stream) -> None:
        """Note that ``stream`` has spoken."""
        ...

    def lose(self) -> None:
        """Note that one stream has failed."""
        ...


class Stream:
    """Tokens ``first_token .. first_token + n_tok - 1`` of one answer, from one endpoint.

    Attributes
    ----------
    endpoint : str
        ``device`` or ``server``.
    first_token, n_tok : int
        Index (from 1) of the first token it makes, and how many it would make undisturbed.
    prompt_tok : int
        Tokens it has to prefill: the prompt, and what was already generated elsewhere.
    requested_s : float
        When the client asked for it.
    first_arrival_s : float or None
        When its first token reaches the client; None until promised.
    has_spoken, has_failed, is_stopped : bool
        Its first token has arrived; it will never speak; it was told to stop.
    is_closed : bool
        Whether the bill is final; where the timeline is known from the start, so is the bill.
    """

    __slots__ = (
        "_arrival_s",
        "_generated_s",
        "_waiters",
        "env",
        "failure",
        "first_arrival_s",
        "first_token",
        "has_failed",
        "has_spoken",
        "is_closed",
        "is_stopped",
        "n_tok",
        "prompt_tok",
        "requested_s",
    )

    endpoint = ""
    is_growing = False  # whether its timeline becomes known only while the endpoint works

    def __init__(self, env: simpy.Environment, prompt_tok: int, first_token: int, n_tok: int) -> None:
        self.env = env
        self.prompt_tok = prompt_tok
        self.first_token = first_token
        self.n_tok = n_tok
        self.requested_s = env.now
        self.first_arrival_s: float | None = None
        self.has_spoken = False
        self.has_failed = False
        self.is_closed = True
        self.is_stopped = False
        self.failure = ""
        self._waiters: list[Listener] = []
        self._generated_s: Floats | None = None
        self._arrival_s: Floats | None = None

    # --- the promise, filled in by the endpoint ---------------------------------------------------------------

    def _make_generated(self) -> Floats:
        raise NotImplementedError

    def _make_arrivals(self, generated_s: Floats) -> Floats:
        return generated_s

    @property
    def generated_s(self) -> Floats:
        """When the endpoint would generate each token if never stopped, shape (n_tok,)."""
        if self._generated_s is None:
            self._generated_s = self._make_generated()
        return self._generated_s

    @property
    def arrival_s(self) -> Floats:
        """When each token would reach the client if the stream is never stopped, shape (n_tok,)."""
        if self._arrival_s is None:
            self._arrival_s = self._make_arrivals(self.generated_s)
        return self._arrival_s

    def last_arrival_s(self) -> float:
        """Return when the last token would reach the client."""
        return float(self.arrival_s[-1])

    def ended(self) -> Event:
        """Return an event that fires when the last token has reached the client."""
        return Timeout(self.env, max(0.0, self.last_arrival_s() - self.env.now))

    def promise(self, first_arrival_s: float) -> None:
        """Announce when the first token arrives; schedules the one event of this stream."""
        self.first_arrival_s = first_arrival_s
        spoken = Timeout(self.env, max(0.0, first_arrival_s - self.env.now))
        spoken.callbacks.append(self._speak)

    def promise_failure(self, at_s: float, reason: str) -> None:
        """Announce that the client learns at ``at_s`` that this stream never speaks."""
        self.failure = reason
        known = Timeout(self.env, max(0.0, at_s - self.env.now))
        known.callbacks.append(self._fail)

    def listen(self, waiter: Listener) -> None:
        """Tell ``waiter`` when this stream speaks or fails."""
        self._waiters.append(waiter)

    def _speak(self, _: Event) -> None:
        self._speak_now()

    def _speak_now(self) -> None:
        if self.is_stopped:
            return
        self.has_spoken = True
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.hear(self)

    def _fail(self, _: Event) -> None:
        if not self.is_stopped:
            self._fail_now()

    def _fail_now(self) -> None:
        self.has_failed = True
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.lose()

    # --- ending early, and the bill ---------------------------------------------------------------------------

    def stop(self, *, finish_prefill: bool = False) -> None:
        """Tell the endpoint to stop; it obeys when the message has arrived."""
        raise NotImplementedError

    def bill(self) -> tuple[float, int]:
        """Return prompt tokens processed and tokens generated, given every stop so far."""
        raise NotImplementedError

    def usage(self) -> tuple[int, float, float]:
        """Return preemptions, GPU-seconds and KV-token-seconds, as far as an endpoint lets itself be looked into."""
        return 0, 0.0, 0.0

    def box_s(self) -> float:
        """Return the time of edge boxes that it took, in s."""
        return 0.0

    def closed(self) -> Event:
        """Return an event that fires when the bill becomes final; only for growing streams."""
        raise NotImplementedError


class FirstToken(Event):
    """Fires with the first stream to speak, or with None when all have failed or the time is over.

    It fires inside the event that decides it instead of being scheduled behind it: one event less per wait, and
    nothing can come between a token and the policy that waits for it.
    """

    def __init__(self, env: simpy.Environment, streams: tuple[Stream, ...], within_s: float | None) -> None:
        super().__init__(env)
        self._n_open = 0
        for stream in streams:
            if stream.has_spoken:
                self.succeed(stream)
                return
            if not stream.has_failed:
                self._n_open += 1
                stream.listen(self)
        if self._n_open == 0:
            self.succeed(None)
        elif within_s is not None:
            Timeout(env, within_s).callbacks.append(self._expire)

    def hear(self, stream: Stream) -> None:
        """Note that ``stream`` has spoken."""
        if self._value is PENDING:
            self._fire(stream)

    def lose(self) -> None:
        """Note that one stream has failed."""
        self._n_open -= 1
        if self._n_open == 0 and self._value is PENDING:
            self._fire(None)

    def _expire(self, _: Event) -> None:
        if self._value is PENDING:
            self._fire(None)

    def _fire(self, value: Stream | None) -> None:
        self._ok = True
        self._value = value
        callbacks = self.callbacks
        self.callbacks = None  # type: ignore[assignment]  # SimPy marks a processed event like this
        for callback in callbacks:
            callback(self)
