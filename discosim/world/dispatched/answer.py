"""What the engine gives a planned request, as `EngineStream` has it where every token is a packet."""

from __future__ import annotations

import math
from typing import Protocol

from simpy.events import Event, Timeout

from discosim.world.engine.engine import Engine
from discosim.world.engine.job import Floats, Job, State
from discosim.world.engine.stream import certain, joined
from discosim.world.link import Link
from discosim.world.moment import Act
from discosim.world.stream import Known


class HearsEngine(Protocol):
    """Who is to hear of it."""

    def on_server(self, answer: Answer) -> None:
        """Hear that its first token has reached the client."""
        ...

    def on_closed(self, answer: Answer) -> None:
        """Hear that nothing more will be made, and the bill is final."""
        ...


class Answer:
    """One stream from the engine; owner of its job.

    Parameters
    ----------
    engine : Engine
        Who makes it.
    link : Link
        The last hop.
    user_id : int
        Whose it is.
    owner : HearsEngine
        Who is to hear of it.
    job : Job
        The job, which gets this as its owner.

    Attributes
    ----------
    is_closed : bool
        Whether nothing more will be made.
    """

    __slots__ = (
        "_at_move",
        "_engine",
        "_is_dropped",
        "_is_hushed",
        "_link",
        "_owner",
        "_user_id",
        "env",
        "first_token",
        "is_closed",
        "job",
        "n_tok",
    )

    def __init__(self, engine: Engine, link: Link, user_id: int, owner: HearsEngine, job: Job) -> None:
        self._engine = engine
        self._link = link
        self._user_id = user_id
        self._owner = owner
        self._at_move: Act | None = None
        self._is_dropped = self._is_hushed = False
        self.env = engine.env
        self.job = job
        self.first_token = 1
        self.n_tok = job.answer_tok
        self.is_closed = False
        job.owner = self

    # --- on its way -------------------------------------------------------------------------------------------

    def send(self, up_s: float) -> None:
        """Let the request travel up."""
        if up_s > 0.0:
            Timeout(self.env, up_s).callbacks.append(self._submit)
        else:
            self._submit()

    def _submit(self, _: Event | None = None) -> None:
        job = self.job
        job.arrival_s = self.env.now
        if self._is_dropped:
            job.state = State.GONE
            self.on_end(job.arrival_s)
        else:
            self._engine.submit(job)

    def stop(self) -> None:
        """Send a cancel; nothing where that was done."""
        if self._is_hushed:
            return
        self._is_hushed = True
        if self.is_closed:
            return
        up_s = self._link.up_s(self.env.now, self._user_id)
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
            self._engine.cancel(self.job)

    # --- what the engine tells --------------------------------------------------------------------------------

    def on_first(self, at_s: float) -> None:
        """Send the first token down."""
        if self._is_hushed:
            return
        if self._link.is_instant:
            self._owner.on_server(self)
        else:
            arrives_s = at_s + self._link.down_s(at_s, self._user_id)
            Timeout(self.env, max(0.0, arrives_s - self.env.now)).callbacks.append(self._speak)

    def on_join(self) -> None:
        """Tell who watches that it decodes from the next iteration on."""
        self.job.is_watched = False
        self._move()

    def on_end(self, at_s: float) -> None:  # noqa: ARG002 - stands in the job
        """Nothing more will be made."""
        self.is_closed = True
        self._owner.on_closed(self)
        self._move()

    def _speak(self, _: Event) -> None:
        if not self._is_hushed:
            self._owner.on_server(self)

    # --- for a watch ------------------------------------------------------------------------------------------

    @property
    def arrival_s(self) -> Floats:
        """When each token reaches the client, as far as that is certain now."""
        return self.known().arrival_s

    def known(self) -> Known:
        """Return what is certain now."""
        if self.is_closed:
            made_s = joined(self.job)
            return Known(made_s, self._link.deliver(made_s, self._user_id) if made_s.size else made_s)
        return certain(self.job, self.env.now, self._engine.model.fastest_iteration_s, self._link, self._user_id)

    def over_s(self) -> float:
        """Return when the last token reaches the client; inf while the engine may make more."""
        if not self.is_closed:
            return math.inf
        arrival_s = self.arrival_s
        return float(arrival_s[-1]) if arrival_s.size else self.env.now

    def when_moved(self, act: Act) -> None:
        """Call ``act`` once when the job joins a decode batch, or is over."""
        self._at_move = act
        self.job.is_watched = True

    def _move(self) -> None:
        if self._at_move is not None:
            Timeout(self.env, 0.0).callbacks.append(self._at_move)
            self._at_move = None
