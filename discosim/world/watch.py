"""Waiting until the reader's buffer suffices, also on a stream whose future is not known.

Nobody may look ahead, and looking at every token would be an event per token. So a watch looks, works out how soon
the moment can come at the very earliest, and looks again then. The bound uses the fastest iteration that the cost
model allows, so each look halves the distance or better, and the moment itself is met exactly: the end of an iteration
is certain as soon as it has begun. Where the clock bounds nothing (the request waits for a batch, for a device, for its
KV cache to arrive) the watch sleeps until the stream moves: there is a look per change, not per tick.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import simpy
from simpy.events import Event, Timeout

from discosim.world.moment import Act, Moment
from discosim.world.stream import Floats, Known, ramp

NeedTok = Callable[[int, int], Floats]

AFTER_S = 1e-9
"""A look that waits for an iteration to begin comes this much later, so that rounding cannot make it come before."""

TOLERANCE_TOK = 1e-9  # a buffer that lacks no more than this suffices: rounding


class Watched(Protocol):
    """What a watch needs of whoever makes the tokens; a `Stream` has it."""

    env: simpy.Environment
    first_token: int
    n_tok: int

    @property
    def arrival_s(self) -> Floats:
        """When each token reaches the client, as far as that is certain."""
        ...

    def known(self) -> Known:
        """Return what is certain now."""
        ...

    def over_s(self) -> float:
        """Return when nothing more will reach the client; inf where nobody knows yet."""
        ...

    def when_moved(self, act: Act) -> None:
        """Call ``act`` once when more may be known and the clock does not say when."""
        ...


def look_after(stream: Watched, at_s: float, act: Callable[[Event], None]) -> None:
    """Call ``act`` just after ``at_s``, or, where that is inf, when the stream moves."""
    now_s = stream.env.now
    if at_s < np.inf:
        wait_s = max(0.0, at_s - now_s) + AFTER_S * (1.0 + 1e-3 * now_s)
        Timeout(stream.env, wait_s).callbacks.append(act)
    else:
        stream.when_moved(act)


def levels_tok(arrival_s: Floats, rate_tok_per_s: float) -> Floats:
    """Return the reader's buffer after each arrival, in tokens of reading time.

    r D_k - k is the running maximum of r A_k - k, so the level is that maximum minus its argument.
    """
    ahead = arrival_s * rate_tok_per_s
    ahead -= ramp(arrival_s.size)
    level: Floats = np.maximum.accumulate(ahead)
    level -= ahead
    level += 1.0 + TOLERANCE_TOK
    return level


def buffer_reaches(stream: Watched, rate_tok_per_s: float, need_tok: NeedTok) -> Event:
    """Return an event that fires when the buffer first suffices; see `Session.buffer_reaches`."""
    arrival_s, n = stream.arrival_s, stream.n_tok
    if arrival_s.size < n:
        return BufferWatch(stream, rate_tok_per_s, need_tok)
    return reached(stream.env, arrival_s, rate_tok_per_s, need_tok(stream.first_token, n), stream.first_token)


def reached(
    env: simpy.Environment, arrival_s: Floats, rate_tok_per_s: float, need_tok: Floats, first_token: int
) -> Event:
    """Return the same event where all tokens are known, and the buffer that is needed after each."""
    enough = levels_tok(arrival_s, rate_tok_per_s) >= need_tok
    at, now_s = int(enough.argmax()), env.now
    if not enough[at] or at + 1 >= arrival_s.size:
        return Timeout(env, max(0.0, float(arrival_s[-1]) - now_s), None)
    return Timeout(env, max(0.0, float(arrival_s[at]) - now_s), first_token + at)


class BufferWatch(Moment):
    """Fires with token k when the reader's buffer first suffices after k tokens; see `Session.buffer_reaches`."""

    def __init__(self, stream: Watched, rate_tok_per_s: float, need_tok: NeedTok) -> None:
        super().__init__(stream.env)
        self._stream = stream
        self._rate = rate_tok_per_s
        self._need = need_tok(stream.first_token, stream.n_tok)
        self._look()

    def _look(self, _: Event | None = None) -> None:
        stream, need, total = self._stream, self._need, self._stream.n_tok
        known = stream.known()
        arrival_s = known.arrival_s
        n, level = arrival_s.size, 0.0
        if n:
            levels = levels_tok(arrival_s, self._rate)
            enough = levels >= need[:n]
            at = int(enough.argmax())
            if enough[at] and at + 1 < total:
                self.fire_soon(float(arrival_s[at]), stream.first_token + at)
                return
            level = float(levels[-1])
        over_s = float(arrival_s[-1]) if n == total else stream.over_s()
        if over_s < np.inf:
            self.fire_soon(over_s)
            return
        # the level can rise by one a token at most: the first token after which it may suffice
        may = level + ramp(total - n) + 1.0 >= need[n:]
        first = int(may.argmax()) if may.any() else total - n - 1
        ahead_tok = n + first + 1 - known.made_s.size  # tokens to be made until then, that one included
        look_after(stream, known.next_s + max(0, ahead_tok - 1) * known.each_s, self._look)
