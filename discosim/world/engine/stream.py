"""A stream from an engine: what is certain of it grows while the engine works."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
import simpy
from simpy.events import Event, Timeout

from discosim.world.engine.job import Floats, Job, State
from discosim.world.link import Link
from discosim.world.moment import Act
from discosim.world.spent import Spent
from discosim.world.stream import NOTHING, Known, Stream
from discosim.world.watch import look_after


class Works(Protocol):
    """The part of an engine that its streams need."""

    def submit(self, job: Job) -> None:
        """Take a job."""
        ...

    def cancel(self, job: Job) -> None:
        """Cancel a job, wherever it is."""
        ...


class Service(Protocol):
    """What a stream needs of the endpoint that began it."""

    name: str
    env: simpy.Environment
    link: Link
    fastest_iteration_s: float

    @property
    def engine(self) -> Works:
        """The engine."""
        ...


class EngineStream(Stream):
    """A stream from the engine: what is certain of it grows with the engine's iterations."""

    __slots__ = ("_is_dropped", "_server", "_user_id", "endpoint", "is_refusal", "job")

    endpoint: str
    is_refusal: bool
    is_growing = True

    def __init__(self, server: Service, user_id: int, job: Job, first_token: int) -> None:
        super().__init__(server.env, job.prompt_tok, first_token, job.answer_tok)
        self.endpoint = server.name
        self.is_refusal = False
        self._server = server
        self._user_id = user_id
        self.job = job
        self.is_closed = False
        self._is_dropped = False  # its cancel came before it did
        job.owner = self

    # --- what is certain --------------------------------------------------------------------------------------

    def is_known(self) -> bool:
        """Tell whether nothing more will be made."""
        return self.is_closed

    def known(self) -> Known:
        """Return the tokens that are certain now, and how soon the next one can be made."""
        if self.is_closed:
            return Known(self.generated_s, self.arrival_s)
        return certain(self.job, self.env.now, self._server.fastest_iteration_s, self._server.link, self._user_id)

    @property
    def generated_s(self) -> Floats:
        """When each token was generated, as far as it is certain now."""
        if self._generated_s is not None:
            return self._generated_s
        if self.is_closed:
            self._generated_s = joined(self.job, None)
            return self._generated_s
        return self.known().made_s

    @property
    def arrival_s(self) -> Floats:
        """When each token reaches the client, as far as it is certain now."""
        if self._arrival_s is not None:
            return self._arrival_s
        if self.is_closed:
            made_s = self.generated_s
            self._arrival_s = self._server.link.deliver(made_s, self._user_id) if made_s.size else NOTHING
            return self._arrival_s
        return self.known().arrival_s

    # --- moments ----------------------------------------------------------------------------------------------

    def over_s(self) -> float:
        """Return when the last token reaches the client; inf while the engine may make more."""
        if self.failure:
            return self._failed_s
        if not self.is_closed:
            return math.inf
        arrival_s = self.arrival_s
        return float(arrival_s[-1]) if arrival_s.size else self.env.now

    def when_moved(self, act: Act) -> None:
        """Call ``act`` once when the job joins a decode batch, makes its first token, or is over."""
        super().when_moved(act)
        self.job.is_watched = True

    # --- what the engine tells --------------------------------------------------------------------------------

    def on_first(self, at_s: float) -> None:
        """Promise the arrival of the first token, made just now."""
        if self._is_asked:
            self._move()
        if self.is_stopped:
            return
        link = self._server.link
        if link.model.tokens_per_packet > 1:
            self._await_packet()
        elif link.is_instant:
            self.first_arrival_s = at_s
            self._speak_now()
        else:
            self.promise(at_s + link.down_s(at_s, self._user_id))

    def _await_packet(self, _: Event | None = None) -> None:
        if self.is_stopped:
            return
        known = self.known()
        if known.arrival_s.size:
            self.promise(float(known.arrival_s[0]))
        elif not self.is_closed:
            missing = min(self._server.link.model.tokens_per_packet, self.n_tok) - known.made_s.size
            look_after(self, known.next_s + max(0, missing - 1) * known.each_s, self._await_packet)

    def on_join(self) -> None:
        """Tell those who wait that it decodes from the next iteration on."""
        self.job.is_watched = False
        self._move()

    def on_end(self, at_s: float) -> None:  # noqa: ARG002 - the times stand in the job
        """Nothing more will be made."""
        self.is_closed = True
        if self._is_asked:
            self._close()
            self._move()

    # --- from the client --------------------------------------------------------------------------------------

    def submit(self, _: Event | None = None) -> None:
        """Reach the engine."""
        self.job.arrival_s = self.env.now
        if self._is_dropped:
            self.job.state = State.GONE
            self.on_end(self.env.now)
        else:
            self._server.engine.submit(self.job)

    def stop(self, *, finish_prefill: bool = False) -> None:  # noqa: ARG002 - an engine drops a request as a whole
        """Send a cancel; the engine obeys at the iteration boundary after it has travelled up."""
        if self.is_stopped:
            return
        self._hush()
        if self.is_closed:
            return
        up_s = self._server.link.up_s(self.env.now, self._user_id)
        if up_s > 0.0:
            Timeout(self.env, up_s).callbacks.append(self._drop)
        else:
            self._drop()

    def _drop(self, _: Event | None = None) -> None:
        if self.is_closed:
            return
        if self.job.place is None:
            self._is_dropped = True
        else:
            self._server.engine.cancel(self.job)

    def bill(self) -> tuple[float, int]:
        """Return prompt tokens processed and tokens made; certain once the stream is closed."""
        if self.failure:
            return 0.0, 0
        job = self.job
        if job.base_tok or job.first_token_s < math.inf:
            return float(self.prompt_tok), self.generated_s.size
        return float(self.prompt_tok - min(job.prefill_left_tok, self.prompt_tok)), 0

    def spent(self) -> Spent:
        """Return tokens, preemptions, GPU-seconds and KV-token-seconds, and when the scheduler took it."""
        spent, job = super().spent(), self.job
        spent.n_preemptions, spent.gpu_s, spent.kv_tok_s = job.n_preemptions, job.gpu_s, job.kv_tok_s
        spent.scheduled_s, spent.queue_s = job.scheduled_s, job.scheduled_s - job.arrival_s
        return spent


def certain(job: Job, now_s: float, fastest_s: float, link: Link, user_id: int) -> Known:
    """Return the tokens of a job that is not over which are certain now, and how soon the next one can be made.

    Only a job in a decode batch can make a token without being moved first.
    """
    times, running_end_s = (None, None) if job.place is None else job.place.known_times(job, now_s)
    next_s = math.inf
    if job.state is State.DECODING:
        next_s = now_s + fastest_s if running_end_s is None else running_end_s
    made_s = joined(job, times)
    # tokens that share a packet leave with the last of them
    n_sent = made_s.size
    if n_sent < job.answer_tok:
        n_sent -= n_sent % link.model.tokens_per_packet
    arrival_s = link.deliver(made_s[:n_sent], user_id) if n_sent else NOTHING
    return Known(made_s, arrival_s, next_s, fastest_s)


def joined(job: Job, since_join: Floats | None = None) -> Floats:
    """Return all token times of a job: past stays in a batch, prefill ends, and the present stay."""
    if since_join is None and len(job.spans) == 1 and not isinstance(job.spans[0], float):
        return job.spans[0]
    spans = job.spans if since_join is None else [*job.spans, since_join]
    if len(spans) == 2 and isinstance(spans[0], float) and not isinstance(spans[1], float):
        times = np.empty(1 + spans[1].size)
        times[0] = spans[0]
        times[1:] = spans[1]
        return times
    return np.concatenate([np.atleast_1d(span) for span in spans]) if spans else NOTHING
