"""The whole engine: replicas behind a router, in one pool or in two; and the engine as an endpoint."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import cycle
from operator import attrgetter
from typing import Literal

import simpy
from simpy.events import Timeout

from discosim.core.request import RequestTable
from discosim.world.endpoint import Ask, Role, Site
from discosim.world.engine.floor import ReplicaModel
from discosim.world.engine.job import Job, Place, State
from discosim.world.engine.kv_link import KvLink
from discosim.world.engine.lockstep import Lockstep, Rank
from discosim.world.engine.replica import Observer, Replica
from discosim.world.engine.schedulers.base import Scheduler
from discosim.world.engine.stream import EngineStream
from discosim.world.link import BYTES_PER_TOK, Link
from discosim.world.load import ServerLoad
from discosim.world.meter import FREE, Meter

Routing = Literal["round_robin", "least_loaded", "shortest_queue"]
MakeScheduler = Callable[[], Scheduler]


@dataclass(frozen=True)
class PrefillPool:
    """Replicas that only prefill, and the link over which KV caches go to those that decode.

    The pool has one link, whatever the number of replicas on either side; caches take it one after the other.
    Source: our choice.

    Parameters
    ----------
    replica : ReplicaModel
        Its role is ``prefill``.
    n_replicas : int
        How many, >= 1.
    scheduler : callable
        Makes the scheduler of one replica.
    transfer_s_per_tok, transfer_latency_s : float
        Time for which the KV cache of one token takes the link, and fixed time of a transfer on top, in s.
    """

    replica: ReplicaModel
    n_replicas: int
    scheduler: MakeScheduler
    transfer_s_per_tok: float
    transfer_latency_s: float = 0.0


@dataclass(frozen=True)
class EngineModel:
    """Parameters of a white-box server.

    Parameters
    ----------
    replica : ReplicaModel
        Every replica, or every replica of the decode pool.
    n_replicas : int
        How many, >= 1.
    scheduler : callable
        Makes the scheduler of one replica.
    router : str
        ``round_robin``; ``least_loaded``: fewest live requests; ``shortest_queue``: fewest tokens to prefill.
    prefill_pool : PrefillPool or None
        Where prefill and decode are apart.
    max_context_tok : int or None
        Longest prompt plus answer; None for no limit.
    lockstep : bool
        Whether the replicas step together; without a prefill pool.
    fastest_iteration_s : float
        A lower bound on the time of any iteration, > 0: how soon a token can follow another at the earliest.
    """

    replica: ReplicaModel
    n_replicas: int
    scheduler: MakeScheduler
    router: Routing = "round_robin"
    prefill_pool: PrefillPool | None = None
    max_context_tok: int | None = None
    lockstep: bool = False
    fastest_iteration_s: float = 1e-6

    @cached_property
    def safe_tok(self) -> int:
        """Prompts and answers of up to so many tokens together are never refused."""
        pools = [self.replica] if self.prefill_pool is None else [self.replica, self.prefill_pool.replica]
        limits = [pool.kv_blocks * pool.block_tok for pool in pools]
        return min(limits) if self.max_context_tok is None else min(self.max_context_tok, *limits)

    def why_refused(self, prompt_tok: int, answer_tok: int) -> str:
        """Return why a request can never be served, or '' where it can."""
        total_tok = prompt_tok + answer_tok
        if self.max_context_tok is not None and total_tok > self.max_context_tok:
            return OVER_CONTEXT
        pools = [self.replica] if self.prefill_pool is None else [self.replica, self.prefill_pool.replica]
        for model in pools:
            kept_tok = prompt_tok if model.role == "prefill" else total_tok - 1
            if -(-kept_tok // model.block_tok) > model.kv_blocks:
                return OVER_MEMORY
        return ""

    def open(self, name: str, site: Site) -> EngineServer:
        """Return the engine in a world."""
        return EngineServer(site.env, self, site.link, site.observer, name=name, meter=site.meter)


OVER_CONTEXT = "prompt and answer are longer than the server's context limit"
OVER_MEMORY = "prompt and answer need more KV memory than a replica has"


class Engine:
    """Routes jobs to replicas and moves their KV between pools."""

    def __init__(self, env: simpy.Environment, model: EngineModel, observer: Observer | None = None) -> None:
        self.env = env
        self.model = model
        pool = model.prefill_pool
        self.replicas: Sequence[Replica] = _replicas(env, model, observer)
        self.prefillers: Sequence[Replica] = []
        self.kv_link = None if pool is None else KvLink(env, pool.transfer_s_per_tok, pool.transfer_latency_s)
        if pool is not None:
            self.prefillers = [
                Replica(
                    env,
                    pool.replica,
                    pool.scheduler(),
                    index=model.n_replicas + i,
                    on_prefilled=self._send_kv,
                    observer=observer,
                )
                for i in range(pool.n_replicas)
            ]
        self.pick_entry = router(model.router, self.prefillers or self.replicas)
        self._pick_decoder = router(model.router, self.replicas)
        self.n_jobs = 0
        self.n_refused = 0

    def number(self) -> int:
        """Return the number of the next job."""
        self.n_jobs += 1
        return self.n_jobs - 1

    def submit(self, job: Job) -> None:
        """Give a job to the replica that the router picks."""
        replica = self.pick_entry()
        job.place = replica
        replica.submit(job)

    def cancel(self, job: Job) -> None:
        """Cancel a job, wherever it is."""
        assert job.place is not None
        if job.state is not State.GONE:
            job.place.cancel(job)
            return
        job.is_cancelled = True  # matters only while its KV waits for the link, or is on the way
        if self.kv_link is not None and self.kv_link.drop(job):
            self._receive_kv(job.place, job)

    def _send_kv(self, source: Place, job: Job) -> None:
        assert self.kv_link is not None
        self.kv_link.send(job, partial(self._receive_kv, source))

    def _receive_kv(self, source: Place, job: Job) -> None:
        source.release(job)
        job.blocks = 0
        if job.is_cancelled:
            job.owner.on_end(self.env.now)
            return
        job.state = State.WAITING
        job.has_kv = True
        job.place = self._pick_decoder()
        job.place.submit(job)

    def figures(self) -> dict[str, float]:
        """Return what the engine did as a whole: its summary metrics, by name."""
        replicas = [*self.replicas, *self.prefillers]
        busy_s = sum(r.busy_s for r in replicas)
        last_s = max(r.now_s for r in replicas)
        kv_tok = sum(r.kv_tok_s for r in replicas)
        room_tok = sum(r.memory.total_blocks * r.memory.block_tok for r in replicas)
        return {
            "engine_gpu_s": sum(r.busy_s * r.cost.n_gpus for r in replicas),
            "engine_busy_share": busy_s / (last_s * len(replicas)) if last_s else math.nan,
            "engine_batch_mean": sum(r.batch_s for r in replicas) / busy_s if busy_s else math.nan,
            "engine_queue_peak": max(r.queue_peak for r in replicas),
            "engine_kv_mean_share": kv_tok / (room_tok * last_s) if last_s else math.nan,
            "engine_kv_peak_share": max(r.memory.peak_blocks / r.memory.total_blocks for r in replicas),
            "engine_n_iterations": sum(r.iteration for r in replicas),
        }


def _replicas(env: simpy.Environment, model: EngineModel, observer: Observer | None) -> Sequence[Replica]:
    numbers = range(model.n_replicas)
    if not model.lockstep:
        return [Replica(env, model.replica, model.scheduler(), index=i, observer=observer) for i in numbers]
    ranks = [Rank(env, model.replica, model.scheduler(), index=i, observer=observer) for i in numbers]
    Lockstep(env, ranks)
    return ranks


class EngineServer:
    """The engine as an endpoint: starts streams, and counts what no request is charged for."""

    role: Role = "server"
    max_candidates = 1

    def __init__(
        self,
        env: simpy.Environment,
        model: EngineModel,
        link: Link,
        observer: Observer | None = None,
        *,
        name: str = "server",
        meter: Meter = FREE,
    ) -> None:
        self.name = name
        self.env = env
        self.model = model
        self.link = link
        self.engine = Engine(env, model, observer)
        self.fastest_iteration_s = model.fastest_iteration_s
        self._meter = meter

    def start(self, ask: Ask) -> EngineStream:
        """Send a request up; its prefill takes ``prefill_factor`` times as long as others'."""
        env, link, card, prompt_tok, n_tok = self.env, self.link, ask.card, ask.prompt_tok, ask.n_tok
        now_s, user_id = env.now, card.user_id
        up_s = link.up_s(now_s, user_id) + link.bulk_s(prompt_tok * BYTES_PER_TOK[ask.payload])
        job = Job(
            self.engine.number(),
            NOBODY,
            prompt_tok,
            n_tok,
            now_s + up_s,
            card.reader_tok_per_s,
            card.ttft_target_s,
            card.prefix_hashes,
        )
        job.prefill_factor = ask.prefill_factor
        stream = EngineStream(self, user_id, job, ask.first_token)
        too_long = prompt_tok + n_tok > self.model.safe_tok
        if too_long and (reason := self.model.why_refused(prompt_tok, n_tok)):
            self.engine.n_refused += 1
            stream.is_closed = stream.is_refusal = True
            stream.promise_failure(now_s + up_s + link.down_s(now_s + up_s, user_id), reason)
        elif up_s > 0.0:
            Timeout(env, up_s).callbacks.append(stream.submit)
        else:
            stream.submit()
        return stream

    def costs(self, user_id: int, prompt_tok: float, output_tok: float) -> tuple[float, float]:  # noqa: ARG002 - one price for all
        """Return the price of work, in USD; its energy is in the price."""
        return self._meter.server_usd(prompt_tok, output_tok), 0.0

    def load(self, user_id: int) -> ServerLoad:  # noqa: ARG002 - one queue for all
        """Return how busy the replicas that decode are."""
        replicas = self.engine.replicas
        token_s = 0.0
        for replica in replicas:
            fixed_s, slope_s = replica.cost.decode_line(max(1, len(replica.decoding)))
            token_s += fixed_s + slope_s * replica.context_tok
        prefill_s = replicas[0].cost.prefill_s(REFERENCE_TOK, float(REFERENCE_TOK) ** 2)
        return ServerLoad(
            n_resident=sum(replica.n_resident for replica in replicas),
            n_waiting=sum(replica.n_waiting for replica in replicas),
            max_batch=sum(replica.max_batch for replica in replicas),
            token_s=token_s / len(replicas),
            prefill_s_per_tok=prefill_s / REFERENCE_TOK,
        )

    def figures(self, span_s: float) -> dict[str, float]:  # noqa: ARG002 - the engine's own time is what counts
        """Return what the engine did as a whole: its summary metrics, by name."""
        return self.engine.figures()

    def foreseen_ttft_s(self, table: RequestTable) -> None:
        """Return nothing: what a request meets depends on what all others do."""


REFERENCE_TOK = 512


class _Nobody:
    def on_first(self, at_s: float) -> None:
        """Hear nothing."""

    def on_join(self) -> None:
        """Hear nothing."""

    def on_end(self, at_s: float) -> None:
        """Hear nothing."""


NOBODY = _Nobody()


def router(rule: Routing, replicas: Sequence[Replica]) -> Callable[[], Replica]:
    """Return what picks the replica of the next request; ties go to the first."""
    if len(replicas) == 1:
        only = replicas[0]
        return lambda: only
    if rule == "round_robin":
        turns = cycle(replicas)
        return lambda: next(turns)
    of = attrgetter("n_live" if rule == "least_loaded" else "pending_tok")

    def least() -> Replica:
        loads = [*map(of, replicas)]  # four times as quick as min() with a key, which counts at a thousand replicas
        return replicas[loads.index(min(loads))]

    return least
