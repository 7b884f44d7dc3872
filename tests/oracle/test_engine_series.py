"""The engine by the second: leaps in closed form against a plain engine that steps, and by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import simpy
from engines import FLAT, OFF_BEAT, Case, Owner, cases
from hypothesis import given
from stepping_engine import Ask, SteppingReplica
from worlds import examples

from discosim.world.engine.costs.constant import ConstantCost
from discosim.world.engine.engine import Engine, EngineModel, PrefillPool
from discosim.world.engine.floor import ReplicaModel
from discosim.world.engine.job import Job
from discosim.world.engine.schedulers.fcfs import Fcfs
from discosim.world.engine.schedulers.fcfs_chunked import FcfsChunked
from discosim.world.engine.series import EngineSeries, SeriesRecorder


def recorded(model: EngineModel, asks: list[Ask], most_s: float = math.inf) -> tuple[EngineSeries, SeriesRecorder]:
    """Serve the asks on an engine and return what its recorder wrote down."""
    env, recorder = simpy.Environment(), SeriesRecorder.of(model, most_s)
    engine = Engine(env, model, recorder)

    def send(i, ask):
        yield env.timeout(ask.arrival_s)
        job = Job(i, Owner(), ask.prompt_tok, ask.answer_tok, ask.arrival_s)
        engine.submit(job)
        if ask.cancel_s < math.inf:
            yield env.timeout(ask.cancel_s - env.now)
            engine.cancel(job)

    for i, ask in enumerate(asks):
        env.process(send(i, ask))
    env.run()
    return recorder.series(), recorder


class Watched(SteppingReplica):
    """The plain engine, whose state is looked at in every iteration."""

    def __init__(self, model, scheduler, asks):
        super().__init__(model, scheduler, asks)
        self.rows: dict[int, dict[str, float]] = {}

    def row(self, t_s: int) -> dict[str, float]:
        return self.rows.setdefault(t_s, dict.fromkeys(("running", "waiting", "blocks", "prompt", "output"), 0))

    def _charge(self, span, decoders, prefill):
        begin_s = self.now_s - span
        late = [job for job in self.jobs[self.n_submitted :] if job.reach_s < self.now_s]
        for t_s in range(math.floor(begin_s) + 1, math.floor(self.now_s) + 1):
            row = self.row(t_s)
            row["running"] = self.n_resident
            row["waiting"] = len(self.waiting) + len(self.swapped) + sum(job.reach_s < t_s for job in late)
            row["blocks"] = self.memory.total_blocks - self.memory.free_blocks
        row = self.row(math.ceil(self.now_s))
        row["prompt"] += sum(tok for _, tok in prefill)
        row["output"] += len(decoders) + sum(tok == job.prefill_left_tok for job, tok in prefill)
        super()._charge(span, decoders, prefill)


@pytest.mark.parametrize("scheduler", [Fcfs, FcfsChunked], ids=lambda kind: kind.__name__)
def test_leaps_are_counted_as_steps_would_be(scheduler):
    @examples(60)
    @given(cases())
    def check(case: Case) -> None:
        # off the beat of iterations of 10 ms: where one ends at a full second exactly, rounding would decide
        later_s = OFF_BEAT / 100
        asks = [replace(ask, arrival_s=ask.arrival_s + later_s, cancel_s=ask.cancel_s + later_s) for ask in case.asks]
        plain = Watched(case.model, scheduler(), asks)
        plain.run()
        series, _ = recorded(EngineModel(case.model, 1, scheduler), asks)
        assert len(series) == max(plain.rows, default=0)
        rows = [plain.row(t_s) for t_s in series.t_s.astype(int).tolist()]
        assert series.running.tolist() == [row["running"] for row in rows]
        assert series.waiting.tolist() == [row["waiting"] for row in rows]
        assert series.prompt_tok_per_s.tolist() == [row["prompt"] for row in rows]
        assert series.output_tok_per_s.tolist() == [row["output"] for row in rows]
        assert (series.kv_share * case.model.kv_blocks).round(6).tolist() == [row["blocks"] for row in rows]

    check()


SLOW = ReplicaModel(ConstantCost(0.5, 0.25), kv_blocks=20, block_tok=4, watermark=0.0, max_batch=1)


def test_a_second_holds_what_ends_in_it_by_hand():
    # the first is prefilled until 0.5 s and makes a token every 0.25 s, up to 2.25 s; the second waits from 0.75 s on
    series, _ = recorded(EngineModel(SLOW, 1, Fcfs), [Ask(0.0, 4, 8), Ask(0.75, 4, 1), Ask(5.0, 4, 2)])
    assert series.t_s.tolist() == [1, 2, 3, 4, 5, 6]
    assert series.running.tolist() == [1, 1, 0, 0, 0, 0]
    assert series.waiting.tolist() == [1, 1, 0, 0, 0, 0]
    assert series.prompt_tok_per_s.tolist() == [4, 0, 4, 0, 0, 4]
    assert series.output_tok_per_s.tolist() == [3, 4, 2, 0, 0, 2]
    # in the iteration that ends at 1 s its third token is made: KV of 4 + 2 tokens; at 2 s of 4 + 6
    assert series.kv_share.tolist() == pytest.approx([2 / 20, 3 / 20, 0, 0, 0, 0])


def test_replicas_are_added_up():
    asks = [Ask(0.0, 4, 8), Ask(0.0, 4, 8)]
    one, _ = recorded(EngineModel(SLOW, 1, Fcfs), asks[:1])
    two, _ = recorded(EngineModel(SLOW, 2, Fcfs, "least_loaded"), asks)
    for name in ("running", "prompt_tok_per_s", "output_tok_per_s"):
        assert getattr(two, name).tolist() == (2 * getattr(one, name)).tolist()
    assert two.kv_share.tolist() == one.kv_share.tolist()


def test_a_prefill_pool_waits_where_its_memory_is_still_leaving():
    # 2 blocks of 4 tokens; the cache of the first takes 3 s to leave, until when nothing else fits in
    pool = PrefillPool(ReplicaModel(FLAT, kv_blocks=2, block_tok=4, watermark=0.0, role="prefill"), 1, Fcfs, 3 / 8, 0.0)
    decode = ReplicaModel(FLAT, kv_blocks=20, block_tok=4, watermark=0.0, role="decode")
    series, _ = recorded(EngineModel(decode, 1, Fcfs, prefill_pool=pool), [Ask(0.0, 8, 2), Ask(1.5, 8, 2)])
    # prefilled at 0.05 s, sent until 3.05 s; the second begins then, is prefilled at 3.1 s and sent until 6.1 s
    assert series.waiting.tolist() == [0, 1, 1, 0, 0, 0, 0]
    assert series.running.tolist() == [0] * 7
    assert series.prompt_tok_per_s.tolist() == [8, 0, 0, 8, 0, 0, 0]
    assert series.output_tok_per_s.tolist() == [1, 0, 0, 2, 0, 0, 1]


def test_a_long_run_is_cut_where_it_was_told_to_be():
    asks = [Ask(0.0, 4, 8), Ask(30.0, 4, 8)]
    whole, free = recorded(EngineModel(SLOW, 1, Fcfs), asks)
    part, cut = recorded(EngineModel(SLOW, 1, Fcfs), asks, most_s=10.0)
    assert (free.is_cut, cut.is_cut) == (False, True)
    assert len(whole) == 33
    for name in ("t_s", "running", "output_tok_per_s", "kv_share"):
        np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[: len(part)])
