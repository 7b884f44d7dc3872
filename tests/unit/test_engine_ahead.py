"""A scheduler that decides one iteration ahead, by hand: prefills take 50 ms, decode iterations 10 ms."""

from __future__ import annotations

import pytest
from engines import FLAT, run_leaping, token_times
from stepping_engine import Ask

from discosim.world.engine.floor import ReplicaModel
from discosim.world.engine.schedulers.fcfs import Fcfs
from discosim.world.engine.schedulers.fcfs_chunked import FcfsChunked


def served(asks, *, ahead, scheduler=None, **memory):
    model = ReplicaModel(**{"cost": FLAT, "kv_blocks": 1000, "watermark": 0.0, "decides_ahead": ahead, **memory})
    _, jobs, _ = run_leaping(model, scheduler or Fcfs(), asks)
    return jobs


def first_s(job):
    return pytest.approx(float(token_times(job)[0]))


def test_who_comes_while_others_decode_waits_for_one_more_iteration():
    asks = [Ask(0.0, 4, 100), Ask(0.123, 4, 5)]  # the second comes between the boundaries at 0.12 and 0.13
    now, late = served(asks, ahead=False), served(asks, ahead=True)
    assert first_s(now[0]) == first_s(late[0]) == 0.05  # an idle engine has decided nothing
    assert first_s(now[1]) == 0.18
    assert first_s(late[1]) == 0.19


def test_a_chunked_prefill_beside_decodes_begins_one_iteration_later():
    asks = [Ask(0.0, 4, 100), Ask(0.123, 60, 5)]
    late = served(asks, ahead=True, scheduler=FcfsChunked(token_budget=31))
    # decided at 0.13 for the iteration that begins at 0.14: two chunks of 30 tokens, 50 ms each
    assert first_s(late[1]) == 0.24


def test_a_request_is_taken_when_the_scheduler_decides_and_not_when_its_iteration_begins():
    # the second comes between the boundaries at 0.12 and 0.13, the third when nobody is at work
    asks = [Ask(0.0, 4, 100), Ask(0.123, 4, 5), Ask(1.5, 4, 5)]
    assert [job.scheduled_s for job in served(asks, ahead=False)] == pytest.approx([0.0, 0.13, 1.5])
    late = served(asks, ahead=True)
    assert [job.scheduled_s for job in late] == pytest.approx([0.0, 0.13, 1.5])
    assert first_s(late[1]) == 0.14 + 0.05  # its iteration begins at 0.14
    # who comes during the only iteration that was decided is taken when that has ended, for the one after the next
    late = served([Ask(0.0, 4, 50), Ask(0.02, 4, 5)], ahead=True)
    assert [job.scheduled_s for job in late] == pytest.approx([0.0, 0.05])
    assert first_s(late[1]) == 0.06 + 0.05


def test_nothing_is_decided_ahead_of_nothing():
    asks = [Ask(0.0, 4, 1), Ask(0.01, 4, 1)]
    assert first_s(served(asks, ahead=True)[1]) == 0.10


def test_the_place_of_who_has_finished_is_free_one_iteration_later():
    # two places: the first request ends at 0.06 + 4 * 0.01, and the third gets its place then or one iteration later
    asks = [Ask(0.0, 4, 6), Ask(0.0, 4, 50), Ask(0.001, 4, 5)]
    assert first_s(served(asks, ahead=False, max_batch=2)[2]) == 0.10 + 0.05
    assert first_s(served(asks, ahead=True, max_batch=2)[2]) == 0.11 + 0.05
    # so it is with memory: 52 blocks of one token hold two of the three
    asks = [Ask(0.0, 20, 6), Ask(0.0, 20, 15), Ask(0.001, 15, 5)]
    memory = {"max_batch": 9, "kv_blocks": 52, "block_tok": 1}
    assert first_s(served(asks, ahead=False, **memory)[2]) == 0.10 + 0.05
    assert first_s(served(asks, ahead=True, **memory)[2]) == 0.11 + 0.05
    # where nobody else runs, nothing was decided that would come first
    asks = [Ask(0.0, 4, 6), Ask(0.001, 4, 5)]
    assert first_s(served(asks, ahead=True, max_batch=1)[1]) == 0.10 + 0.05


def test_a_cancelled_request_is_computed_in_the_iteration_that_was_decided():
    asks = [Ask(0.0, 4, 100, cancel_s=0.123), Ask(0.0, 4, 100)]
    now, late = served(asks, ahead=False), served(asks, ahead=True)
    assert (now[0].owner.end_s, len(token_times(now[0]))) == (pytest.approx(0.13), 9)
    assert (late[0].owner.end_s, len(token_times(late[0]))) == (pytest.approx(0.14), 10)
