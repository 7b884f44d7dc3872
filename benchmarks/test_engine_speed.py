"""Speed of the engine, as ratios measured in one process: `pytest benchmarks/test_engine_speed.py -s`."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from engine_load import CAPACITY_RPS, SCENARIO, capacity_rps, leaping_and_stepping, leaping_s, longer, run, scenario_at
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
    """Limit 40 bare timeouts, for the engine alone and with sessions and policy; metrics are not part of it."""
    blueprint = build(scenario_at(LOADS[name], 2000))
    requests = blueprint.requests(0)
    best = {"crowd": math.inf, "alone": math.inf, "engine": math.inf, "world": math.inf}
    for _ in range(10):  # in turns, so that a busy moment of the machine hits all alike
        found = {
            "crowd": bare_timeout_s(60_000, n_processes=1000),
            "alone": bare_timeout_s(60_000),
            "engine": leaping_s(blueprint, requests) / len(requests),
            "world": run(blueprint, requests).world_s / len(requests),
        }
        best = {key: min(best[key], value) for key, value in found.items()}
    engine, world = best["engine"], best["world"]
    with capsys.disabled():
        print(
            f"\n{name} load, in bare timeouts among 1,000 processes (of one process): "
            f"engine alone {engine / best['crowd']:.0f} ({engine / best['alone']:.0f}), {engine * 1e6:.0f} us each; "
            f"with sessions and policy {world / best['crowd']:.0f} ({world / best['alone']:.0f}), {world * 1e6:.0f} us"
        )
    assert best["world"] > best["engine"] > 0


@pytest.mark.parametrize(("name", "aim"), [("70 %", 3.0), ("light", 8.0)])
def test_leaps_beat_steps(name, aim, capsys):
    leaping, stepping, error = min(leaping_and_stepping(LOADS[name], 1500) for _ in range(2))
    with capsys.disabled():
        print(
            f"\n{name} load: leaping {leaping:.2f} s, stepping {stepping:.2f} s, ratio {stepping / leaping:.1f} "
            f"(aim {aim:g}), largest relative difference of a token time {error:.1e}"
        )
    assert error < 1e-9


def test_cost_follows_batch_changes_and_not_tokens(capsys):
    constant = {"kind": "constant", "prefill_s": 1e-3, "decode_s": 0.03}
    scenario = scenario_at(0.3, 10_000, iterations=constant, kv_tok=10**8, max_batch=10**4, max_context_tok=None)
    blueprint = build(scenario)
    requests = blueprint.requests(0)
    tenfold = longer(requests, 10)
    pairs = [(run(blueprint, requests), run(blueprint, tenfold)) for _ in range(6)]
    short, long = (min(runs, key=lambda cost: cost.world_s) for runs in zip(*pairs, strict=True))
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
        "from pathlib import Path; "
        "from discosim.config import load_scenario; from discosim.runs import execute_to_folder; "
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
