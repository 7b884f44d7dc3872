"""What the benchmarks measure: the cost of one simulated request, in bare SimPy timeouts."""

from __future__ import annotations

import gc
import resource
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import simpy

from discosim import load_scenario
from discosim.config import build_policy
from discosim.core.rng import RandomStreams
from discosim.runs.build import build
from discosim.runs.replicate import Entrant, replicate
from discosim.world.luck import Luck

SCENARIO: dict[str, Any] = {
    "name": "benchmark",
    "seed": 1,
    "replications": 1,
    "workload": {
        "kind": "generate",
        "n_requests": 100_000,
        "n_users": 20_000,
        "arrivals": {"kind": "digest", "digest": "azure-conv"},
        "lengths": {"kind": "digest", "digest": "azure-conv"},
    },
    "devices": [{"profile": "snapdragon-8-elite-llama-3.2-3b", "context": "extrapolate"}],
    "server": {
        "kind": "replay",
        "digest": "openrouter-deepseek-v3.2",
        "tbt_jitter_p99_over_p50": 1.5,
        "prices": {"prompt_usd_per_mtok": 0.15, "output_usd_per_mtok": 0.60},
    },
    "link": {"kind": "digest", "digest": "starlink-seattle"},
    "cost": {"exchange_rate_usd_per_j": 1e-7},
    "policies": [{"kind": "disco", "constraint": "device", "budget": 0.5, "migration": True}],
}


@dataclass(frozen=True)
class Cost:
    """Cost of one run: requests, seconds of CPU, peak memory of the process, and the share that was done in arrays."""

    n_requests: int
    total_s: float
    peak_mib: float
    array_share: float


def bare_timeout_s(n: int = 400_000, n_processes: int = 1) -> float:
    """Return the CPU time of one timeout of a SimPy process that does nothing else, in s."""
    env = simpy.Environment()

    def idle() -> object:
        for _ in range(n // n_processes):
            yield env.timeout(1.0)

    for _ in range(n_processes):
        env.process(idle())
    start = time.process_time()
    env.run()
    return (time.process_time() - start) / n


def run_disco(n_requests: int, *overrides: str, server: Mapping[str, Any] | None = None) -> Cost:
    """Simulate DiSCo-D with migration and compute all metrics; drawing the inputs is part of the total.

    ``server`` holds keys of the service that replace those of the scenario.
    """
    changed = {**SCENARIO, "server": {**SCENARIO["server"], **(server or {})}}
    scenario = load_scenario(changed, overrides=[f"workload.n_requests={n_requests}", *overrides])
    blueprint = build(scenario)
    gc.collect()
    gc.set_threshold(100_000, 50, 100)
    np.empty(2**21)  # as `simulate` does
    start = time.process_time()
    requests = blueprint.requests(0)
    luck = Luck(RandomStreams(scenario.seed, 0), len(requests))
    entrant = Entrant("disco", build_policy(scenario.policies[0]))
    outcome = replicate(entrant, blueprint, requests, luck, range(0))
    total_s = time.process_time() - start
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Cost(n_requests, total_s, peak_mib, outcome.kernels.get("replay", 0) / n_requests)
