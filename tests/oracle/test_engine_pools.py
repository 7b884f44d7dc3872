"""Two pools and the link between them, against a plain engine that steps through everything, and against Lindley."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
from engines import FLAT, OFF_BEAT, cases, run_leaping_pools, token_times
from hypothesis import given
from hypothesis import strategies as st
from stepping_engine import Ask
from stepping_groups import run_pools
from worlds import examples

from discosim.world.engine.costs.constant import ConstantCost
from discosim.world.engine.engine import EngineModel, PrefillPool
from discosim.world.engine.floor import ReplicaModel
from discosim.world.engine.schedulers.fcfs import Fcfs
from discosim.world.engine.schedulers.fcfs_chunked import FcfsChunked

REL = 1e-9


ODD = ConstantCost(0.05, 0.01 * math.sqrt(5) / 2)
"""Neither prefills nor transfers are whole numbers of decode iterations: at a tie rounding would decide."""


def pools(model: ReplicaModel, s_per_tok: float, latency_s: float, max_prefill_tok: int = 4096) -> EngineModel:
    pool = PrefillPool(replace(model, role="prefill"), 1, lambda: Fcfs(max_prefill_tok), s_per_tok, latency_s)
    return EngineModel(replace(model, role="decode"), 1, Fcfs, prefill_pool=pool)


SCALES, LATENCIES_S, PREFILLS_TOK = (
    st.sampled_from(values) for values in ([1e-6, 1e-3, 0.02, 0.3], [0.0, 0.7], [1, 4096])
)


@examples(300)
@given(cases(max_asks=10), SCALES, LATENCIES_S, PREFILLS_TOK)
def test_pools_leap_as_a_plain_engine_steps(case, scale, latency_s, max_prefill_tok):
    check_pools(case, scale, latency_s, max_prefill_tok)


@examples(50)
@given(cases(max_asks=10, decides_ahead=True, caches_inside=True), SCALES, LATENCIES_S, PREFILLS_TOK)
def test_pools_that_decide_ahead_and_keep_blocks_leap_as_a_plain_engine_steps(case, scale, latency_s, max_prefill_tok):
    check_pools(case, scale, latency_s, max_prefill_tok)


WHOLE = Fcfs()
V1 = FcfsChunked(token_budget=40, preempts="running", blocks="by_chunk")


@examples(30)
@given(cases(max_asks=10, decides_ahead=True, caches_inside=True), SCALES, LATENCIES_S, PREFILLS_TOK)
def test_a_decode_pool_of_todays_vllm_leaps_as_a_plain_engine_steps(case, scale, latency_s, max_prefill_tok):
    check_pools(case, scale, latency_s, max_prefill_tok, V1)


def check_pools(case, scale, latency_s, max_prefill_tok, decoder=WHOLE):
    s_per_tok = scale * OFF_BEAT
    replica = replace(case.model, cost=ODD) if case.model.cost is FLAT else case.model
    model = pools(replica, s_per_tok, latency_s * OFF_BEAT, max_prefill_tok)
    model = replace(model, scheduler=lambda: copy.deepcopy(decoder))
    engine, jobs = run_leaping_pools(model, case.asks)
    schedulers = (Fcfs(max_prefill_tok), copy.deepcopy(decoder))
    first, second = run_pools(
        model.prefill_pool.replica, model.replica, schedulers, s_per_tok, latency_s * OFF_BEAT, case.asks
    )
    for job, other in zip(jobs, first.jobs, strict=True):
        np.testing.assert_allclose(token_times(job), other.tokens_s, rtol=REL, atol=0)
        assert job.n_preemptions == other.n_preemptions
        assert job.scheduled_s == pytest.approx(other.scheduled_s, rel=REL, abs=1e-12)
        assert job.owner.end_s == pytest.approx(other.end_s, rel=REL)
        assert job.gpu_s == pytest.approx(other.gpu_s, rel=REL, abs=1e-12)
    for mine, theirs in ((engine.prefillers[0], first), (engine.replicas[0], second)):
        assert mine.memory.peak_blocks == theirs.memory.peak_blocks
        assert mine.memory.free_blocks == mine.memory.total_blocks
        assert mine.iteration == theirs.iteration
        assert (mine.n_live, mine.pending_tok) == (0, 0)


def lindley(ready_s: np.ndarray, sending_s: np.ndarray) -> np.ndarray:
    """Return when each transfer has been sent, one after the other: W' = max(0, W + S - A)."""
    waits_s = [0.0]
    for gap_s, before_s in zip(np.diff(ready_s), sending_s[:-1], strict=True):
        waits_s.append(max(0.0, waits_s[-1] + before_s - gap_s))
    return ready_s + np.array(waits_s) + sending_s


def second_tokens_s(
    prompts: list[int], arrivals_s: list[float], s_per_tok: float, latency_s: float = 0.0
) -> np.ndarray:
    """Return when each request makes its second token; a prefill takes 50 ms, a decode iteration 10 ms."""
    asks = [Ask(at_s, prompt, 2) for at_s, prompt in zip(arrivals_s, prompts, strict=True)]
    model = pools(ReplicaModel(FLAT, kv_blocks=10**6), s_per_tok, latency_s, max_prefill_tok=1)
    _, jobs = run_leaping_pools(model, asks)
    return np.array([token_times(job)[1] for job in jobs])


def test_ten_caches_share_a_link_and_do_not_travel_side_by_side():
    # prefills end at 0.05, 0.10, ...; each cache takes 5.24 s: the last is there after 0.05 + 52.4 s, not 0.5 + 5.24
    made_s = second_tokens_s([2000] * 10, [0.0] * 10, 5.24 / 2000)
    np.testing.assert_allclose(made_s, 0.05 + 5.24 * np.arange(1, 11) + 0.01)


def test_evenly_spaced_caches_that_fit_between_each_other_do_not_wait():
    # D/D/1: below capacity nobody waits; above it the n-th waits n times the difference
    arrivals_s = [1.0 * i for i in range(20)]
    made_s = second_tokens_s([100] * 20, arrivals_s, 0.009)
    np.testing.assert_allclose(made_s, np.array(arrivals_s) + 0.05 + 0.9 + 0.01)
    made_s = second_tokens_s([100] * 20, arrivals_s, 0.012)
    np.testing.assert_allclose(made_s, np.array(arrivals_s) + 0.05 + 1.2 + 0.2 * np.arange(20) + 0.01)


@examples(40)
@given(st.integers(0, 10**6), st.sampled_from([0.2, 0.8, 1.5]), st.sampled_from([0.0, 3.0]))
def test_waits_follow_lindley(seed, load, latency_s):
    rng = np.random.default_rng(seed)
    prompts = rng.integers(1, 400, 60)
    gaps_s = rng.exponential(1.0, 60)
    s_per_tok = load / 200.0
    arrivals_s = np.cumsum(gaps_s)
    # one prefill at a time, 50 ms each, is a queue of its own
    ready_s = lindley(arrivals_s, np.full(60, 0.05))
    sent_s = lindley(ready_s, prompts * s_per_tok)
    made_s = second_tokens_s(prompts.tolist(), arrivals_s.tolist(), s_per_tok, latency_s)
    # a cache that arrives joins at the next boundary; iterations are 10 ms
    late_s = made_s - (sent_s + latency_s)
    assert (late_s >= 0.01 - 1e-9).all()
    assert (late_s <= 0.02 + 1e-9).all()


def test_who_is_cancelled_in_the_queue_of_the_link_is_not_sent_and_gives_its_memory_back():
    # three caches of 10 s; the second is cancelled while it waits, the third follows the first at once
    asks = [Ask(0.0, 100, 2), Ask(0.0, 100, 2, cancel_s=4.0), Ask(0.0, 100, 2)]
    model = pools(ReplicaModel(FLAT, kv_blocks=21, block_tok=16), 0.1, 0.0, max_prefill_tok=1)
    engine, jobs = run_leaping_pools(model, asks)
    assert token_times(jobs[0])[1] == pytest.approx(0.05 + 10.0 + 0.01)
    assert (jobs[1].owner.end_s, len(token_times(jobs[1]))) == (4.0, 1)
    assert token_times(jobs[2])[1] == pytest.approx(0.05 + 20.0 + 0.01)
    assert engine.kv_link.busy_s == pytest.approx(20.0)
    # one that is on the wire is sent to its end
    asks = [Ask(0.0, 100, 2, cancel_s=4.0), Ask(0.0, 100, 2)]
    _, jobs = run_leaping_pools(model, asks)
    assert jobs[0].owner.end_s == pytest.approx(10.05)
    assert token_times(jobs[1])[1] == pytest.approx(20.05 + 0.01)
    # all who wait are cancelled, and others come before the link is free
    asks = [Ask(0.0, 100, 2), Ask(0.0, 100, 2, cancel_s=4.0), Ask(5.0, 100, 2), Ask(6.0, 100, 2)]
    _, jobs = run_leaping_pools(model, asks)
    assert [token_times(job)[-1] for job in jobs[2:]] == pytest.approx([20.06, 30.06])
    assert math.isfinite(jobs[1].owner.end_s)
