"""An engine alone with its load: no users, no network, no session, so that a fit can afford hundreds of runs."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import simpy
from numpy.typing import NDArray
from simpy.events import Event, Timeout

from discosim.core.errors import UserError
from discosim.world.engine.engine import Engine, EngineModel
from discosim.world.engine.job import Job
from discosim.world.engine.plan import Plan
from discosim.world.engine.replica import Replica
from discosim.world.engine.schedulers.base import Orders

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False, kw_only=True)
class Load:
    """Requests for an engine, in order of arrival or, in a closed loop, in the order in which users take them.

    Parameters
    ----------
    prompt_tok, output_tok : array of int, shape (n,)
        Lengths, >= 1.
    arrival_s : array of float, shape (n,), or None
        When each request comes, rising, from 0; None in a closed loop.
    n_users : int or None
        Requests that are kept in flight in a closed loop.
    waves : bool
        Whether all users wait for the slowest before they ask again (llmperf's way), or each goes on for himself.
    stagger_s : float
        How long after one another the requests of a wave are sent, >= 0.
    from_look : bool
        Whether times count from when the engine first looks at a request, at the end of the iteration in which it came,
        as a log does that is stamped there; else from when it came.
    """

    prompt_tok: Ints
    output_tok: Ints
    arrival_s: Floats | None = None
    n_users: int | None = None
    waves: bool = False
    stagger_s: float = 0.0
    from_look: bool = False

    def __len__(self) -> int:
        """Return the number of requests."""
        return int(self.prompt_tok.size)


@dataclass(frozen=True, eq=False, kw_only=True)
class Played:
    """What an engine did with a load; arrays by request, in the load's order, in s.

    Parameters
    ----------
    arrival_s : array of float
        When the engine got the request, or first looked at it (see `Load`).
    queue_s, ttft_s, e2e_s : array of float
        From there until the scheduler decided to take it, to its first and to its last token.
    output_tok : array of int
        Tokens of the answer.
    batches : tuple of float
        Between which sizes the batch was for 90 % of the time in which anybody decoded.
    """

    arrival_s: Floats
    queue_s: Floats
    ttft_s: Floats
    e2e_s: Floats
    output_tok: Ints
    batches: tuple[float, float] = (0.0, 0.0)

    @property
    def tpot_s(self) -> Floats:
        """Mean time per token after the first; NaN for answers of one token."""
        with np.errstate(divide="ignore", invalid="ignore"):
            tpot_s = (self.e2e_s - self.ttft_s) / (self.output_tok - 1)
        return np.where(self.output_tok > 1, tpot_s, np.nan)


class _Heard:
    """Writes down how many decoded, and for how long, and where iterations ended."""

    def __init__(self, *, keeps_ends: bool) -> None:
        self.batch: list[int] = []
        self.span_s: list[float] = []
        self.keeps_ends = keeps_ends
        self.runs: dict[int, tuple[list[float], list[Plan]]] = {}

    def iterations(self, replica: Replica, plan: Plan, orders: Orders) -> None:  # noqa: ARG002 - as an observer hears it
        """Hear of a finished run of iterations."""
        if plan.n_decode:
            self.batch.append(plan.n_decode)
            self.span_s.append(replica.now_s - plan.begin_s)
        if self.keeps_ends:
            begins_s, plans = self.runs.setdefault(replica.index, ([], []))
            begins_s.append(plan.begin_s)
            plans.append(Plan(plan.begin_s, plan.start_s, plan.first_s, plan.ramp_s, plan.m))  # it is used again

    def look_s(self, replica: int | None, at_s: float) -> float:
        """Return the end of the iteration that ran at ``at_s`` (on any replica, if None), or ``at_s`` if none did."""
        found = at_s
        for begins_s, plans in self.runs.values() if replica is None else [self.runs[replica]]:
            if (i := bisect_left(begins_s, at_s) - 1) >= 0:
                found = max(found, plans[i].end_s(plans[i].index_at(at_s)))
        return found

    def batches(self) -> tuple[float, float]:
        """Return the 5 % and 95 % quantiles of the batch over the time of decodes."""
        if not self.batch:
            return 0.0, 0.0
        batch, span_s = np.array(self.batch), np.array(self.span_s)
        order = np.argsort(batch, kind="stable")
        share = np.cumsum(span_s[order]) / span_s.sum()
        low, high = np.searchsorted(share, [0.05, 0.95])
        return float(batch[order][low]), float(batch[order][min(high, batch.size - 1)])


class _Client:
    """Hears of one request; tells the loop when it is over."""

    __slots__ = ("end_s", "first_s", "over")

    def __init__(self, over: Callable[[], None] | None) -> None:
        self.first_s = self.end_s = np.nan
        self.over = over

    def on_first(self, at_s: float) -> None:
        """Hear that the first token was made."""
        self.first_s = at_s

    def on_join(self) -> None:
        """Hear nothing."""

    def on_end(self, at_s: float) -> None:
        """Hear that the answer is complete."""
        self.end_s = at_s
        if self.over is not None:
            self.over()


def play(model: EngineModel, load: Load) -> Played:
    """Run an engine over a load until all requests are answered.

    Cost: about 0.1 s for 300 requests of 300 tokens each.

    Raises
    ------
    UserError
        If the engine would refuse a request.
    """
    env = simpy.Environment()
    seen = _Heard(keeps_ends=load.from_look)
    engine = Engine(env, model, seen)
    clients: list[_Client] = []
    jobs: list[Job] = []
    entries: list[int | None] = []
    prompt_tok, output_tok = load.prompt_tok.tolist(), load.output_tok.tolist()

    def send(over: Callable[[], None] | None = None) -> None:
        i = len(clients)
        if prompt_tok[i] + output_tok[i] > model.safe_tok and (why := model.why_refused(prompt_tok[i], output_tok[i])):
            raise UserError(f"request {i} of {prompt_tok[i]} + {output_tok[i]} tokens would be refused: {why}")
        client = _Client(over)
        clients.append(client)
        jobs.append(Job(engine.number(), client, prompt_tok[i], output_tok[i], env.now))
        engine.submit(jobs[-1])
        place = jobs[-1].place
        assert isinstance(place, Replica)
        entries.append(None if model.lockstep else place.index)  # in step, a rank that is idle looks with the others

    if load.arrival_s is not None:
        _open(env, load.arrival_s.tolist(), send)
    elif load.waves:
        _in_waves(env, load, send)
    else:
        _closed(env, load, send)
    env.run()
    arrived_s = np.array([job.arrival_s for job in jobs])
    if load.from_look:
        arrived_s = np.array(
            [seen.look_s(where, at_s) for where, at_s in zip(entries, arrived_s.tolist(), strict=True)]
        )
    return Played(
        arrival_s=arrived_s,
        queue_s=np.maximum(0.0, np.array([job.scheduled_s for job in jobs]) - arrived_s),
        ttft_s=np.array([client.first_s for client in clients]) - arrived_s,
        e2e_s=np.array([client.end_s for client in clients]) - arrived_s,
        output_tok=load.output_tok,
        batches=seen.batches(),
    )


def _open(env: simpy.Environment, at_s: Sequence[float], send: Callable[[], None]) -> None:
    """Send each request at its time; one event at a time is in the queue."""
    left = iter(at_s[1:])

    def arrive(_event: Event | None) -> None:
        send()
        if (next_s := next(left, None)) is not None:
            Timeout(env, max(0.0, next_s - env.now)).callbacks.append(arrive)

    Timeout(env, at_s[0]).callbacks.append(arrive)


def _closed(env: simpy.Environment, load: Load, send: Callable[[Callable[[], None]], None]) -> None:
    """Keep so many in flight: whoever has his answer asks again."""
    left = len(load)

    def ask(_event: Event | None = None) -> None:
        nonlocal left
        if left:
            left -= 1
            send(lambda: Timeout(env, 0.0).callbacks.append(ask))

    for _ in range(load.n_users or 1):
        ask()


def _in_waves(env: simpy.Environment, load: Load, send: Callable[[Callable[[], None]], None]) -> None:
    """Ask all at once or one shortly after the other, and again when all are answered."""
    left, out = len(load), 0

    def ask(_event: Event | None = None) -> None:
        nonlocal left, out
        wave = min(load.n_users or 1, left)
        left, out = left - wave, wave
        for i in range(wave):
            if load.stagger_s and i:
                Timeout(env, i * load.stagger_s).callbacks.append(late)
            else:
                send(answered)

    def late(_event: Event) -> None:
        send(answered)

    def answered() -> None:
        nonlocal out
        out -= 1
        if not out and left:
            Timeout(env, 0.0).callbacks.append(ask)

    ask()
