"""When a prompt in chunks takes its KV blocks, by hand: prefills take 50 ms, and a block holds one token."""

from __future__ import annotations

import pytest
from engines import FLAT, run_leaping, token_times
from stepping_engine import Ask

from discosim.world.engine.floor import ReplicaModel
from discosim.world.engine.schedulers.fcfs_chunked import FcfsChunked

WAYS = ("at_once", "by_chunk", "by_chunk_unchecked")


def served(asks, blocks, *, budget, kv_blocks=1000):
    model = ReplicaModel(FLAT, kv_blocks=kv_blocks, block_tok=1, watermark=0.0)
    replica, jobs, _ = run_leaping(model, FcfsChunked(token_budget=budget, preempts="running", blocks=blocks), asks)
    return replica, jobs


@pytest.mark.parametrize(("blocks", "held_tok"), [("at_once", 12 + 12 + 12), ("by_chunk", 4 + 8 + 12)])
def test_a_request_is_charged_for_the_memory_it_holds(blocks, held_tok):
    _, (job,) = served([Ask(0.0, 12, 1)], blocks, budget=4)
    assert job.kv_tok_s == pytest.approx(held_tok * 0.05)


@pytest.mark.parametrize("blocks", WAYS)
def test_a_prompt_of_one_chunk_knows_no_difference(blocks):
    replica, jobs = served([Ask(0.0, 12, 5), Ask(0.01, 7, 9)], blocks, budget=40)
    assert [token_times(job)[0] for job in jobs] == pytest.approx([0.05, 0.10])
    assert replica.memory.peak_blocks == 16 + 10  # in the fourth decode of the first, the third of the second


@pytest.mark.parametrize(("blocks", "n_preemptions"), list(zip(WAYS, (0, 0, 3), strict=True)))
def test_who_is_let_in_for_a_chunk_alone_is_put_out_for_the_next(blocks, n_preemptions):
    # 20 blocks. The first request holds 5 to 13 in its nine decodes; the second, of 16, works in chunks of 4 beside it.
    # Let in for its first chunk, it holds 4, 8, 12 and finds no room for the last beside 8 (1st time put out),
    # from 9 on 4, 8 and none beside 11 (2nd), from 12 on 4 and none beside 13 (3rd); then it is alone.
    _, (first, second) = served([Ask(0.0, 4, 10), Ask(0.01, 16, 1)], blocks, budget=5, kv_blocks=20)
    assert (first.n_preemptions, second.n_preemptions) == (0, n_preemptions)
    # alone in four iterations of 5, 5, 5 and 1 tokens; before, each iteration with a chunk makes the first one wait
    assert token_times(second)[0] - token_times(first)[-1] == pytest.approx(4 * 0.05)
