"""Ranks that step together, against plain ones that step through everything; and the slowest by hand."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
from engines import FLAT, cases, run_leaping_pools, token_times
from hypothesis import given
from stepping_engine import Ask
from stepping_groups import run_ranks
from worlds import examples, long

from discosim.config import load_scenario
from discosim.core.errors import UserError
from discosim.world.engine.costs.distserve import DistServeCost
from discosim.world.engine.costs.physics import PhysicsCost
from discosim.world.engine.engine import EngineModel
from discosim.world.engine.floor import ReplicaModel
from discosim.world.engine.schedulers.fcfs import Fcfs
from discosim.world.engine.schedulers.fcfs_chunked import FcfsChunked

REL = 1e-9
EXPERTS = PhysicsCost(
    overhead_s=0.001,
    weights_s=0.004,
    experts_s=0.02,
    expert_share=0.1,
    compute_s_per_tok=1e-4,
    square_s=1e-7,
    kv_s_per_tok=2e-5,
    kv_mixed_s_per_tok=4e-5,
    request_s=1e-4,
)


@pytest.mark.parametrize("scheduler", [Fcfs(), long(FcfsChunked(token_budget=40))], ids=repr)
@pytest.mark.parametrize("decides_ahead", [False, long(True)])
def test_ranks_leap_as_plain_ones_step(scheduler, decides_ahead):
    @examples(20)
    @given(cases(decides_ahead=decides_ahead))
    def check(case):
        cost = EXPERTS if case.model.kv_blocks % 2 else case.model.cost
        model = replace(case.model, cost=cost)
        engine, jobs = run_leaping_pools(
            EngineModel(model, 3, lambda: copy.deepcopy(scheduler), lockstep=True), case.asks
        )
        ranks = run_ranks(model, [copy.deepcopy(scheduler) for _ in range(3)], case.asks)
        for i, job in enumerate(jobs):
            other = ranks[i % 3].jobs[i // 3]
            np.testing.assert_allclose(token_times(job), other.tokens_s, rtol=REL, atol=0)
            assert job.n_preemptions == other.n_preemptions
            assert job.scheduled_s == pytest.approx(other.scheduled_s, rel=REL, abs=1e-12)
            assert job.owner.end_s == pytest.approx(other.end_s, rel=REL)
            assert job.gpu_s == pytest.approx(other.gpu_s, rel=REL, abs=1e-12)
        for mine, theirs in zip(engine.replicas, ranks, strict=True):
            assert mine.memory.peak_blocks == theirs.memory.peak_blocks
            assert (mine.iteration, mine.queue_peak) == (theirs.iteration, theirs.queue_peak)
            assert mine.busy_s == pytest.approx(theirs.busy_s, rel=REL)
            assert (mine.n_live, mine.memory.free_blocks) == (0, mine.memory.total_blocks)

    check()


def served(asks, cost, n=2):
    engine = EngineModel(ReplicaModel(cost=cost, kv_blocks=10_000), n, Fcfs, lockstep=True)
    return run_leaping_pools(engine, asks)[1]


def test_every_rank_waits_for_the_slowest():
    # the second rank prefills from 0.07 on, 50 ms; the first one's fourth token waits for it
    first, second = served([Ask(0.0, 4, 6), Ask(0.062, 4, 3)], FLAT)
    assert token_times(first) == pytest.approx([0.05, 0.06, 0.07, 0.12, 0.13, 0.14])
    assert token_times(second) == pytest.approx([0.12, 0.13, 0.14])


def test_the_slowest_rank_changes_as_contexts_grow():
    # per iteration: 0.0005 s a KV token; one request of 100 tokens against ten of 9, that grow ten tokens an iteration
    cost = DistServeCost((0.05, 0.0, 0.0), (0.01, 5e-4, 0.0), (0.01, 5e-4, 0.0))
    asks = [Ask(0.0, 100, 30)] + [Ask(0.0, 9, 30) if i % 2 else Ask(0.0, 1, 1) for i in range(1, 20)]
    ends_s, now_s = [0.05], 0.05
    for i in range(29):
        now_s += 0.01 + 5e-4 * max(101 + i, 10 * (10 + i))
        ends_s.append(now_s)
    assert token_times(served(asks, cost)[0]) == pytest.approx(ends_s)


def test_experts_see_the_tokens_of_all():
    def decode_s(asks):
        first, *_ = served(asks, EXPERTS)
        return np.diff(token_times(first))[0]

    alone = 0.001 + 0.004 + 0.02 * 0.1 + 1e-4 + 2e-5 * 11
    assert decode_s([Ask(0.0, 10, 3)]) == pytest.approx(alone)
    # ranks of 10 and 20 tokens of context: the slower one's, and two tokens touch experts
    both = 0.001 + 0.004 + 0.02 * (1 - 0.9**2) + 1e-4 + 2e-5 * 21
    assert decode_s([Ask(0.0, 10, 3), Ask(0.0, 20, 3)]) == pytest.approx(both)


def test_a_prefill_pool_beside_it_is_refused():
    with pytest.raises(UserError, match=r"server.lockstep: has no meaning beside a prefill_pool"):
        load_scenario("engine", overrides=["server.lockstep=true", "server.prefill_pool={kv_gbit_per_s: 5}"])
