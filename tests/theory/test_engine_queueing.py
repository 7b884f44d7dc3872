"""The engine where its answer is known in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest
from engines import FLAT, LINES, cases, run_leaping
from hypothesis import given
from scipy.stats import t as student_t
from stepping_engine import Ask
from worlds import examples, long

from discosim.world.engine.costs.constant import ConstantCost
from discosim.world.engine.floor import ReplicaModel
from discosim.world.engine.schedulers.fcfs import Fcfs
from discosim.world.engine.schedulers.fcfs_chunked import FcfsChunked

N_RUNS = 20
SCREEN = 0.0005  # two-sided false-alarm rate of each interval below


def half_width(values: np.ndarray) -> float:
    """Return the half-width of the mean's interval at the screening level; runs are independent."""
    quantile = float(student_t.ppf(1 - SCREEN / 2, values.size - 1))
    return quantile * float(values.std(ddof=1)) / math.sqrt(values.size)


def poisson(n: int, rate_per_s: float, seed: int, prompt_tok=10, answer_tok=1) -> list[Ask]:
    rng = np.random.default_rng(seed)
    arrival_s = np.cumsum(rng.exponential(1 / rate_per_s, n)).tolist()
    answers = np.broadcast_to(answer_tok if not callable(answer_tok) else answer_tok(rng, n), (n,)).tolist()
    return [Ask(at_s, prompt_tok, answer) for at_s, answer in zip(arrival_s, answers, strict=True)]


def waits_s(model: ReplicaModel, scheduler, asks: list[Ask], warm_up: int) -> float:
    """Return the mean time from arrival to first token after the warm-up."""
    _, jobs, _ = run_leaping(model, scheduler, asks)
    return float(np.mean([job.first_token_s - job.arrival_s for job in jobs[warm_up:]]))


@pytest.mark.parametrize("load", [long(0.3), 0.8])
def test_one_slot_of_constant_service_is_an_m_d_1_queue(load):
    service_s = 0.05
    model = ReplicaModel(ConstantCost(service_s, 0.01), kv_blocks=1000, max_batch=1)
    found = np.array([waits_s(model, Fcfs(), poisson(4000, load / service_s, seed), 500) for seed in range(N_RUNS)])
    expected = service_s + load * service_s / (2 * (1 - load))
    assert found.mean() == pytest.approx(expected, abs=half_width(found))
    assert half_width(found) < 0.12 * expected


@pytest.mark.parametrize("load", [long(0.4), 0.75])
def test_prefill_alone_follows_the_formula_of_distserve(load):
    # mean TTFT = D + R D^2 / (2 (1 - R D)) for prompts of one length, one prompt an iteration
    prompt_tok = 512
    one_s = LINES.prefill_s(prompt_tok, prompt_tok**2)
    rate = load / one_s
    model = ReplicaModel(LINES, kv_blocks=100_000, role="both")
    found = np.array(
        [waits_s(model, Fcfs(max_prefill_tok=1), poisson(4000, rate, s, prompt_tok), 500) for s in range(N_RUNS)]
    )
    expected = one_s + rate * one_s**2 / (2 * (1 - rate * one_s))
    assert found.mean() == pytest.approx(expected, abs=half_width(found))
    assert half_width(found) < 0.12 * expected


@pytest.mark.long
def test_without_limits_the_engine_is_an_m_g_infinity_queue():
    # prefill takes next to nothing and decode iterations do not grow with the batch: nobody is in anybody's way
    mean_tok, decode_s, rate = 60, 0.01, 25.0
    model = ReplicaModel(ConstantCost(1e-7, decode_s), kv_blocks=10**7, max_batch=10**6)
    counts, sojourns = [], []
    for seed in range(N_RUNS):
        asks = poisson(4000, rate, seed, 10, lambda rng, n: rng.geometric(1 / mean_tok, n))
        _, jobs, _ = run_leaping(model, Fcfs(), asks)
        begin, end = np.array([job.arrival_s for job in jobs]), np.array([job.owner.end_s for job in jobs])
        moments = np.arange(20.0, begin[-1], 5.0)
        counts.append([(int(((begin <= t) & (end > t)).sum())) for t in moments])
        service = np.array([(job.answer_tok - 1) * decode_s for job in jobs])
        sojourns.append(float((end - begin - service).max()))
    # a request waits for the end of at most one iteration, and for prefills that come between
    assert max(sojourns) < 2 * decode_s
    per_run = np.array([np.mean(run) for run in counts])
    served_s = (mean_tok - 1) * decode_s
    at_least, at_most = rate * served_s, rate * (served_s + decode_s)
    assert at_least - half_width(per_run) < per_run.mean() < at_most + half_width(per_run)
    spread = np.array([np.var(run, ddof=1) for run in counts])  # Poisson: variance = mean
    assert at_least - half_width(spread) < spread.mean() < at_most + half_width(spread)


@pytest.mark.parametrize("scheduler", [Fcfs(), FcfsChunked(token_budget=40)], ids=repr)
def test_work_is_conserved_and_memory_bounded(scheduler):
    @examples(80)
    @given(cases())
    def check(case):
        replica, jobs, seen = run_leaping(case.model, scheduler, case.asks)
        assert replica.memory.peak_blocks <= case.model.kv_blocks
        assert replica.host_peak_blocks <= case.model.host_blocks
        # at work whenever somebody is there: iterations follow each other without a gap until all are over
        there = sorted((job.arrival_s, job.owner.end_s) for job in jobs if job.owner.end_s > job.arrival_s)
        gaps = [after[0] - before[1] for before, after in zip(seen.log, seen.log[1:], strict=False)]
        idle = sum(gap for gap in gaps if gap > 1e-9)
        assert replica.busy_s == pytest.approx(sum(end - begin for begin, end, _, _ in seen.log), rel=1e-9)
        if seen.log:
            span = seen.log[-1][1] - seen.log[0][0]
            assert replica.busy_s + idle == pytest.approx(span, rel=1e-9, abs=1e-9)
        for before, after in zip(seen.log, seen.log[1:], strict=False):
            if after[0] > before[1] + 1e-9:  # idle: nobody was there
                assert not any(b < after[0] - 1e-9 and e > before[1] + 1e-9 for b, e in there)

    check()


@examples(80)
@given(cases())
def test_first_tokens_come_in_order_of_arrival(case):
    model = ReplicaModel(FLAT, kv_blocks=10**6, max_batch=case.model.max_batch)  # without preemption
    _, jobs, _ = run_leaping(model, Fcfs(), case.asks)
    first_s = [job.first_token_s for job in jobs if job.first_token_s < math.inf]
    assert first_s == sorted(first_s)
