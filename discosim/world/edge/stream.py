"""One sequence on an edge box: its timeline is known as soon as its round begins."""

from __future__ import annotations

import math
from typing import Protocol

import simpy
from simpy.events import Event, Timeout

from discosim.world.link import Link
from discosim.world.rounding import ROUNDING
from discosim.world.spent import Spent
from discosim.world.stream import Floats, Stream, ramp


class Boxes(Protocol):
    """What a sequence needs of the boxes that serve it."""

    env: simpy.Environment
    link: Link

    def add(self, stream: EdgeStream) -> None:
        """Take a sequence in."""
        ...

    def drop(self, stream: EdgeStream) -> None:
        """Cancel a sequence, on its way, waiting or running."""
        ...


class EdgeStream(Stream):
    """A sequence of tokens from the edge tier.

    Attributes
    ----------
    context : tuple of int
        Whose prompt it continues, request and candidate: sequences of one context share a prefill and its memory.
    list_key : int
        The job list it waits in.
    reached_s : float
        When it reached the pool.
    is_closed : bool
        Nothing more will be made; the bill is final.
    """

    __slots__ = (
        "_batch",
        "_begin_s",
        "_end_s",
        "_prefill_end_s",
        "_stop_s",
        "_user_id",
        "context",
        "endpoint",
        "is_queued",
        "list_key",
        "pays_prefill",
        "pool",
        "reached_s",
        "token_s",
    )

    endpoint: str
    is_growing = True

    def __init__(
        self,
        pool: Boxes,
        endpoint: str,
        user_id: int,
        prompt_tok: int,
        first_token: int,
        n_tok: int,
        context: tuple[int, int],
        list_key: int,
    ) -> None:
        super().__init__(pool.env, prompt_tok, first_token, n_tok)
        self.endpoint = endpoint
        self.pool = pool
        self.context = context
        self.list_key = list_key
        self.reached_s = math.inf
        self.is_closed = False
        self.is_queued = False
        self.pays_prefill = False
        self.token_s = 0.0
        self._user_id = user_id
        self._batch = 1
        self._begin_s = self._prefill_end_s = self._end_s = math.inf
        self._stop_s = math.inf

    # --- what is certain --------------------------------------------------------------------------------------

    @property
    def has_begun(self) -> bool:
        """Whether its round has begun."""
        return self._begin_s < math.inf

    @property
    def end_s(self) -> float:
        """When its last token is made; inf before its round begins."""
        return self._end_s

    def is_known(self) -> bool:
        """Tell whether its timeline is known: its round has begun."""
        return self.has_begun

    def over_s(self) -> float:
        """Return when nothing more will reach the client; inf while it waits for a round."""
        if self.is_closed and not self.has_begun and not self.failure:
            return self.env.now  # cancelled in the queue, or on the way
        return super().over_s()

    def _make_generated(self) -> Floats:
        times_s: Floats = (ramp(self.n_tok) + 1.0) * self.token_s
        times_s += self._prefill_end_s
        return times_s

    def _make_arrivals(self, generated_s: Floats) -> Floats:
        return self.pool.link.deliver(generated_s, self._user_id)

    # --- what the pool tells ----------------------------------------------------------------------------------

    def reach(self, _: Event | None = None) -> None:
        """Reach the pool, unless its cancel came before it did."""
        self.reached_s = self.env.now
        if not self.is_closed:
            self.pool.add(self)

    def begin(self, prefill_end_s: float, token_s: float, batch: int, *, pays_prefill: bool) -> None:
        """Start in a round of ``batch`` sequences."""
        self._begin_s = self.env.now
        self._prefill_end_s = prefill_end_s
        self.token_s = token_s
        self._batch = batch
        self._end_s = prefill_end_s + self.n_tok * token_s
        self.pays_prefill = pays_prefill
        if not self.is_stopped:
            self.promise(float(self.arrival_s[0]))
        self._move()

    def close(self) -> None:
        """Nothing more will be made."""
        self._close()
        self._move()

    # --- from the client --------------------------------------------------------------------------------------

    def stop(self, *, finish_prefill: bool = False) -> None:  # noqa: ARG002 - a box drops a sequence as a whole
        """Send a cancel; the box obeys when it has travelled."""
        if self.is_stopped:
            return
        self._hush()
        if self.is_closed:
            return
        up_s = self.pool.link.up_s(self.env.now, self._user_id)
        if up_s > 0.0:
            Timeout(self.env, up_s).callbacks.append(self._drop)
        else:
            self._drop()

    def _drop(self, _: Event | None = None) -> None:
        if not self.is_closed:
            self._stop_s = self.env.now * ROUNDING
            self.pool.drop(self)

    # --- the bill ---------------------------------------------------------------------------------------------

    def bill(self) -> tuple[float, int]:
        """Return prompt tokens processed and tokens made; certain once the stream is closed.

        A prompt that several sequences share is billed to the first of them; time inside a prefill is shared out
        evenly over its tokens.
        """
        if self.failure or not self.has_begun:
            return 0.0, 0
        prefilled = float(self.prompt_tok) if self.pays_prefill else 0.0
        if self._stop_s >= self._end_s:
            return prefilled, self.n_tok
        if self._stop_s < self._prefill_end_s:
            return prefilled * (self._stop_s - self._begin_s) / (self._prefill_end_s - self._begin_s), 0
        return prefilled, int(self.generated_s.searchsorted(self._stop_s, side="right"))

    def spent(self) -> Spent:
        """Return tokens, and its share of the box's time: its stay over the size of its batch, in s."""
        spent = super().spent()
        if self.has_begun:
            spent.box_s = max(0.0, min(self._end_s, self._stop_s) - self._begin_s) / self._batch
        return spent
