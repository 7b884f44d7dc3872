"""An answer whose parts are written side by side, each perhaps several times, and read one after the other."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from simpy.events import Event

from discosim.world.moment import Act, when
from discosim.world.spent import Spent
from discosim.world.stream import NOTHING, Floats, Known, Stream


class PartsStream(Stream):
    """Streams side by side that make one answer.

    A token counts as delivered when it and all earlier parts are there; else a quality-of-experience score would
    reward text that nobody can read yet. Of several candidates of a part one is picked when all are complete, so all
    tokens of that part come at once.

    Parameters
    ----------
    parts : sequence of sequence of Stream
        Candidates of each part, in the order of the text; the candidates of a part have one length.
    picks : sequence of int
        Which candidate of each part is shown.

    Source: delivery rule and the pick at the end are our choice; PICE (arXiv 2501.09367) is silent on both as far as
    it could be read.
    """

    __slots__ = (
        "_leaves",
        "_n_first",
        "_n_open",
        "_n_running",
        "_over_s",
        "_parts",
        "_picks",
        "endpoint",
        "is_refusal",
    )

    endpoint: str
    is_refusal: bool
    is_growing = True
    is_in_parts = True

    def __init__(self, parts: Sequence[Sequence[Stream]], picks: Sequence[int]) -> None:
        leaves = [stream for candidates in parts for stream in candidates]
        first = leaves[0]
        n_tok = sum(candidates[0].n_tok for candidates in parts)
        super().__init__(first.env, first.prompt_tok, first.first_token, n_tok)
        self.endpoint = first.endpoint
        self._parts = parts
        self._picks = picks
        self._leaves = leaves
        self._n_first = len(parts[0])  # candidates of the first part that are not over
        self._n_open = len(leaves)  # streams that are not over
        self._over_s = math.inf
        self._n_running = sum(not stream.is_closed for stream in leaves)  # streams whose bill is not final
        self.is_closed = self._n_running == 0
        refused = next((stream for stream in leaves if stream.failure), None)
        self.failure = "" if refused is None else refused.failure
        self.is_refusal = refused is not None and refused.is_refusal
        for i, stream in enumerate(leaves):
            stream.listen(self)
            if not self.failure:
                when(stream.ended(), self._end_first if i < len(parts[0]) else self._end)
            if not stream.is_closed:
                when(stream.closed(), self._close_one)

    # --- what the streams tell --------------------------------------------------------------------------------

    def hear(self, stream: Stream) -> None:
        """Note that a stream has spoken."""
        if stream is self._parts[0][0] and len(self._parts[0]) == 1 and not self.failure:
            self.first_arrival_s = stream.first_arrival_s
            self._speak_now()

    def lose(self) -> None:
        """Note that a stream has failed: without a part there is no answer."""
        if self.has_failed or self.is_stopped:
            return
        self.has_failed = True
        for stream in self._leaves:
            stream.stop()
        self.failure = self.failure or "a part of the answer was refused"
        self._fail_now()

    def _end_first(self, event: Event) -> None:
        self._n_first -= 1
        if self._n_first == 0 and len(self._parts[0]) > 1 and not self.is_stopped:
            self.first_arrival_s = self.env.now
            self._speak_now()
        self._end(event)

    def _end(self, _: Event) -> None:
        self._n_open -= 1
        if self._n_open == 0:
            self._over_s = self.env.now
            self._move()

    def _close_one(self, _: Event) -> None:
        self._n_running -= 1
        if self._n_running == 0:
            self._close()

    # --- the promise ------------------------------------------------------------------------------------------

    def is_known(self) -> bool:
        """Tell whether the timelines of all parts are known."""
        return not self.failure and all(stream.is_known() for stream in self._leaves)

    def over_s(self) -> float:
        """Return when the whole answer has reached the client, or nothing more can; inf before."""
        return self._failed_s if self.failure or self.has_failed else self._over_s

    def _next(self) -> Stream | None:
        """Return the stream that the next token in order waits for; None where all timelines are known."""
        for candidates in self._parts:
            for stream in candidates:
                if not stream.is_known() and stream.known().arrival_s.size < stream.n_tok:
                    return stream
        return None

    def known(self) -> Known:
        """Return the tokens, in the order of the text, that are certain now."""
        if self.is_known():
            return Known(self.generated_s, self.arrival_s)
        made: list[Floats] = []
        arrived: list[Floats] = []
        next_s, each_s = math.inf, 0.0
        for candidates, pick in zip(self._parts, self._picks, strict=True):
            knowns = [stream.known() for stream in candidates]
            is_whole = all(k.arrival_s.size == s.n_tok for k, s in zip(knowns, candidates, strict=True))
            if len(candidates) == 1 or is_whole:
                made.append(knowns[pick].made_s)
                arrived.append(_shown(knowns))
            if not is_whole:
                if len(candidates) == 1:
                    next_s, each_s = knowns[0].next_s, knowns[0].each_s
                break
        if not made:
            return Known(NOTHING, NOTHING, next_s, each_s)
        return Known(np.concatenate(made), np.maximum.accumulate(np.concatenate(arrived)), next_s, each_s)

    @property
    def generated_s(self) -> Floats:
        """When each token is generated, as far as it is certain now."""
        return super().generated_s if self.is_known() else self.known().made_s

    @property
    def arrival_s(self) -> Floats:
        """When each token reaches the client, as far as it is certain now."""
        return super().arrival_s if self.is_known() else self.known().arrival_s

    def when_moved(self, act: Act) -> None:
        """Call ``act`` once when more may be known of the part that comes next."""
        stream = self._next()
        if stream is None or stream.over_s() < math.inf:  # nothing more comes of it: the others have to end
            super().when_moved(act)
        elif any(stream in candidates and len(candidates) > 1 for candidates in self._parts):
            when(stream.ended(), act)
        else:
            stream.when_moved(act)

    def _make_generated(self) -> Floats:
        shown = [candidates[pick] for candidates, pick in zip(self._parts, self._picks, strict=True)]
        return np.concatenate([stream.generated_s for stream in shown])

    def _make_arrivals(self, generated_s: Floats) -> Floats:  # noqa: ARG002 - a pick waits for all candidates
        arrivals = [_shown([stream.known() for stream in candidates]) for candidates in self._parts]
        in_order: Floats = np.maximum.accumulate(np.concatenate(arrivals))
        return in_order

    # --- ending early, and the bill ---------------------------------------------------------------------------

    def stop(self, *, finish_prefill: bool = False) -> None:
        """Stop all streams."""
        if self.is_stopped:
            return
        self._hush()
        for stream in self._leaves:
            stream.stop(finish_prefill=finish_prefill)

    def bill(self) -> tuple[float, int]:
        """Return prompt tokens processed and tokens made, of all streams together."""
        spent = self.spent()
        return spent.prompt_tok, spent.output_tok

    def spent(self) -> Spent:
        """Return what all streams together took."""
        spent = Spent()
        for stream in self._leaves:
            spent.add(stream.spent())
        return spent


def _shown(candidates: Sequence[Known]) -> Floats:
    """Return when the tokens of a part reach the client: its only stream's, or all when all candidates are complete."""
    if len(candidates) == 1:
        return candidates[0].arrival_s
    return np.full(candidates[0].arrival_s.size, max(float(known.arrival_s[-1]) for known in candidates))
