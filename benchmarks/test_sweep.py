"""What sweeping costs on top of the runs, and what a second process brings: `pytest benchmarks/test_sweep.py -s`.

Both are ratios of times measured in one session, the median of three rounds. The overhead is what a sweep takes beyond
its runs, in the same process and the same minute, so that a busy machine cannot hide it; the speed-up needs two idle
processors.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import pytest

from discosim.runs.store import run_to_folder
from discosim.sweep.plan import Plan, load_plan
from discosim.sweep.run import run_sweep

SWEEP = """\
name: benchmark
base: quickstart
set: {workload.n_requests: 1500}
sweep:
  grid: {policies.DiSCo-S.budget: [0.3, 0.7]}
  seeds: {n: 8}
compare:
  - {metric: ttft_mean_s, policy: DiSCo-S, baseline: server_only}
"""
ROUNDS = 3


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    path = tmp_path / "sweep.yaml"
    path.write_text(SWEEP, encoding="utf-8")
    return load_plan(path)


def sweep_s(plan: Plan, folder: Path, executor: str) -> float:
    """Return the time of the whole sweep: plan read again, runs, index, comparisons."""
    began = time.perf_counter()
    again = load_plan(folder.parent / "sweep.yaml")
    result = run_sweep(again, folder, executor=executor)
    assert len(result.state.finished) == len(plan.runs(plan.seeds))
    return time.perf_counter() - began


def test_overhead_of_a_sweep(plan, tmp_path, capsys, monkeypatch):
    """Under 2 % of the processor time of the runs themselves, for runs of a tenth of a second or more."""
    own_s = []

    def timed(*args, **kwargs):
        began = time.process_time()
        result = run_to_folder(*args, **kwargs)
        own_s.append(time.process_time() - began)
        return result

    monkeypatch.setattr("discosim.runs.store.run_to_folder", timed)
    sweep_s(plan, tmp_path / "imports", "serial")
    ratios, run_s = [], []
    for i in range(ROUNDS):
        own_s.clear()
        began = time.process_time()
        sweep_s(plan, tmp_path / f"sweep{i}", "serial")
        total_s = time.process_time() - began
        ratios.append(total_s / sum(own_s) - 1.0)
        run_s.append(statistics.mean(own_s))
    with capsys.disabled():
        print(
            f"\noverhead {100 * statistics.median(ratios):.1f} % of runs of {statistics.median(run_s):.2f} s "
            f"(rounds {', '.join(f'{100 * ratio:.1f}' for ratio in ratios)}; limit 2)"
        )
    assert statistics.median(ratios) < 0.02


def test_speed_up_of_two_processes(tmp_path, capsys):
    """At least 1.8 on two idle processors, starting them included: 120 runs, as both import for a second at first."""
    path = tmp_path / "sweep.yaml"
    path.write_text(SWEEP.replace("n: 8", "n: 60"), encoding="utf-8")
    plan, ratios = load_plan(path), []
    for i in range(ROUNDS):
        one = sweep_s(plan, tmp_path / f"one{i}", "local:1")
        ratios.append(one / sweep_s(plan, tmp_path / f"two{i}", "local:2"))
    with capsys.disabled():
        print(
            f"\nspeed-up of two processes {statistics.median(ratios):.2f} "
            f"(rounds {', '.join(f'{ratio:.2f}' for ratio in ratios)}; limit 1.8)"
        )
