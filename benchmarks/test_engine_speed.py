"""Speed of the engine, as ratios measured in one process: `pytest benchmarks/test_engine_speed.py -s`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from engine_load import CAPACITY_RPS, SCENARIO, capacity_rps, leaping_and_stepping, longer, run, run_at, scenario_at
from measure import bare_timeout_s

from discosim.runs.build import build

LOADS = {"light": 0.1, "70 %": 0.7, "95 %": 0.95}
HERE = Path(__file__).parent


def test_capacity_is_what_the_loads_assume(capsys):
    found = capacity_rps()
    with capsys.disabled():
        print(f"\na replica that is never idle finishes {found:.2f} requests/s (assumed {CAPACITY_RPS})")
    assert found == pytest.approx(CAPACITY_RPS, rel=0.1)


@pytest.mark.parametrize("name", LOADS)
def test_cost_of_a_request_in_timeouts(name, capsys):
    """Limit 40 bare timeouts; sessions, policy and engine, without metrics."""
    before = bare_timeout_s(n_processes=1000), bare_timeout_s()
    cost = min((run_at(LOADS[name], 10_000) for _ in range(3)), key=lambda cost: cost.world_s)
    after = bare_timeout_s(n_processes=1000), bare_timeout_s()
    crowd_s, alone_s = min(before[0], after[0]), min(before[1], after[1])
    each_s = cost.world_s / cost.n_requests
    with capsys.disabled():
        print(
            f"\n{name} load, mean batch {cost.batch_mean:.1f}: {each_s * 1e6:.0f} us a request = "
            f"{each_s / crowd_s:.0f} bare timeouts among 1,000 processes, {each_s / alone_s:.0f} of one process"
        )
    assert cost.n_requests == 10_000


@pytest.mark.parametrize(("name", "aim"), [("70 %", 3.0), ("light", 8.0)])
def test_leaps_beat_steps(name, aim, capsys):
    leaping_s, stepping_s, error = min(leaping_and_stepping(LOADS[name], 1500) for _ in range(2))
    with capsys.disabled():
        print(
            f"\n{name} load: leaping {leaping_s:.2f} s, stepping {stepping_s:.2f} s, "
            f"ratio {stepping_s / leaping_s:.1f} (aim {aim:g}), largest relative difference of a token time {error:.1e}"
        )
    assert error < 1e-9


def test_cost_follows_batch_changes_and_not_tokens(capsys):
    constant = {"kind": "constant", "prefill_s": 1e-3, "decode_s": 0.03}
    scenario = scenario_at(0.3, 10_000, iterations=constant, kv_tok=10**8, max_batch=10**4, max_context_tok=None)
    blueprint = build(scenario)
    requests = blueprint.requests(0)
    short = min((run(blueprint, requests) for _ in range(3)), key=lambda cost: cost.world_s)
    long = min((run(blueprint, longer(requests, 10)) for _ in range(3)), key=lambda cost: cost.world_s)
    with capsys.disabled():
        print(
            f"\nanswers ten times longer: {long.n_iterations / short.n_iterations:.1f} times the iterations, "
            f"{long.world_s / short.world_s:.2f} times the time (limit 1.5)"
        )


def _process(n_requests: int, load: float, folder: Path) -> tuple[float, float]:
    """Run `discosim run` in a fresh process; return seconds and peak MiB."""
    import json

    config = folder / "c.yaml"
    config.write_text(json.dumps(SCENARIO), encoding="utf-8")
    sets = [f"workload.n_requests={n_requests}", f"workload.arrivals.rate_per_s={load * CAPACITY_RPS}"]
    code = (
        "import resource, sys, time; start = time.perf_counter(); "
        "from pathlib import Path; from discosim.config import load_scenario; "
        "from discosim.runs import execute_to_folder; "
        f"scenario = load_scenario({str(config)!r}, overrides={sets!r}); "
        f"execute_to_folder(scenario, Path({str(folder / 'out')!r}), force=True); "
        "print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ}, capture_output=True, text=True, check=True, cwd=HERE
    )
    seconds, mib = done.stdout.split()
    return float(seconds), float(mib)


@pytest.mark.long
@pytest.mark.parametrize("n_requests", [100_000, 1_000_000])
def test_whole_process(n_requests, tmp_path, capsys):
    """Start, reading, pilot, simulating, metrics, writing; limits 80 bare timeouts and 0.4 GB for 100,000 requests."""
    before = bare_timeout_s(n_processes=1000)
    seconds, mib = _process(n_requests, 0.7, tmp_path)
    timeout_s = min(before, bare_timeout_s(n_processes=1000))
    with capsys.disabled():
        print(
            f"\n{n_requests:,} requests at 70 %: {seconds:.1f} s, "
            f"{seconds / n_requests / timeout_s:.0f} bare timeouts each, peak {mib:,.0f} MiB"
        )
