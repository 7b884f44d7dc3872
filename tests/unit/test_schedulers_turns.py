"""Round robin, least slack first and Andes on hand-made replicas: who runs, who goes, and what it takes."""

from __future__ import annotations

import numpy as np
import pytest
from engines import FLAT, run_leaping, token_times
from stepping_engine import Ask, SteppingReplica

from discosim.world.engine.floor import ReplicaModel
from discosim.world.engine.schedulers.andes_code import AndesCode, code_qoe
from discosim.world.engine.schedulers.andes_solver import Look, batch_sizes, choose
from discosim.world.engine.schedulers.andes_v1 import AndesV1
from discosim.world.engine.schedulers.andes_v2 import AndesV2
from discosim.world.engine.schedulers.fcfs import Fcfs
from discosim.world.engine.schedulers.lqsf import Lqsf
from discosim.world.engine.schedulers.registry import known_schedulers
from discosim.world.engine.schedulers.round_robin import RoundRobin


def one_at_a_time(n=3, answer_tok=20):
    """Requests that arrive together at a replica with room for one of them, prefill 50 ms, decode 10 ms."""
    model = ReplicaModel(cost=FLAT, kv_blocks=1000, block_tok=1, watermark=0.0, max_batch=1)
    return model, [Ask(0.0, 4, answer_tok, reader_tok_per_s=50.0, ttft_target_s=0.1) for _ in range(n)]


def first_tokens(jobs):
    return [round(float(token_times(job)[0]), 9) for job in jobs]


def test_round_robin_takes_turns_in_order_of_arrival():
    model, asks = one_at_a_time()
    _, jobs, seen = run_leaping(model, RoundRobin(quantum=5), asks)
    order = []
    for _, _, prefill, decoders in seen.log:
        who = prefill[0][0] if prefill else decoders[0]
        if not order or order[-1] != who:
            order.append(who)
    assert order[:6] == [0, 1, 2, 0, 1, 2]
    # a turn is one prefill and four decodes
    assert first_tokens(jobs) == [0.05, 0.14, 0.23]
    assert [job.n_preemptions for job in jobs] == [3, 3, 3]


def test_round_robin_is_first_come_first_served_with_an_endless_quantum():
    model, asks = one_at_a_time()
    _, jobs, _ = run_leaping(model, RoundRobin(quantum=10**6), asks)
    _, others, _ = run_leaping(model, Fcfs(), asks)
    for job, other in zip(jobs, others, strict=True):
        np.testing.assert_array_equal(token_times(job), token_times(other))


@pytest.mark.parametrize("scheduler", [AndesV1(), AndesV2(), AndesCode(), Lqsf(), RoundRobin()], ids=lambda s: s.kind)
def test_without_pressure_all_are_first_come_first_served(scheduler):
    model = ReplicaModel(cost=FLAT, kv_blocks=10_000)
    rng = np.random.default_rng(1)
    asks = [Ask(float(t), 30, 40, reader_tok_per_s=5.0) for t in np.cumsum(rng.exponential(0.3, 50))]
    _, jobs, _ = run_leaping(model, scheduler, asks)
    _, others, _ = run_leaping(model, Fcfs(), asks)
    for job, other in zip(jobs, others, strict=True):
        np.testing.assert_allclose(token_times(job), token_times(other), rtol=1e-12)


def test_andes_takes_the_place_of_a_reader_with_a_full_buffer():
    """The first reader has 245 tokens by 2.5 s and reads five a second; the second waits for its first token."""
    model = ReplicaModel(cost=FLAT, kv_blocks=760, block_tok=1, watermark=0.0)
    asks = [Ask(0.0, 450, 300, reader_tok_per_s=5.0), Ask(2.5, 150, 20, reader_tok_per_s=5.0)]
    for scheduler in (AndesV1(), AndesV2(), AndesCode()):
        _, jobs, _ = run_leaping(model, scheduler, asks)
        assert jobs[0].n_preemptions == 1, scheduler.kind
        assert token_times(jobs[1])[0] < 2.5 + 10 * 0.01 + 0.05 + 1e-6  # the tenth iteration, then a prefill
        assert np.diff(token_times(jobs[0])).max() < 1.0
    _, jobs, _ = run_leaping(model, Fcfs(), asks)
    assert token_times(jobs[1])[0] > 3.0


@pytest.mark.parametrize("kind", [AndesV1, AndesV2])
def test_between_two_calls_of_the_solver_the_short_prompt_goes_first(kind):
    """Neither has a token yet, so gains are nearly alike, and the context decides; the queue would take the older."""
    model = ReplicaModel(cost=FLAT, kv_blocks=1000, block_tok=1, watermark=0.0, max_batch=1)
    asks = [Ask(at_s, prompt_tok, 20) for at_s, prompt_tok in ((0.0, 4), (0.01, 400), (0.02, 40))]
    for admission, expected in (("priority", [0, 2, 1]), ("arrival", [0, 1, 2])):
        _, jobs, _ = run_leaping(model, kind(admission=admission, solve_every=10**6), asks)
        assert np.argsort(first_tokens(jobs)).tolist() == expected


@pytest.mark.parametrize("kind", [AndesV1, AndesV2])
def test_where_memory_runs_out_the_newest_leaves_or_who_gains_least(kind):
    """The older has a longer context and a fuller buffer."""
    model = ReplicaModel(cost=FLAT, kv_blocks=300, block_tok=1, watermark=0.0)
    asks = [Ask(0.0, 20, 250), Ask(0.5, 20, 250)]
    for overflow, expected in (("newest", [0, 1]), ("priority", [1, 0])):
        scheduler = kind(overflow=overflow, solve_every=10**6)
        _, jobs, _ = run_leaping(model, scheduler, asks)
        assert [job.n_preemptions for job in jobs] == expected


def test_the_cap_counts_who_leaves_by_priority_and_not_the_newest():
    model = ReplicaModel(cost=FLAT, kv_blocks=1500, block_tok=1, watermark=0.0)
    rng = np.random.default_rng(5)
    asks = [Ask(float(t), 100, 150, reader_tok_per_s=20.0) for t in np.cumsum(rng.exponential(0.15, 80))]
    counts = {}
    for overflow in ("newest", "priority"):
        _, jobs, _ = run_leaping(model, AndesV1(overflow=overflow, max_preemptions=0.5), asks)
        counts[overflow] = sum(job.n_preemptions for job in jobs)
    assert counts["newest"] > counts["priority"]


def test_the_cap_on_preemptions_holds():
    model, asks = one_at_a_time(n=12, answer_tok=60)
    for cap in (0.0, 0.5, 1.0):
        _, jobs, _ = run_leaping(model, AndesV1(max_preemptions=cap, solve_every=1), asks)
        assert sum(job.n_preemptions for job in jobs) <= cap * len(jobs)
    _, jobs, _ = run_leaping(model, AndesV1(max_preemptions=None, solve_every=1), asks)
    assert sum(job.n_preemptions for job in jobs) > len(jobs)


def test_the_refiner_saves_preemptions():
    rng = np.random.default_rng(5)
    model = ReplicaModel(cost=FLAT, kv_blocks=1500, block_tok=1, watermark=0.0)
    asks = [Ask(float(t), 100, 150, reader_tok_per_s=20.0) for t in np.cumsum(rng.exponential(0.15, 80))]
    counts = {}
    for refiner in (True, False):
        _, jobs, _ = run_leaping(model, AndesV2(refiner=refiner), asks)
        counts[refiner] = sum(job.n_preemptions for job in jobs)
    assert counts[True] < 0.7 * counts[False]


def test_the_overhead_rule_of_the_code_forbids_evictions_when_many_are_late():
    """Nine of ten wait in vain: the tenth percentile of the slack is negative, so nobody is put out."""
    model = ReplicaModel(cost=FLAT, kv_blocks=260, block_tok=1, watermark=0.0)
    asks = [Ask(0.0, 200, 50, reader_tok_per_s=50.0, ttft_target_s=0.1) for _ in range(10)]
    counts = {}
    for is_aware in (True, False):
        _, jobs, _ = run_leaping(model, AndesCode(is_overhead_aware=is_aware), asks)
        counts[is_aware] = sum(job.n_preemptions for job in jobs)
    assert counts[True] == 0
    assert counts[False] > 5


def crowded(n=40, kv_blocks=400):
    """A replica in the middle of a crowd, for the solver to look at."""
    model = ReplicaModel(cost=FLAT, kv_blocks=kv_blocks, block_tok=1, watermark=0.0)
    rng = np.random.default_rng(9)
    asks = [Ask(0.0, int(p), 50, reader_tok_per_s=5.0) for p in rng.integers(5, 60, n)]
    replica = SteppingReplica(model, Fcfs(), asks)
    replica.n_submitted = 0
    replica._take_arrivals(0.0)
    replica.now_s = 3.0
    return replica


def test_the_solver_prefers_short_contexts_and_fits_the_memory():
    look = Look(crowded())
    assert look.is_crowded(0.9)
    assert batch_sizes(look, 8) == [int(np.searchsorted(np.cumsum(np.sort(look.weight)), 400, side="right"))]
    choice = choose(look, 50.0, "average", "greedy", 8)
    assert look.weight[choice.chosen].sum() <= look.capacity
    # nobody has a token yet and all readers are alike, so gain per token is a matter of length alone
    assert look.context_tok[choice.chosen].max() <= np.sort(look.context_tok)[choice.chosen.size]
    best = choose(look, 50.0, "average", "dp", 8)
    assert choice.value[choice.chosen].sum() <= best.value[best.chosen].sum() + 1e-9


class Keeper(Fcfs):
    """Looks at a column of the live jobs one call too late, unless it has looked before."""

    needs_live = True
    kept = None
    looks_at_once = False

    def schedule(self, replica):
        if self.kept is not None:
            assert self.kept.delay_s.size >= 0
        self.kept = replica.live()
        if self.looks_at_once:
            assert self.kept.delay_s.size >= 0
        return super().schedule(replica)


def test_live_jobs_are_those_of_one_call():
    """A column read later would be that of later jobs, without a word."""
    model = ReplicaModel(cost=FLAT, kv_blocks=400, block_tok=1, watermark=0.0)
    asks = [Ask(0.0, 20, 5, reader_tok_per_s=5.0), Ask(0.2, 20, 5, reader_tok_per_s=5.0)]
    with pytest.raises(RuntimeError, match="one call of the scheduler: read delay_s there"):
        run_leaping(model, Keeper(), asks)
    early = Keeper()
    early.looks_at_once = True
    run_leaping(model, early, asks)


def test_the_estimates_of_the_authors_code():
    """By hand: rate 5, target 1 s, now 10 s after arrival, Delta-t 10 s: E = 100; 10/0.2 = 50 more tokens if served."""
    live = crowded(n=1, kv_blocks=100).live()
    served, waiting = code_qoe(live, 10.0, 10.0, 0.02)
    assert (served[0], waiting[0]) == (pytest.approx((50 / 100) ** 2), 0.0)
    live.generated_tok[0] = 30  # 30 tokens last until 7 s: late
    served, waiting = code_qoe(live, 10.0, 10.0, 0.02)
    assert (served[0], waiting[0]) == (pytest.approx((80 / 100) ** 2), pytest.approx(1 - (70 / 100) ** 2))
    live.generated_tok[0] = 60  # until 13 s: ahead
    assert code_qoe(live, 10.0, 10.0, 0.02)[0][0] == 1.0


def test_every_scheduler_names_its_source():
    for kind, scheduler in known_schedulers().items():
        assert scheduler.source, kind
        assert scheduler.__doc__, kind
