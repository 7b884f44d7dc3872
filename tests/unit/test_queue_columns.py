"""When a white-box server's scheduler took a request, and how long it had waited there; by hand."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest
from engines import FLAT, run_leaping
from stepping_engine import Ask

from discosim.config import load_scenario
from discosim.metrics.engine_definitions import WHITE_BOX_COLUMNS
from discosim.metrics.summary_definitions import WHITE_BOX_NUMBERS
from discosim.runs.simulate import simulate
from discosim.world.engine.floor import ReplicaModel
from discosim.world.engine.schedulers.fcfs import Fcfs
from discosim.world.spent import Spent

ONE_SLOT = {
    "kind": "engine",
    "iterations": {"kind": "constant", "prefill_s": 1.0, "decode_s": 0.5},
    "kv_tok": 160,
    "max_batch": 1,
    "pilot_requests": 20,
}
API = {"kind": "replay", "digest": "openrouter-gpt-5.4"}


def scenario(tmp_path, server):
    rows = [(0, 10, 3), (500, 10, 1), (600, 500, 2)]  # the last one fits into no memory
    trace = tmp_path / "trace.jsonl"
    keys = ("timestamp", "input_length", "output_length")
    trace.write_text("".join(json.dumps(dict(zip(keys, row, strict=True))) + "\n" for row in rows), encoding="utf-8")
    return load_scenario(
        {
            "name": "queue",
            "replications": 1,
            "workload": {"kind": "replay", "file": str(trace), "n_users": 1},
            "devices": [{"profile": "snapdragon-8-elite-llama-3.2-3b"}],
            "server": server | {"prices": {"prompt_usd_per_mtok": 1, "output_usd_per_mtok": 1}},
            "link": {"kind": "constant", "rtt_s": 0.2},
            "cost": {"exchange_rate_usd_per_j": 0},
            "policies": [{"kind": "server_only"}],
        }
    )


def test_the_wait_for_the_scheduler_is_told_apart_from_the_way_there(tmp_path):
    result = simulate(scenario(tmp_path, ONE_SLOT))
    # up 0.1 s; the first is taken at once, works 1 + 0.5 + 0.5 s, and the second, there at 0.6 s, is taken at 2.1 s
    assert result.columns["scheduled_s"] == pytest.approx([0.1, 1.6, np.nan], nan_ok=True)
    assert result.columns["queue_s"] == pytest.approx([0.0, 1.5, np.nan], abs=1e-12, nan_ok=True)
    assert result.columns["ttft_generated_s"] == pytest.approx([1.1, 2.6, np.nan], nan_ok=True)
    assert result.summary.value("server_only", "queue_mean_s").mean == pytest.approx(0.75)
    assert result.summary.value("server_only", "queue_p50_s").mean == pytest.approx(0.75)


def test_a_black_box_has_no_such_columns_and_numbers(tmp_path):
    result = simulate(scenario(tmp_path, API))
    assert not set(WHITE_BOX_COLUMNS) & set(result.columns)
    assert not set(WHITE_BOX_NUMBERS) & (set(result.replication_columns) | set(result.summary.metrics))


def test_a_preempted_request_keeps_the_moment_at_which_it_was_first_taken():
    # two blocks of 4 tokens each at first; the memory of 5 blocks holds no third block for both
    model = ReplicaModel(FLAT, kv_blocks=5, block_tok=4, watermark=0.0)
    _, jobs, _ = run_leaping(model, Fcfs(), [Ask(0.0, 7, 8), Ask(0.0, 7, 8)])
    assert sum(job.n_preemptions for job in jobs) > 0
    assert [job.scheduled_s for job in jobs] == [0.0, 0.0]


def test_of_several_attempts_the_one_counts_that_was_taken_first():
    taken = []
    for scheduled_s, queue_s in ((5.0, 1.0), (3.0, 2.0), (math.inf, math.inf)):
        spent = Spent()
        spent.scheduled_s, spent.queue_s = scheduled_s, queue_s
        taken.append(spent)
    for order in itertools.permutations(taken):
        whole = Spent()
        for spent in order:
            whole.add(spent)
        assert (whole.scheduled_s, whole.queue_s) == (3.0, 2.0)
