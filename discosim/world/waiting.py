"""What a phone takes while it waits for somebody else and receives: screen, radio and the radio's tail.

The screen is on from a request until its last token has come, whoever works. The radio waits from the moment at which
something is asked for elsewhere, receives from its first token to its last (or to the stop, or the news of a failure),
and stays up for its tail as if it waited. A phone has one screen and one radio: of requests side by side each moment
counts once, at the highest power that any of them needs.

Source: our choice. Who is closed first pays for a moment; a later one pays what it needs above that. So what a request
pays is known when it ends, whatever comes after it, and the sum is that of the union. Powers are assumptions: a waiting
phone is taken to need 0.3 to 1 W above idle for some 20 s (our bracket). Measured beside it: the whole phone at
1 Mbit/s down takes 2.58 W (LTE) and 5.03 W (mmWave), its base not taken off (artifact of a 5G study, SIGCOMM 2021).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable

from discosim.core.scenario import Waiting
from discosim.world.stream import Stream

NEVER = -math.inf


class Claims:
    """Power over time that several claim: at each moment the highest counts, and every joule has one owner."""

    __slots__ = ("_edges_s", "_power_w")

    def __init__(self) -> None:
        self._edges_s: list[float] = [NEVER]
        self._power_w: list[float] = [0.0]  # from each edge on

    def claim(self, begin_s: float, end_s: float, power_w: float) -> float:
        """Claim a power for a while; return the energy that nobody has claimed before, in J."""
        if not (power_w > 0.0 and begin_s < end_s):
            return 0.0
        first, last = self._edge(begin_s), self._edge(end_s)
        edges_s, held_w = self._edges_s, self._power_w
        joules = 0.0
        for k in range(first, last):
            if held_w[k] < power_w:
                joules += (power_w - held_w[k]) * (edges_s[k + 1] - edges_s[k])
                held_w[k] = power_w
        return joules

    def _edge(self, at_s: float) -> int:
        """Return the number of the edge at ``at_s``, which is made where there is none; a later call moves it."""
        k = bisect_left(self._edges_s, at_s)
        if k == len(self._edges_s) or self._edges_s[k] != at_s:
            self._edges_s.insert(k, at_s)
            self._power_w.insert(k, self._power_w[k - 1])
        return k

    def total_j(self) -> float:
        """Return all that was claimed."""
        edges_s, held_w = self._edges_s, self._power_w
        return sum(held_w[k] * (edges_s[k + 1] - edges_s[k]) for k in range(1, len(edges_s) - 1))


class Phone:
    """Screen and radio of one user's phone.

    Parameters
    ----------
    waiting : Waiting
        Their powers.
    """

    __slots__ = ("_radio", "_receive_w", "_screen", "_waiting")

    def __init__(self, waiting: Waiting) -> None:
        self._waiting = waiting
        self._receive_w = waiting.wait_w if waiting.receive_w is None else waiting.receive_w
        self._screen, self._radio = Claims(), Claims()

    def takes(self, arrival_s: float, end_s: float, streams: Iterable[Stream]) -> float:
        """Return what a request that is closed takes beyond what those closed before it have paid for, in J.

        Parameters
        ----------
        arrival_s, end_s : float
            When it arrived, and when its last token had come or it was given up.
        streams : iterable of Stream
            Those that were asked for elsewhere.
        """
        waiting = self._waiting
        joules = self._screen.claim(arrival_s, end_s, waiting.screen_w)
        for stream in streams:
            begin_s, first_s, last_s = on_air(stream)
            joules += self._radio.claim(first_s, last_s, self._receive_w)
            joules += self._radio.claim(begin_s, last_s + waiting.tail_s, waiting.wait_w)
        return joules

    def total_j(self) -> float:
        """Return what all requests have taken."""
        return self._screen.total_j() + self._radio.total_j()


def on_air(stream: Stream) -> tuple[float, float, float]:
    """Return when a closed stream was asked for, when its first token came, and when nothing more came, in s.

    The first is not after the last: where no token came, both are the moment of its stop or of the news that none will.
    """
    arrival_s = stream.arrival_s
    if arrival_s.size and not (stream.failure or stream.has_failed):
        last_s = float(arrival_s[-1]) if arrival_s.size == stream.n_tok or not stream.is_stopped else math.inf
    else:
        last_s = stream.over_s()
    last_s = max(min(last_s, stream.hushed_s), stream.requested_s)
    if last_s == math.inf:  # nothing ever came of it, and nobody stopped it
        last_s = stream.requested_s
    first_s = last_s if stream.first_arrival_s is None else min(stream.first_arrival_s, last_s)
    return stream.requested_s, max(first_s, stream.requested_s), last_s
