"""Runs the leaping engine on the scenarios of the stepping one, and random scenarios for both."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
import simpy
from hypothesis import strategies as st
from stepping_engine import Ask, SteppingReplica

from discosim.world.engine.costs.constant import ConstantCost
from discosim.world.engine.costs.distserve import DistServeCost
from discosim.world.engine.costs.table import TableCost
from discosim.world.engine.engine import Engine, EngineModel
from discosim.world.engine.floor import ReplicaModel
from discosim.world.engine.job import Job
from discosim.world.engine.replica import Replica

LINES = DistServeCost((0.02, 1e-4, 7e-9), (0.02, 6e-7, 4e-5), (0.007, 6e-7, 1.6e-4))
GRID = TableCost((16.0, 128.0, 1024.0), (0.03, 0.05, 0.2), (1.0, 4.0, 16.0), (0.02, 0.022, 0.04), 2e-6)
BENT = TableCost((8.0, 32.0, 64.0, 128.0), (0.02, 0.03, 0.08, 0.3), (1.0, 4.0, 16.0), (0.02, 0.022, 0.04), 2e-6)
FLAT = ConstantCost(0.05, 0.01)

OFF_BEAT = math.sqrt(2) * math.pi / 4
"""Keeps arrivals and cancels off the multiples of an iteration: at an exact tie the engines' rounding would decide."""


@dataclass
class Owner:
    """Notes what the engine says of one job."""

    first_s: float = math.nan
    end_s: float = math.nan

    def on_first(self, at_s: float) -> None:
        self.first_s = at_s

    def on_end(self, at_s: float) -> None:
        self.end_s = at_s


@dataclass
class Iterations:
    """Expands every leap into its iterations: (begin, end, who prefills how much, who decodes)."""

    log: list = field(default_factory=list)

    def iterations(self, replica, plan, orders) -> None:
        begin = plan.begin_s
        who = [(job.job_id, tok) for job, tok in orders.prefill]
        decoders = sorted(job.job_id for job in replica.decoding) if plan.n_decode else []
        for i in range(1, plan.m + 1):
            self.log.append((begin, plan.end_s(i), who, decoders))
            begin = plan.end_s(i)


def run_leaping(
    model: ReplicaModel, scheduler, asks: list[Ask], *, watched: bool = True
) -> tuple[Replica, list[Job], Iterations]:
    """Serve the asks on one leaping replica."""
    env, seen = simpy.Environment(), Iterations()
    replica = Replica(env, model, scheduler, observer=seen if watched else None)
    jobs: list[Job] = []

    def send():
        for i, ask in enumerate(asks):
            if ask.arrival_s > env.now:
                yield env.timeout(ask.arrival_s - env.now)
            expects = (ask.arrival_s, ask.reader_tok_per_s, ask.ttft_target_s)
            job = Job(i, Owner(), ask.prompt_tok, ask.answer_tok, *expects, ask.hashes)
            jobs.append(job)
            replica.submit(job)
            if ask.cancel_s < math.inf:
                env.process(drop(job, ask.cancel_s))

    def drop(job, at_s):
        yield env.timeout(at_s - env.now)
        replica.cancel(job)

    env.process(send())
    env.run()
    return replica, jobs, seen


def run_leaping_pools(model: EngineModel, asks: list[Ask]) -> tuple[Engine, list[Job]]:
    """Serve the asks on a whole leaping engine."""
    env = simpy.Environment()
    engine = Engine(env, model)
    jobs = []

    def send(job, cancel_s):
        yield env.timeout(job.arrival_s)
        engine.submit(job)
        if cancel_s < math.inf:
            yield env.timeout(cancel_s - env.now)
            engine.cancel(job)

    for i, ask in enumerate(asks):
        job = Job(i, Owner(), ask.prompt_tok, ask.answer_tok, ask.arrival_s)
        jobs.append(job)
        env.process(send(job, ask.cancel_s))
    env.run()
    return engine, jobs


def run_stepping(model: ReplicaModel, scheduler, asks: list[Ask]) -> SteppingReplica:
    """Serve the asks on the plain engine."""
    return SteppingReplica(model, scheduler, asks).run()


def token_times(job: Job) -> np.ndarray:
    """Return when a job made its tokens."""
    return np.concatenate([np.atleast_1d(span) for span in job.spans]) if job.spans else np.empty(0)


@dataclass(frozen=True)
class Case:
    """A random scenario."""

    model: ReplicaModel
    asks: list[Ask]


@st.composite
def _hashes(draw, i: int, n: int) -> tuple[int, ...]:
    """Draw the hash ids of a prompt of ``n`` whole parts: the first ones are those of a family, the others its own."""
    family, own_from, part = draw(st.integers(0, 2)), draw(st.integers(0, 12)), draw(st.integers(0, 1))
    return tuple(1000 * (family if j < own_from else 10 + i) + j for j in range(n + part))


@st.composite
def cases(draw, *, max_asks: int = 14, decides_ahead: bool = False, caches_inside: bool = False) -> Case:
    """Draw arrivals, lengths, memory pressure, batch limits, preemption and cancels."""
    block_tok = draw(st.sampled_from([1, 4, 16]))
    scale_s = draw(st.sampled_from([0.01, 0.1, 1.0]))
    hash_tok = block_tok * draw(st.integers(1, 3)) if caches_inside else 512
    asks, now_s = [], 0.0
    for _ in range(draw(st.integers(1, max_asks))):
        now_s += scale_s * OFF_BEAT * draw(st.floats(0.0, 2.0, allow_subnormal=False))
        asks.append(
            Ask(
                arrival_s=now_s,
                prompt_tok=draw(st.integers(1, 90)),
                answer_tok=draw(st.integers(1, 120)),
                cancel_s=now_s + OFF_BEAT * draw(st.one_of(st.just(math.inf), st.floats(1e-3, 3.0))),
                reader_tok_per_s=draw(st.sampled_from([2.0, 4.8, 30.0])),
                ttft_target_s=draw(st.sampled_from([0.1, 1.0])),
            )
        )
    if caches_inside:
        asks = [replace(ask, hashes=draw(_hashes(i, ask.prompt_tok // hash_tok))) for i, ask in enumerate(asks)]
    largest = max(-(-(ask.prompt_tok + ask.answer_tok) // block_tok) for ask in asks)
    model = ReplicaModel(
        cost=draw(st.sampled_from([LINES, GRID, BENT, FLAT])),
        kv_blocks=largest + draw(st.integers(0, 3 * largest)),
        block_tok=block_tok,
        watermark=draw(st.sampled_from([0.0, 0.01, 0.1])),
        max_batch=draw(st.sampled_from([1, 2, 5, 64])),
        preemption=draw(st.sampled_from(["recompute", "swap"])),
        host_blocks=draw(st.sampled_from([0, largest, 10 * largest])),
        swap_s_per_block=1e-3,
        decides_ahead=decides_ahead,
        caches_inside=caches_inside,
        prefix_block_tok=hash_tok,
    )
    return Case(model, asks)
