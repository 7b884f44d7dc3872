"""The leaping engine against a plain one that steps through every iteration and asks its scheduler every time."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
from engines import LINES, Case, cases, run_leaping, run_stepping, token_times
from hypothesis import given
from stepping_engine import Ask
from worlds import examples, long

from discosim.world.engine.floor import ReplicaModel
from discosim.world.engine.schedulers.base import LiveArrays, Orders, Scheduler
from discosim.world.engine.schedulers.fcfs import Fcfs
from discosim.world.engine.schedulers.fcfs_chunked import FcfsChunked
from discosim.world.engine.schedulers.tgi import Tgi

REL = 1e-9
SCHEDULERS = [
    Fcfs(),
    Fcfs(max_prefill_tok=100),
    FcfsChunked(),
    FcfsChunked(token_budget=3),
    FcfsChunked(token_budget=40, preempts="running"),
    FcfsChunked(token_budget=40),
]
BY_CHUNK = [
    FcfsChunked(token_budget=20, preempts="running", blocks="by_chunk"),
    FcfsChunked(token_budget=20, preempts="running", blocks="by_chunk_unchecked"),
    FcfsChunked(token_budget=8, blocks="by_chunk_unchecked"),
]


def check_equal(case: Case, scheduler: Scheduler) -> int:
    """Compare token times, schedules, memory peaks and all counters; return the number of preemptions."""
    plain = run_stepping(case.model, copy.deepcopy(scheduler), case.asks)
    replica, jobs, seen = run_leaping(case.model, copy.deepcopy(scheduler), case.asks)
    assert len(seen.log) == len(plain.log)
    for mine, theirs in zip(seen.log, plain.log, strict=True):
        assert mine[2:] == theirs[2:]
        assert mine[:2] == pytest.approx(theirs[:2], rel=REL)
    for job, other in zip(jobs, plain.jobs, strict=True):
        np.testing.assert_allclose(token_times(job), other.tokens_s, rtol=REL, atol=0)
        assert job.n_preemptions == other.n_preemptions
        assert job.scheduled_s == pytest.approx(other.scheduled_s, rel=REL, abs=1e-12)
        assert job.gpu_s == pytest.approx(other.gpu_s, rel=REL, abs=1e-12)
        assert job.kv_tok_s == pytest.approx(other.kv_tok_s, rel=1e-8, abs=1e-9)
        assert job.owner.end_s == pytest.approx(other.end_s, rel=REL)
        first_s = other.tokens_s[0] if other.tokens_s else math.nan
        assert job.owner.first_s == pytest.approx(first_s, rel=REL, nan_ok=True)
    assert replica.memory.peak_blocks == plain.memory.peak_blocks
    assert replica.host_peak_blocks == plain.host_peak_blocks
    assert replica.queue_peak == plain.queue_peak
    assert replica.iteration == plain.iteration
    assert replica.busy_s == pytest.approx(plain.busy_s, rel=REL)
    # nothing is left behind, and what the requests were charged is what was spent
    assert (replica.n_live, replica.pending_tok, replica.context_tok, replica.memory.n_growing) == (0, 0, 0, 0)
    assert replica.memory.free_blocks == replica.memory.total_blocks
    assert replica.host_free_blocks == case.model.host_blocks
    assert sum(job.gpu_s for job in jobs) == pytest.approx(replica.busy_s, rel=REL)
    return sum(job.n_preemptions for job in jobs)


@pytest.mark.parametrize("scheduler", SCHEDULERS, ids=repr)
def test_a_leap_ends_where_steps_would(scheduler):
    n_preemptions = 0

    @examples(50)
    @given(cases())
    def check(case):
        nonlocal n_preemptions
        n_preemptions += check_equal(case, scheduler)

    check()
    assert n_preemptions > 0  # the scenarios do press on the memory


@pytest.mark.parametrize("scheduler", [SCHEDULERS[0], long(SCHEDULERS[-1])], ids=repr)
def test_who_decides_ahead_leaps_as_it_steps(scheduler):
    n_preemptions = 0

    @examples(25)
    @given(cases(decides_ahead=True))
    def check(case):
        nonlocal n_preemptions
        n_preemptions += check_equal(case, scheduler)

    check()
    assert n_preemptions > 0


def tight(**options):
    """Two answers that fit at first, and outgrow six blocks of one token: whoever runs them preempts."""
    ask = Ask(arrival_s=0.0, prompt_tok=2, answer_tok=4, cancel_s=math.inf, reader_tok_per_s=2.0, ttft_target_s=0.1)
    return Case(ReplicaModel(LINES, kv_blocks=6, block_tok=1, watermark=0.0, max_batch=2, **options), [ask, ask])


@pytest.mark.parametrize("scheduler", [long(SCHEDULERS[0]), long(SCHEDULERS[3]), SCHEDULERS[-2]], ids=repr)
@pytest.mark.parametrize("decides_ahead", [long(False), True])
def test_free_blocks_that_keep_what_they_hold_are_found_by_leaps_and_by_steps(scheduler, decides_ahead):
    n_preemptions = 0

    @examples(60)
    @given(cases(caches_inside=True, decides_ahead=decides_ahead))
    def check(case):
        nonlocal n_preemptions
        n_preemptions += check_equal(case, scheduler)

    check()
    n_preemptions += check_equal(tight(caches_inside=True, decides_ahead=decides_ahead), scheduler)
    assert n_preemptions > 0


@pytest.mark.parametrize("scheduler", [BY_CHUNK[0], *map(long, BY_CHUNK[1:])], ids=repr)
@pytest.mark.parametrize("inside", [long(False), True])
@pytest.mark.parametrize("decides_ahead", [long(False), True])
def test_chunks_that_take_their_own_blocks_leap_as_they_step(scheduler, inside, decides_ahead):
    n_preemptions = 0

    @examples(15)
    @given(cases(caches_inside=inside, decides_ahead=decides_ahead, max_asks=14))
    def check(case):
        nonlocal n_preemptions
        n_preemptions += check_equal(case, scheduler)

    check()
    n_preemptions += check_equal(tight(caches_inside=inside, decides_ahead=decides_ahead), scheduler)
    assert n_preemptions > 0


TGI = {
    "tgi": Tgi(),
    "tgi, small budgets": Tgi(max_batch_prefill_tok=100, max_batch_total_tok=300, max_waiting_tok=3),
    "tgi, patient": Tgi(waiting_served_ratio=1.2, max_new_tok=90),
}


@pytest.mark.parametrize("name", ["tgi", long("tgi, small budgets"), long("tgi, patient")])
@pytest.mark.parametrize("decides_ahead", [False, long(True)])
def test_who_reserves_leaps_as_it_steps_and_preempts_nobody(name, decides_ahead):
    @examples(15)
    @given(cases(decides_ahead=decides_ahead))
    def check(case):
        assert check_equal(case, TGI[name]) == 0

    check()


@pytest.mark.long
@pytest.mark.parametrize("scheduler", SCHEDULERS, ids=repr)
def test_who_decides_ahead_leaps_as_it_steps_in_many_larger_scenarios(scheduler):
    @examples(20)
    @given(cases(max_asks=30, decides_ahead=True))
    def check(case):
        check_equal(case, scheduler)

    check()


@pytest.mark.long
@pytest.mark.parametrize("scheduler", SCHEDULERS, ids=repr)
def test_a_leap_ends_where_steps_would_in_many_larger_scenarios(scheduler):
    @examples(60)
    @given(cases(max_asks=30))
    def check(case):
        check_equal(case, scheduler)

    check()


class Periodic(Scheduler):
    """Looks at all live jobs every third iteration, and puts the one out that is furthest ahead of its reader."""

    kind = ""
    needs_live = True

    def __init__(self):
        self.seen = []

    def schedule(self, replica):
        while replica.decode_shortfall() > 0:
            replica.preempt(next(reversed(replica.decoding)))
        prefill = []
        if not replica.swapped:
            while replica.waiting and replica.fits(job := next(iter(replica.waiting))):
                replica.admit(job)
                prefill.append((job, job.prefill_left_tok))
        if prefill:
            return Orders(prefill, decode=False)
        moved = False
        while replica.swapped and replica.fits(job := next(iter(replica.swapped))):
            replica.resume(job)
            moved = True
        if replica.iteration % 3 == 0:
            live = replica.live()
            for name in LiveArrays.__slots__:
                getattr(live, name)  # what is looked at later would be of later
            self.seen.append((replica.now_s, live))
            ahead = [(live.clock_s[i], live.jobs[i]) for i in np.flatnonzero(live.state == 2)]
            if len(ahead) > 1 and replica.iteration % 2 == 0:
                replica.preempt(max(ahead, key=lambda pair: (pair[0], pair[1].job_id))[1])
                moved = True
        return Orders(
            ask_after=1 if moved or replica.swapped or replica.waiting else 3 - replica.iteration % 3,
            ask_on_arrival=True,
        )


@examples(50)
@given(cases(max_asks=8))
def test_what_a_scheduler_sees_is_what_a_plain_engine_shows(case):
    plain_scheduler, leaping_scheduler = Periodic(), Periodic()
    plain = run_stepping(case.model, plain_scheduler, case.asks)
    _, jobs, _ = run_leaping(case.model, leaping_scheduler, case.asks)
    assert [job.n_preemptions for job in jobs] == [job.n_preemptions for job in plain.jobs]
    assert len(plain_scheduler.seen) == len(leaping_scheduler.seen)
    for (at_s, mine), (their_s, theirs) in zip(leaping_scheduler.seen, plain_scheduler.seen, strict=True):
        assert at_s == pytest.approx(their_s, rel=REL)
        assert [job.job_id for job in mine.jobs] == [job.job_id for job in theirs.jobs]
        for name in ("state", "prompt_tok", "generated_tok", "blocks", "run_blocks", "n_preemptions"):
            np.testing.assert_array_equal(getattr(mine, name), getattr(theirs, name), err_msg=name)
        for name in ("arrival_s", "reader_tok_per_s", "ttft_target_s", "first_token_s", "clock_s", "delay_s"):
            np.testing.assert_allclose(getattr(mine, name), getattr(theirs, name), rtol=1e-8, atol=1e-9, err_msg=name)
