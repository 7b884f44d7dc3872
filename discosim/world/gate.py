"""A replayed service behind a gate: quotas and rate limits that refuse or delay, and a capacity beyond which it queues.

What a request meets is decided when it reaches the service, in order of arrival: first its user's quota, then the
bucket, then the queue. Parts of an answer that are asked for at one moment are let in together or not at all. TTFT and
token times are drawn as without a gate, and count from the moment when the service turns to a request. So the policy
decides who waits, and nobody can foresee it.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import simpy
from simpy.events import Event, Timeout

from discosim.core.request import RequestTable
from discosim.core.scenario import Capacity, Quota, RateLimit
from discosim.world.api_server import ApiServer, ApiServerModel, ServerStream
from discosim.world.endpoint import Site
from discosim.world.limits import Buckets, Quotas
from discosim.world.link import Link
from discosim.world.luck import Luck
from discosim.world.meter import FREE, Meter
from discosim.world.rounding import ROUNDING


@dataclass(frozen=True)
class Gate:
    """What a service lets through.

    Parameters
    ----------
    capacity : Capacity or None
        How many it works on at once.
    rate_limit : RateLimit or None
        How many it takes a second.
    quota : Quota or None
        What it gives a user in a day.
    start_s : float
        Time since midnight at time 0, in s.
    """

    capacity: Capacity | None = None
    rate_limit: RateLimit | None = None
    quota: Quota | None = None
    start_s: float = 0.0


@dataclass(frozen=True)
class GatedServerModel(ApiServerModel):
    """Parameters of a replayed service behind a gate; all but `gate` as in `ApiServerModel`."""

    gate: Gate = Gate()

    def open(self, name: str, site: Site) -> GatedServer:
        """Return the service in a world."""
        return GatedServer(site.env, self, site.link, site.luck, name=name, meter=site.meter)


class GatedStream(ServerStream):
    """A stream whose timeline is known once the service has turned to it.

    A request whose cancel arrives while it waits costs nothing (our choice: nothing was processed).
    """

    __slots__ = ("_ttft_s", "end_s", "holds", "is_dropped")

    _server: GatedServer

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]  # what a ServerStream takes
        self._ttft_s = self._start_s - self._accepted_s
        self._start_s = math.inf
        self.is_dropped = False  # its cancel arrived while it waited
        self.is_closed = False
        self.end_s = math.inf  # when the service is done with it
        self.holds = False  # whether it has a place

    @property
    def accepted_s(self) -> float:
        """When it reaches the service."""
        return self._accepted_s

    @property
    def request_id(self) -> int:
        """Which request it is of."""
        return self._request_id

    @property
    def user_id(self) -> int:
        """Whose request it is."""
        return self._user_id

    def is_known(self) -> bool:
        """Tell whether its timeline is known: the service has turned to it."""
        return self._start_s < math.inf and not self.failure

    def over_s(self) -> float:
        """Return when nothing more will reach the client; inf while it waits."""
        if self.is_known():
            return float(self.arrival_s[-1])
        return self.env.now if self.is_stopped and not self.failure else self._failed_s

    def promise_failure(self, at_s: float, reason: str) -> None:
        """Announce that the client learns at ``at_s`` that this stream never speaks; its bill is final."""
        super().promise_failure(at_s, reason)
        self._close()
        if self._is_asked:
            self._move()

    def arrive(self, _: Event) -> None:
        """Reach the service."""
        if not self.is_dropped:
            self._server.receive(self)

    def turn(self, _: Event) -> None:
        """Have waited for the bucket."""
        if not self.is_dropped:
            self._server.queue(self)

    def begin(self, tok_per_s: float | None) -> None:
        """Let the service turn to it now; it holds its place as long as it makes tokens, or for its share of a rate."""
        now_s = self.env.now
        self._start_s = now_s + self._ttft_s
        self.end_s = float(self.generated_s[-1]) if tok_per_s is None else now_s + self.n_tok / tok_per_s
        if not self.is_stopped:
            self.announce()
        self._close()
        if self._is_asked:
            self._move()

    def stop(self, *, finish_prefill: bool = False) -> None:  # noqa: ARG002 - a bought prefill is paid either way
        """Send a cancel; the service obeys when it has travelled up."""
        if self.is_stopped:
            return
        self._hush()
        if self.failure:
            return
        now_s = self.env.now
        self._stop_s = max((now_s + self._server.link.up_s(now_s, self._user_id)) * ROUNDING, self._accepted_s)
        if self._stop_s < self.end_s:
            Timeout(self.env, max(0.0, self._stop_s - now_s)).callbacks.append(self._drop)
        if self._is_asked:
            self._move()

    def _drop(self, _: Event) -> None:
        """Have its cancel at the service: leave the queue, or the place."""
        if self.holds:
            self._server.leave(self)
        elif self._start_s == math.inf and not self.failure:
            self.is_dropped = True
            self._server.forget(self)
            self._close()

    def bill(self) -> tuple[float, int]:
        """Return billed prompt tokens and tokens generated until the cancel arrives; nothing where it only waited."""
        return (0.0, 0) if self._start_s == math.inf else super().bill()


class GatedServer(ApiServer):
    """Starts replayed streams behind a gate."""

    stream_class = GatedStream

    def __init__(
        self,
        env: simpy.Environment,
        model: GatedServerModel,
        link: Link,
        luck: Luck,
        *,
        name: str = "server",
        meter: Meter = FREE,
    ) -> None:
        super().__init__(env, model, link, luck, name=name, meter=meter)
        gate = model.gate
        self._quotas = None if gate.quota is None else Quotas(gate.quota, gate.start_s)
        self._buckets = None if gate.rate_limit is None else Buckets(gate.rate_limit)
        self._waits = gate.rate_limit is not None and gate.rate_limit.excess == "wait"
        self._arrived: dict[tuple[int, float], list[GatedStream]] = {}
        self._tok_per_s = None if gate.capacity is None else gate.capacity.tok_per_s
        self._n_free = math.inf if gate.capacity is None else gate.capacity.concurrent or 1
        self._waiting: deque[GatedStream] = deque()

    def admit(self, stream: ServerStream) -> None:
        """Let a request travel up; what it meets there is decided when it arrives."""
        assert isinstance(stream, GatedStream)
        Timeout(self.env, max(0.0, stream.accepted_s - self.env.now)).callbacks.append(stream.arrive)

    def receive(self, stream: GatedStream) -> None:
        """Take note of a request that has arrived; the parts of an answer, which arrive together, stand or fall so."""
        if self._quotas is None and self._buckets is None:
            self.queue(stream)
            return
        together = self._arrived.setdefault((stream.request_id, stream.requested_s), [])
        together.append(stream)
        if len(together) == 1:
            Timeout(self.env, 0.0).callbacks.append(lambda _: self._look(stream))

    def _look(self, first: GatedStream) -> None:
        """Look at the quota and the bucket of what has arrived: it is refused, waits, or goes on."""
        now_s, user_id = self.env.now, first.user_id
        streams = [held for held in self._arrived.pop((first.request_id, first.requested_s)) if not held.is_dropped]
        n, n_tok = len(streams), sum(held.prompt_tok + held.n_tok for held in streams)
        quotas, bucket = self._quotas, None if self._buckets is None else self._buckets.of(user_id)
        is_within = quotas is None or quotas.fits(user_id, now_s, n_tok, n)
        if is_within and bucket is not None and not self._waits:
            is_within = bucket.takes(now_s, n)
        if is_within and quotas is not None:
            quotas.give(user_id, now_s, n_tok, n)
        for stream in streams:
            wait_s = bucket.wait_s(now_s) if bucket is not None and self._waits and is_within else 0.0
            if not is_within:
                self.refuse(stream, now_s, user_id)
            elif wait_s > 0.0:
                Timeout(self.env, wait_s).callbacks.append(stream.turn)
            else:
                self.queue(stream)

    def queue(self, stream: GatedStream) -> None:
        """Begin with a request, or let it wait for a place."""
        if self._n_free > 0:
            self._begin(stream)
        else:
            self._waiting.append(stream)

    def forget(self, stream: GatedStream) -> None:
        """Take a cancelled request out of the queue."""
        if stream in self._waiting:
            self._waiting.remove(stream)

    def leave(self, stream: GatedStream) -> None:
        """Free the place of a request that has ended or was cancelled, and begin with the next."""
        if not stream.holds:
            return
        stream.holds = False
        self._n_free += 1
        if self._waiting:
            self._begin(self._waiting.popleft())

    def _begin(self, stream: GatedStream) -> None:
        stream.begin(self._tok_per_s)
        if self._n_free < math.inf:
            self._n_free -= 1
            stream.holds = True
            ended = Timeout(self.env, max(0.0, stream.end_s - self.env.now))
            ended.callbacks.append(lambda _: self.leave(stream))

    def foreseen_ttft_s(self, table: RequestTable) -> None:
        """Return nothing: what a request meets depends on who else asks."""
