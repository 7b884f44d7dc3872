"""What a run costs that simulates next to nothing: `pytest benchmarks/test_small_runs.py -s`.

Sweeps of few requests pay per run. The cost is that of a run of five policies and 20 requests beside that of 10,000
requests under one policy in the same process and minute (a ratio, so that a busy machine cannot hide it), and bytes on
the disk.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path

from discosim import load_scenario
from discosim.runs.simulate import simulate
from discosim.sweep.plan import load_plan
from discosim.sweep.run import run_sweep

SWEEP = """\
name: small
base: quickstart
set: {workload.n_requests: 20}
sweep:
  grid: {policies.DiSCo-S.budget: [0.2, 0.4, 0.6, 0.8]}
  seeds: {root: ROOT, n: 5}
compare:
  - {metric: ttft_mean_s, policy: DiSCo-S, baseline: server_only}
"""
ROUNDS = 3


def test_cost_of_a_small_run(tmp_path: Path, capsys):
    """At most 115 kB, of which summary.json has 43; what it takes of the processor is printed."""
    yardstick = load_scenario("quickstart", overrides=["replications=1", "workload.n_requests=10000", "baseline=null"])
    ratios, run_ms, sizes = [], [], []
    for i in range(ROUNDS + 1):
        path = tmp_path / f"{i}.yaml"
        path.write_text(SWEEP.replace("ROOT", str(100 * i)), encoding="utf-8")
        began = time.process_time()
        result = run_sweep(load_plan(path), tmp_path / f"sweep{i}", executor="serial")
        between = time.process_time()
        simulate(yardstick)
        ended = time.process_time()
        n = len(result.state.finished)
        if i:  # the first one imports
            ratios.append((between - began) / n / ((ended - between) / len(yardstick.policies)))
            run_ms.append(1e3 * (between - began) / n)
        runs = tmp_path / f"sweep{i}" / "runs"
        sizes.append(sum(file.stat().st_size for file in runs.rglob("*") if file.is_file()) / n)
    with capsys.disabled():
        print(
            f"\nsmall run {statistics.median(run_ms):.0f} ms of CPU, {statistics.median(ratios):.2f} of 10,000 "
            f"requests of a policy (rounds {', '.join(f'{ratio:.2f}' for ratio in ratios)}); {max(sizes) / 1e3:.0f} kB"
        )
    assert max(sizes) < 115e3
