"""Free blocks that keep what they hold, by hand: a prefill takes 50 ms, a decode iteration 10 ms, a block 4 tokens."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from engines import FLAT, run_leaping
from stepping_engine import Ask
from test_flavours import scenario

from discosim.config import load_scenario
from discosim.core.errors import UserError
from discosim.runs.simulate import simulate
from discosim.world.engine.caching_memory import CachingMemory
from discosim.world.engine.floor import ReplicaModel
from discosim.world.engine.job import Job
from discosim.world.engine.schedulers.fcfs import Fcfs


def prefills(asks, *, inside=True, kv_blocks=100, **model):
    """Return who prefilled how much, in order."""
    held = {"cost": FLAT, "kv_blocks": kv_blocks, "block_tok": 4, "watermark": 0.0, "prefix_block_tok": 8} | model
    replica, _, seen = run_leaping(ReplicaModel(caches_inside=inside, **held), Fcfs(), asks)
    assert replica.memory.free_blocks == kv_blocks
    return [pair for _, _, who, _ in seen.log for pair in who]


def test_a_preempted_request_finds_what_nobody_has_overwritten():
    # with their first decode the two hold 6 and 3 blocks of 9; after four the next block is missing and the second,
    # with 13 tokens of which 12 are computed, goes; the first takes one block of its three and ends with 7
    asks = [Ask(0.0, 20, 8), Ask(0.0, 8, 20)]
    assert prefills(asks, inside=False, kv_blocks=9) == [(0, 20), (1, 8), (1, 13)]
    assert prefills(asks, kv_blocks=9) == [(0, 20), (1, 8), (1, 13 - 2 * 4)]


def memory(total=10):
    return CachingMemory(total, 4, 0, 8)


def job(job_id, prompt_tok, hashes=()):
    return Job(job_id, None, prompt_tok, 100, 0.0, hashes=hashes)


def test_what_is_left_of_a_request_is_its_beginning():
    held, one = memory(), job(0, 22)
    assert held.hold(one) == 0  # six blocks, and four are free
    held.drop(one, 6, 21)  # five of them are full: in the queue stand four, one, five
    assert held.free_blocks == 10
    held.take(5)
    assert (held.need(one), held.free_blocks) == (6, 5)
    held.take(2)  # the last two of the five
    assert held._found(one) == (0, 0, 3)


def test_prompts_share_what_they_begin_with():
    held, one, other = memory(), job(0, 20, (1, 2, 3)), job(1, 21, (1, 2, 4))
    assert (held.hold(one), held.free_blocks) == (0, 5)
    assert held.need(other) == 6  # the prompt of the first has not been computed yet
    held.publish(one)
    assert held.need(other) == 2  # four blocks are in use already
    assert (held.hold(other), held.free_blocks) == (16, 3)
    held.drop(one, 5, 0)
    assert held.free_blocks == 4  # one block was its own
    held.drop(other, 6, 0)
    assert held.free_blocks == 10
    # the parts went last, the second before the first: seven blocks overwrite half of the second
    held.take(7)
    third = job(2, 21, (1, 2, 4))
    assert held._found(third) == (1, 1, 0)


def test_at_least_one_token_is_computed():
    held, one = memory(), job(0, 16, (1, 2))
    held.hold(one)
    held.publish(one)
    assert held.hold(job(1, 16, (1, 2))) == 8
    assert prefills([Ask(0.0, 17, 2, hashes=(1, 2)), Ask(1.0, 17, 2, hashes=(1, 2))]) == [(0, 17), (1, 1)]


def with_prefixes(folder: Path, **server):
    path = folder / "prefixes.jsonl"
    rows = [
        {"timestamp": 900 * i, "input_length": 1100, "output_length": 20, "hash_ids": [1, 2, 10 + i]} for i in range(8)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    held = scenario(**server)
    held["workload"] = {"kind": "replay", "file": str(path)}
    held["replications"] = 1
    return load_scenario(held)


def test_a_scenario_shares_prefixes_inside_its_memory(tmp_path):
    plain = simulate(with_prefixes(tmp_path)).requests["ttft_s"]
    shared = simulate(with_prefixes(tmp_path, prefix_cache="inside")).requests["ttft_s"]
    assert shared[0] == plain[0]
    assert (shared[1:] < 0.6 * plain[1:]).all()


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"prefix_cache_tok": 512}, "server.prefix_cache_tok: has no meaning where prefix_cache is inside"),
        ({"block_tok": 24}, "server.prefix_block_tok: must be a multiple of block_tok = 24"),
        ({"scheduler": {"kind": "round_robin"}}, "use beside, or one of fcfs, fcfs_chunked, tgi"),
    ],
)
def test_what_does_not_go_together_is_refused(keys, said, tmp_path):
    with pytest.raises(UserError) as caught:
        simulate(with_prefixes(tmp_path, prefix_cache="inside", **keys))
    assert said in str(caught.value)


def test_a_scheduler_in_place_of_the_scenarios_is_asked_whether_it_may_share_blocks(tmp_path):
    class Alone(Fcfs):
        may_share_blocks = False

    with pytest.raises(UserError, match="use beside, or one of fcfs"):
        simulate(with_prefixes(tmp_path, prefix_cache="inside"), scheduler=Alone)
    turns = with_prefixes(tmp_path, prefix_cache="inside", scheduler={"kind": "round_robin"})
    assert len(simulate(turns, scheduler=Fcfs).requests) == 8
