"""What small runs cost the driver of a cluster: `pytest benchmarks/test_cluster.py -s`.

The processor time of the driver, in ms per run, however busy the machine is: plan, handing runs over in batches, taking
their folders back and writing them (far) or looking at what nodes wrote (near), and the table at the end. The node is
in this process, and its own time is taken out. A cluster's way to hand a task over comes on top, once a batch.
"""

from __future__ import annotations

import os
import time
from typing import Any

import pytest

from discosim.sweep import node
from discosim.sweep.engine import Engine
from discosim.sweep.entry import enter
from discosim.sweep.executors import SerialExecutor
from discosim.sweep.parcel import unpack
from discosim.sweep.plan import load_plan
from discosim.sweep.run import run_sweep

N_RUNS = int(os.environ.get("DISCOSIM_BENCHMARK_RUNS", "1000"))
SWEEP = f"""\
name: benchmark
base: quickstart
set:
  workload.n_requests: 5
  policies: [{{kind: server_only}}, {{kind: disco, name: DiSCo, budget: 0.3}}]
sweep:
  grid: {{policies.DiSCo.budget: [0.2, 0.4, 0.6, 0.8]}}
  seeds: {{n: {N_RUNS // 4}}}
"""
LIMIT_MS = 20.0


@pytest.mark.parametrize("is_far", [True, False], ids=["far", "near"])
def test_driver_time_of_small_runs(is_far, tmp_path, capsys, monkeypatch):
    """Under 20 ms of the driver's processor time each."""
    sizes: list[int] = []
    node_s: list[float] = []

    def timed(parcel: bytes) -> bytes:
        began = time.process_time()
        answer = enter(parcel)
        node_s.append(time.process_time() - began)
        sizes.append(len(unpack(parcel)[0]["runs"]))
        return answer

    monkeypatch.setenv("DISCOSIM_CACHE", str(tmp_path / "cache"))
    if is_far:
        monkeypatch.setattr(node, "_sees", lambda _: False)
    engine = Engine(SerialExecutor(), 2, batch_s=5.0, entry=timed)
    monkeypatch.setattr("discosim.sweep.run.open_engine", lambda _: engine)
    path = tmp_path / "sweep.yaml"
    path.write_text(SWEEP, encoding="utf-8")
    began = time.process_time()
    result: Any = run_sweep(load_plan(path), tmp_path / "out", executor="serial")
    own_ms = 1e3 * (time.process_time() - began - sum(node_s)) / N_RUNS
    assert len(result.state.finished) == N_RUNS
    where = "far" if is_far else "near"
    with capsys.disabled():
        print(
            f"\n{where}: {own_ms:.1f} ms of the driver's processor time a run (limit {LIMIT_MS:g}), {N_RUNS} runs in "
            f"{len(sizes)} tasks of up to {max(sizes)}; nodes {1e3 * sum(node_s) / N_RUNS:.0f} ms a run"
        )
    assert own_ms < LIMIT_MS
