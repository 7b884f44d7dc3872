"""What is done without SimPy, compiled and in Python, beside SimPy: `pytest benchmarks/test_engine_batch.py -s`.

Ratios of processor time in one run. Whole processes write all files and draw nothing.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from engine_load import CAPACITY_RPS, SCENARIO, scenario_at
from measure import SCENARIO as REPLAY
from measure import bare_timeout_s

from discosim.config import load_scenario
from discosim.core.scenario import Scenario
from discosim.kernel.library import SWITCH, why_not
from discosim.runs.simulate import simulate

LOAD = 0.7
WORLDS = {
    "engine": {
        **SCENARIO,
        "workload": {**SCENARIO["workload"], "arrivals": {"kind": "poisson", "rate_per_s": LOAD * CAPACITY_RPS}},
    },
    "replay": REPLAY,
}
"""The engine under `server_only`; DiSCo-D with migration over a replayed service."""

HYBRID = (
    {"kind": "race"},
    {"kind": "disco", "name": "DiSCo-D", "constraint": "device", "budget": 0.3, "migration": False},
    {"kind": "disco", "name": "DiSCo-S", "constraint": "server", "budget": 0.7, "migration": False},
    {"kind": "disco", "name": "DiSCo-D+M", "constraint": "device", "budget": 0.3},
    {"kind": "disco", "name": "DiSCo-S+M", "constraint": "server", "budget": 0.7},
)
"""Policies that ask devices beside the engine; the last two let answers change hands."""

WAYS = {"compiled": ("0", "auto"), "Python": ("1", "auto"), "SimPy": ("1", "simpy")}
"""Whether compiled code is switched off, and `kernel` of the scenario."""

WHOLE = """
import resource, sys, time
from pathlib import Path
from discosim.config import load_scenario
from discosim.runs import execute_to_folder
scenario = load_scenario(sys.argv[1], overrides=sys.argv[3:])
execute_to_folder(scenario, Path(sys.argv[2]), force=True)
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
"""


def _cpu_s(scenario: Scenario) -> float:
    start = time.process_time()
    simulate(scenario)
    return time.process_time() - start


def test_cost_of_a_request_three_ways(monkeypatch, capsys):
    n = {"compiled": 20_000, "Python": 5_000, "SimPy": 5_000}
    best, timeout_s = dict.fromkeys(WAYS, math.inf), math.inf
    for _ in range(3):  # in turns, so that a busy moment of the machine hits all alike
        timeout_s = min(timeout_s, bare_timeout_s(60_000, n_processes=1000))
        for way, (is_off, kernel) in WAYS.items():
            monkeypatch.setenv(SWITCH, is_off)
            small, large = (scenario_at(LOAD, size, pilot_requests=20) for size in (200, n[way]))
            cpu_s = [_cpu_s(_with(scenario, kernel)) for scenario in (small, large)]
            best[way] = min(best[way], (cpu_s[1] - cpu_s[0]) / (n[way] - 200))
    monkeypatch.setenv(SWITCH, "0")
    with capsys.disabled():
        print(f"\n{why_not() or 'the kernel is compiled'}; columns and summary, nothing written:")
        for way, request_s in best.items():
            print(
                f"{way:>9}: {request_s * 1e6:6.1f} us a request, {request_s / timeout_s:5.1f} bare timeouts among "
                f"1,000 processes, {best['SimPy'] / request_s:4.1f} times as quick as SimPy"
            )
    assert min(best.values()) > 0.0


@pytest.mark.parametrize("policy", HYBRID, ids=lambda policy: policy.get("name", policy["kind"]))
def test_cost_of_a_request_that_may_ask_its_device(policy, monkeypatch, capsys):
    """The same engine, with devices beside it: compiled, in Python and through SimPy, in turns."""
    n = {"compiled": 60_000, "Python": 4_000, "SimPy": 4_000}
    best: dict[tuple[str, int], float] = {}
    who = {}
    for _ in range(3):
        for way, (is_off, kernel) in WAYS.items():
            monkeypatch.setenv(SWITCH, is_off)
            for size in (200, n[way]):
                changed = {**SCENARIO, "policies": [policy], "link": {"kind": "constant", "rtt_s": 0.05}}
                sets = [f"workload.n_requests={size}", f"workload.arrivals.rate_per_s={LOAD * CAPACITY_RPS}"]
                scenario = load_scenario(changed, overrides=[*sets, "server.pilot_requests=20", f"kernel={kernel}"])
                start = time.process_time()
                found = simulate(scenario)
                best[way, size] = min(best.get((way, size), math.inf), time.process_time() - start)
            (who[way],) = found.kernels.values()
    monkeypatch.setenv(SWITCH, "0")
    request_s = {way: (best[way, n[way]] - best[way, 200]) / (n[way] - 200) for way in WAYS}
    with capsys.disabled():
        print(f"\n{policy.get('name', policy['kind'])} over the engine; {why_not() or 'the kernel is compiled'}:")
        for way, taken_s in request_s.items():
            ratio = request_s["SimPy"] / taken_s
            print(f"{way:>9}: {taken_s * 1e6:6.1f} us a request, {ratio:4.1f} times as quick as SimPy; {who[way]}")
    assert set(who["SimPy"]) == {"simpy"}
    assert request_s["Python"] < request_s["SimPy"]


def _with(scenario: Scenario, kernel: str) -> Scenario:
    from dataclasses import replace

    return replace(scenario, kernel=kernel)  # type: ignore[arg-type]  # one of the two that there are


def _process(n_requests: int, folder: Path, world: str, way: str = "compiled") -> tuple[float, float, float]:
    """Run in a fresh process; return seconds by the wall, seconds of the processor, and peak MiB."""
    config = folder / "c.json"
    config.write_text(json.dumps(WORLDS[world]), encoding="utf-8")
    is_off, kernel = WAYS[way]
    sets = [f"workload.n_requests={n_requests}", f"kernel={kernel}"]
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", WHOLE, str(config), str(folder / f"out-{world}"), *sets],
        env={**os.environ, SWITCH: is_off},
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent,
    )
    wall_s = time.perf_counter() - start
    cpu_s, mib = map(float, done.stdout.split())
    return wall_s, cpu_s, mib


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("n_requests", [100_000, pytest.param(1_000_000, marks=pytest.mark.long)])
def test_whole_process(n_requests, world, tmp_path, capsys):
    """Goals: 6 (replay 8) bare timeouts a request beyond start-up, and a million requests in less than 1 GiB.

    From 200,000 requests on 80,000 a second (replay 100,000), start-up included.
    """
    timeout_s = bare_timeout_s(n_processes=1000)
    few = _process(1000, tmp_path, world)
    many = _process(n_requests, tmp_path, world)
    timeout_s = min(timeout_s, bare_timeout_s(n_processes=1000))
    request_s = (many[1] - few[1]) / (n_requests - 1000)
    with capsys.disabled():
        print(
            f"\n{world}, {n_requests:,} requests: {many[0]:.2f} s by the wall, {many[1]:.2f} s of the processor, "
            f"{n_requests / many[1]:,.0f} a second, peak {many[2]:,.0f} MiB; 1,000 take {few[1]:.2f} s; beyond them "
            f"{request_s * 1e6:.1f} us a request, {request_s / timeout_s:.1f} bare timeouts among 1,000 processes"
        )
    assert n_requests < 1_000_000 or many[2] < 1024
