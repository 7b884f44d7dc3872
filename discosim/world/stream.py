"""A stream is a promise of tokens: when each is generated, when each reaches the client, and how it can end early.

An endpoint hands out streams. Where the endpoint is replayed or idle the whole timeline is known at once; where
requests queue it becomes known when the work begins. No event is made per token: a stream schedules one event for
its first token, and whoever waits for more asks for one moment of the timeline.

Every moment can be asked for at any time (`moment`): before it is known, when it has passed, twice, after a stop, after
a failure. A stream whose timeline is not known yet keeps those who asked and tells them when it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np
import simpy
from numpy.typing import NDArray
from simpy.events import Event, Timeout

from discosim.world.moment import Act, Moment
from discosim.world.spent import Spent

Floats = NDArray[np.float64]
NOTHING: Floats = np.empty(0)


@cache
def _counting(size: int) -> Floats:
    numbers = np.arange(size, dtype=float)
    numbers.flags.writeable = False
    return numbers


def ramp(n: int) -> Floats:
    """Return 0.0, 1.0, ..., n - 1 as a read-only view: every timeline starts from one."""
    return _counting(1 << max(12, (n - 1).bit_length()))[:n]


class Listener(Protocol):
    """Who wants to know whether a stream speaks or fails."""

    def hear(self, stream: Stream) -> None:
        """Note that ``stream`` has spoken."""
        ...

    def lose(self) -> None:
        """Note that one stream will never speak: it has failed, or was stopped before it spoke."""
        ...


@dataclass(slots=True)
class Known:
    """What is certain of a stream.

    Parameters
    ----------
    made_s, arrival_s : array of float
        When each token is made and when it reaches the client, as far as that is certain.
    next_s, each_s : float
        When the next token can be made at the earliest, and how soon another can follow; ``next_s`` is inf where the
        clock says nothing about it: it waits for something to change (`Stream.when_moved`).
    """

    made_s: Floats
    arrival_s: Floats
    next_s: float = math.inf
    each_s: float = 0.0


class Stream:
    """Tokens ``first_token .. first_token + n_tok - 1`` of one answer, from one endpoint.

    Attributes
    ----------
    endpoint : str
        Name of the endpoint it comes from.
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

    Notes
    -----
    A stream of another package needs `_make_generated`, `stop` and `bill`. Where its timeline is not known from the
    start it says so by `is_known` and calls `_move` when it is. Its ``stop`` calls `_hush`.
    """

    __slots__ = (
        "_arrival_s",
        "_at_close",
        "_at_end",
        "_at_move",
        "_failed_s",
        "_generated_s",
        "_is_asked",
        "_waiters",
        "env",
        "failure",
        "first_arrival_s",
        "first_token",
        "has_failed",
        "has_spoken",
        "hushed_s",
        "is_closed",
        "is_stopped",
        "n_tok",
        "prompt_tok",
        "requested_s",
    )

    endpoint = ""
    is_growing = False  # whether its timeline becomes known only while the endpoint works
    is_in_parts = False  # whether it is made of parts that are written side by side
    is_refusal = False  # whether it failed because a limit of its endpoint can never take what was asked
    helpers: tuple[Stream, ...] = ()  # streams of the same request that work for it: not cancelled while it is shown

    _at_end: list[Moment]
    _at_close: list[Moment]
    _at_move: list[Act]

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
        self.hushed_s = math.inf  # when the client told it to stop
        self.failure = ""
        self._waiters: list[Listener] = []
        self._generated_s: Floats | None = None
        self._arrival_s: Floats | None = None
        self._failed_s = math.inf  # when the client learns that it will never speak
        self._is_asked = False  # whether anybody waits for a moment that is not known yet: mostly nobody does

    # --- the promise, filled in by the endpoint ---------------------------------------------------------------

    def is_known(self) -> bool:
        """Tell whether its whole timeline is known by now."""
        return not self.failure

    def _make_generated(self) -> Floats:
        raise NotImplementedError

    def _make_arrivals(self, generated_s: Floats) -> Floats:
        return generated_s

    @property
    def generated_s(self) -> Floats:
        """When the endpoint would generate each token if never stopped, shape (n_tok,); empty before it is known."""
        if self._generated_s is None:
            if not self.is_known():
                return NOTHING
            self._generated_s = self._make_generated()
        return self._generated_s

    @property
    def arrival_s(self) -> Floats:
        """When each token would reach the client if never stopped, shape (n_tok,); empty before it is known."""
        if self._arrival_s is None:
            if not self.is_known():
                return NOTHING
            self._arrival_s = self._make_arrivals(self.generated_s)
        return self._arrival_s

    def known(self) -> Known:
        """Return what is certain now."""
        return Known(self.generated_s, self.arrival_s)

    def last_arrival_s(self) -> float:
        """Return when the last token would reach the client; the timeline must be known."""
        return float(self.arrival_s[-1])

    def over_s(self) -> float:
        """Return when nothing more will reach the client, because all has or nothing can; inf where nobody knows yet.

        That is its last token, the news of its failure, or the stop of a stream that had not begun.
        """
        if self.failure or self.has_failed or not self.is_known():
            return self._failed_s
        return self.last_arrival_s()

    # --- moments ----------------------------------------------------------------------------------------------

    def ended(self) -> Event:
        """Return an event that fires when nothing more will reach the client; see `over_s`."""
        over_s = self.over_s()
        if over_s < math.inf:
            return Timeout(self.env, max(0.0, over_s - self.env.now))
        self._ask()
        moment = Moment(self.env)
        self._at_end.append(moment)
        return moment

    def closed(self) -> Event:
        """Return an event that fires when the bill is final."""
        if self.is_closed:
            return Timeout(self.env, 0.0)
        self._ask()
        moment = Moment(self.env)
        self._at_close.append(moment)
        return moment

    def when_moved(self, act: Act) -> None:
        """Call ``act`` once, in an event of its own, when more may be known and the clock does not say when."""
        self._ask()
        self._at_move.append(act)

    def _ask(self) -> None:
        if not self._is_asked:
            self._is_asked = True
            self._at_end, self._at_close, self._at_move = [], [], []

    def _move(self) -> None:
        """Tell those who wait that more is known: a token, the whole timeline, or that nothing will come."""
        if not self._is_asked:
            return
        if self._at_end and (over_s := self.over_s()) < math.inf:
            moments, self._at_end = self._at_end, []
            for moment in moments:
                moment.fire_at(over_s)
        if self._at_move:
            soon = Timeout(self.env, 0.0)
            soon.callbacks.extend(self._at_move)
            self._at_move = []

    def _close(self) -> None:
        """Make the bill final."""
        self.is_closed = True
        if self._is_asked:
            moments, self._at_close = self._at_close, []
            for moment in moments:
                moment.fire()

    # --- speaking ---------------------------------------------------------------------------------------------

    def promise(self, first_arrival_s: float) -> None:
        """Announce when the first token arrives; schedules the one event of this stream."""
        self.first_arrival_s = first_arrival_s
        spoken = Timeout(self.env, max(0.0, first_arrival_s - self.env.now))
        spoken.callbacks.append(self._speak)

    def promise_failure(self, at_s: float, reason: str) -> None:
        """Announce that the client learns at ``at_s`` that this stream never speaks."""
        self.failure = reason
        self._failed_s = at_s
        known = Timeout(self.env, max(0.0, at_s - self.env.now))
        known.callbacks.append(self._fail)

    def listen(self, waiter: Listener) -> None:
        """Tell ``waiter`` when this stream speaks or will never speak, at once where that is decided."""
        if self.has_spoken:
            waiter.hear(self)
        elif self.has_failed or self.is_stopped:
            waiter.lose()
        else:
            self._waiters.append(waiter)

    def _speak(self, _: Event) -> None:
        self._speak_now()

    def _speak_now(self) -> None:
        if self.is_stopped:
            self._lose_all()
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
        self._failed_s = min(self._failed_s, self.env.now)
        self._move()
        self._lose_all()

    def _hush(self) -> None:
        """Note that the client has told it to stop; if it has not spoken, nobody will hear it now."""
        self.is_stopped = True
        self.hushed_s = self.env.now
        if self.failure and self._failed_s == math.inf:  # the news will not be heard any more
            self._failed_s = self.env.now
            self._move()
        if self._waiters:
            self._lose_all()

    def _lose_all(self) -> None:
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

    def spent(self) -> Spent:
        """Return all that it took, beside the tokens of `bill` what an endpoint shows of its inside."""
        return Spent(*self.bill())


class FirstToken(Moment):
    """Fires with the first stream to speak, or with None when none can any more or the time is over."""

    def __init__(self, env: simpy.Environment, streams: tuple[Stream, ...], within_s: float | None) -> None:
        super().__init__(env)
        self._n_open = 0
        for stream in streams:
            if stream.has_spoken:
                self.succeed(stream)
                return
            if not (stream.has_failed or stream.is_stopped):
                self._n_open += 1
                stream.listen(self)
        if self._n_open == 0:
            self.succeed(None)
        elif within_s is not None and within_s < math.inf:
            Timeout(env, within_s).callbacks.append(self._expire)

    def hear(self, stream: Stream) -> None:
        """Note that ``stream`` has spoken."""
        self.fire(stream)

    def lose(self) -> None:
        """Note that one stream will never speak."""
        self._n_open -= 1
        if self._n_open == 0:
            self.fire(None)

    def _expire(self, _: Event) -> None:
        self.fire(None)
