"""An answer whose parts are written side by side, each perhaps several times, and read one after the other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from simpy.events import Event, Timeout

from discosim.world.engine.watch import Moment
from discosim.world.stream import Floats, Stream


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

    __slots__ = ("_at_close", "_at_end", "_leaves", "_n_first", "_n_open", "_n_running", "_parts", "_picks", "endpoint")

    endpoint: str
    is_growing = True

    def __init__(self, parts: Sequence[Sequence[Stream]], picks: Sequence[int]) -> None:
        leaves = [stream for candidates in parts for stream in candidates]
        first = leaves[0]
        n_tok = sum(candidates[0].n_tok for candidates in parts)
        super().__init__(first.env, first.prompt_tok, first.first_token, n_tok)
        self.endpoint = first.endpoint
        self._parts = parts
        self._picks = picks
        self._leaves = leaves
        self._at_end: list[Moment] = []
        self._at_close: list[Moment] = []
        self._n_first = len(parts[0])  # candidates of the first part that are not complete
        self._n_open = len(leaves)  # streams that have not ended
        self._n_running = 0  # streams whose bill is not final
        self.failure = next((stream.failure for stream in leaves if stream.failure), "")
        for i, stream in enumerate(leaves):
            stream.listen(self)
            if not self.failure:
                stream.ended().callbacks.append(self._end_first if i < len(parts[0]) else self._end)
            if stream.is_growing and not stream.is_closed:
                self._n_running += 1
                stream.closed().callbacks.append(self._close)
        self.is_closed = self._n_running == 0

    # --- what the streams tell --------------------------------------------------------------------------------

    def hear(self, stream: Stream) -> None:
        """Note that a stream has spoken."""
        if stream is self._parts[0][0] and len(self._parts[0]) == 1 and not self.failure:
            self.first_arrival_s = stream.first_arrival_s
            self._speak_now()

    def lose(self) -> None:
        """Note that a stream has failed: without a part there is no answer."""
        if self.has_failed:
            return
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
            for moment in self._at_end:
                moment.fire_at(self.env.now)

    def _close(self, _: Event) -> None:
        self._n_running -= 1
        if self._n_running == 0:
            self.is_closed = True
            for moment in self._at_close:
                moment.fire_at(self.env.now)

    # --- the promise ------------------------------------------------------------------------------------------

    def _make_generated(self) -> Floats:
        shown = [candidates[pick] for candidates, pick in zip(self._parts, self._picks, strict=True)]
        return np.concatenate([stream.generated_s for stream in shown])

    def _make_arrivals(self, generated_s: Floats) -> Floats:  # noqa: ARG002 - a pick waits for all candidates
        arrivals = [
            candidates[0].arrival_s
            if len(candidates) == 1
            else np.full(candidates[0].n_tok, max(float(stream.arrival_s[-1]) for stream in candidates))
            for candidates in self._parts
        ]
        in_order: Floats = np.maximum.accumulate(np.concatenate(arrivals))
        return in_order

    def ended(self) -> Event:
        """Return an event that fires when the whole answer has reached the client."""
        if self._n_open == 0:
            return Timeout(self.env, 0.0)
        moment = Moment(self.env)
        self._at_end.append(moment)
        return moment

    def closed(self) -> Event:
        """Return an event that fires when the bill is final."""
        moment = Moment(self.env)
        self._at_close.append(moment)
        return moment

    # --- ending early, and the bill ---------------------------------------------------------------------------

    def stop(self, *, finish_prefill: bool = False) -> None:
        """Stop all streams."""
        self.is_stopped = True
        for stream in self._leaves:
            stream.stop(finish_prefill=finish_prefill)

    def bill(self) -> tuple[float, int]:
        """Return prompt tokens processed and tokens made, of all streams together."""
        bills = [stream.bill() for stream in self._leaves]
        return sum(bill[0] for bill in bills), sum(bill[1] for bill in bills)

    def usage(self) -> tuple[int, float, float]:
        """Return preemptions, GPU-seconds and KV-token-seconds, of all streams together."""
        used = [stream.usage() for stream in self._leaves]
        return sum(u[0] for u in used), sum(u[1] for u in used), sum(u[2] for u in used)

    def box_s(self) -> float:
        """Return the time of edge boxes, in s."""
        return sum(stream.box_s() for stream in self._leaves)
