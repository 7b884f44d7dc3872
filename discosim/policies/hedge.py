"""A second request where the first is slower than most, as far as a token bucket lets it: what products ship today."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from discosim.core.spec import spec
from discosim.policies.base import Policy
from discosim.policies.services import SERVER, check_service
from discosim.policies.view import View
from discosim.world.session import Loser
from discosim.world.verbs.battery import can_take

if TYPE_CHECKING:
    from discosim.world.session import Session
    from discosim.world.stream import Stream

DEVICE = "device"


class Bucket:
    """A token bucket that requests fill: it begins full, each first request adds to it, each second one takes 1.

    Parameters
    ----------
    per_request : float
        Tokens that a first request adds, >= 0.
    size : float
        Most that it holds, >= 1; what would flow over is lost.

    Notes
    -----
    After n first requests at most ``size + per_request n`` second ones were let through, whenever they came. Counted
    in fractions of the numbers as they are written, so that ten tenths are one.
    """

    def __init__(self, per_request: float, size: float) -> None:
        self._per_request, self._size = Fraction(str(float(per_request))), Fraction(str(float(size)))
        self._level = self._size

    def earn(self) -> None:
        """Count a first request."""
        self._level = min(self._size, self._level + self._per_request)

    def take(self) -> bool:
        """Tell whether a second request is let through, and count it where it is."""
        if self._level < 1:
            return False
        self._level -= 1
        return True


class Window:
    """The last first-token times, oldest first out, and their quantile.

    Parameters
    ----------
    size : int
        How many are kept, >= 1. An addition costs O(size), in moves of memory.
    times_s : iterable of float
        What is known at the beginning, oldest first.
    """

    def __init__(self, size: int, times_s: Iterable[float] = ()) -> None:
        self._size = size
        self._in_order = deque(times_s, maxlen=size)
        self._ranked = sorted(self._in_order)

    def add(self, time_s: float) -> None:
        """Note a first-token time."""
        if len(self._in_order) == self._size:
            del self._ranked[bisect_left(self._ranked, self._in_order[0])]
        self._in_order.append(time_s)
        insort(self._ranked, time_s)

    def quantile_s(self, level: float) -> float:
        """Return the smallest time that a share ``level`` did not exceed: 0 at 0, inf while too few are known.

        Too few are less than ``1 / (1 - level)``: above the longest of them there is more than a share ``1 - level``.
        """
        n = len(self._ranked)
        if level <= 0.0:
            return 0.0
        if n * (1.0 - level) < 1.0 - 1e-9:
            return math.inf
        return self._ranked[math.ceil(level * n - 1e-9) - 1]


@dataclass(kw_only=True)
class Hedge(Policy):
    """Ask the service, and a second endpoint if it is silent for longer than it mostly is; the first to speak is kept.

    The wait is a quantile of the last first-token times, as they stand when a request arrives. A token bucket bounds
    the second requests: each request adds a fraction of a token, a second one takes a whole one, and where the bucket
    holds less when the wait is over there is none. Lengths of prompts and prices play no part.
    """

    kind: ClassVar[str] = "hedge"
    paper: ClassVar[str] = (
        "Hedged requests: Dean and Barroso, 'The Tail at Scale' (CACM 56(2), 2013), a second request after the 95th "
        "percentile of latency; with the throttling of gRPC's retry design (proposal A6), a bucket that requests fill; "
        "as adaptive hedging in client libraries of today: 90 % quantile, 0.1 tokens a request (secondary source)."
    )
    departures: ClassVar[str] = (
        "Times of 'The Tail at Scale' are whole answers, here first tokens. A first request that was given up when the "
        "second spoke counts with the time for which it was silent: it lies above the quantile, as the whole would. "
        "gRPC's bucket is filled by successes, here by every first request, so that the bound is known beforehand. "
        "A second endpoint that cannot take the request at all (a prompt too long for the device) takes no token. "
        "Where the first is refused, the second replaces it at once, and needs no token (our choice: nobody is left "
        "without an answer for the sake of a budget of races)."
    )

    service: str = spec(SERVER, doc="Who is asked first: `server`, or a name in `services`.", min_length=1)
    second: str = spec(
        DEVICE,
        doc="Who gets the second request: `device`, `server` or a name in `services`; the first again draws anew.",
        min_length=1,
    )
    quantile: float = spec(
        0.9, doc="Quantile of past first-token times after which the first is slow; 0 asks both at once.", ge=0, lt=1
    )
    window: int = spec(1000, doc="Number of past first-token times that are remembered (our choice).", ge=1, le=10**6)
    initial: Literal["past", "none"] = spec(
        "past",
        doc="What is known at the beginning: first-token times of the past (a pilot run's, of an engine), or none.",
    )
    tokens_per_request: float = spec(0.1, doc="Tokens that each request adds to the bucket.", ge=0, le=1)
    bucket_size: float = spec(10.0, doc="Most that the bucket holds; it begins full (our choice).", ge=1, le=10**9)
    losers: Loser = spec("cancel", doc="Fate of the endpoint that loses: cancel, finish_prefill or run_on.")

    _times: Window = field(init=False, repr=False, compare=False, default_factory=lambda: Window(1))
    _bucket: Bucket = field(init=False, repr=False, compare=False, default_factory=lambda: Bucket(0.0, 1.0))

    def __post_init__(self) -> None:
        check_service(self.service)
        if self.second != DEVICE:
            check_service(self.second)

    def asks_for(self) -> Sequence[str]:
        """Return the services."""
        return [name for name in dict.fromkeys((self.service, self.second)) if name != DEVICE]

    def prepare(self, view: View) -> None:
        """Fill the bucket, and the window with the end of the past; only that of `server` is known."""
        knows_past = self.initial == "past" and self.service == SERVER
        past_s = view.server_ttft_s[np.isfinite(view.server_ttft_s)] if knows_past else np.empty(0)
        self._times = Window(self.window, past_s[-self.window :].tolist())
        self._bucket = Bucket(self.tokens_per_request, self.bucket_size)

    @property
    def wait_s(self) -> float:
        """How long the first is given now, in s."""
        return self._times.quantile_s(self.quantile)

    def serve(self, session: Session) -> Generator[Any, Any, None]:
        """Serve one request."""
        self._bucket.earn()
        wait_s = self.wait_s
        first = session.start(self.service)
        winner: Stream | None = None
        if wait_s > 0.0:
            winner = yield session.first_token_of(first, within_s=None if wait_s == math.inf else wait_s)
        if winner is None and not first.has_failed and not self._is_let_through(session):
            winner = yield session.first_token_of(first)
        if winner is None:
            winner = yield session.first_token_of(first, session.start(self.second))
        if winner is None:
            session.fail()
            return
        if not first.has_failed:
            self._times.add(session.now_s - first.requested_s)
        session.keep(winner, losers=self.losers)
        yield session.finished()

    def _is_let_through(self, session: Session) -> bool:
        can_be_taken = self.second != DEVICE or can_take(session, session.prompt_tok)
        return can_be_taken and self._bucket.take()
