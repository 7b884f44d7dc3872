"""What the engine's benchmarks run: Azure-conversation lengths on one replica, at a share of its capacity."""

from __future__ import annotations

import gc
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from discosim import load_scenario
from discosim.config import build_policy
from discosim.core.request import RequestTable
from discosim.core.rng import RandomStreams
from discosim.core.scenario import Scenario
from discosim.runs.build import Blueprint, build
from discosim.world.luck import Luck
from discosim.world.world import World

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

SCENARIO = {
    "name": "engine-benchmark",
    "seed": 1,
    "replications": 1,
    "workload": {
        "kind": "generate",
        "n_requests": 10_000,
        "n_users": 20_000,
        "arrivals": {"kind": "poisson", "rate_per_s": 1.0},
        "lengths": {"kind": "digest", "digest": "azure-conv"},
    },
    "devices": [{"profile": "snapdragon-8-elite-llama-3.2-3b", "context": "extrapolate"}],
    "server": {
        "kind": "engine",
        "iterations": {"kind": "digest", "digest": "llama2-70b-a100-tp4"},
        "max_context_tok": 16_384,
        "pilot_requests": 200,
        "prices": {"prompt_usd_per_mtok": 0.15, "output_usd_per_mtok": 0.60},
    },
    "cost": {"exchange_rate_usd_per_j": 1e-7},
    "policies": [{"kind": "server_only"}],
}

CAPACITY_RPS = 1.9
"""Requests per second that one replica finishes when it is never idle (`capacity_rps` measures it)."""


@dataclass(frozen=True)
class Cost:
    """Cost of one run: requests, seconds in the world, iterations, and requests finished per simulated second."""

    n_requests: int
    world_s: float
    n_iterations: float
    throughput_rps: float
    batch_mean: float


def scenario_at(load: float, n_requests: int, **server: object) -> Scenario:
    """Return the scenario at a share of the capacity."""
    changed = {**SCENARIO, "server": {**SCENARIO["server"], **server}}
    rate = load * CAPACITY_RPS
    overrides = [f"workload.n_requests={n_requests}", f"workload.arrivals.rate_per_s={rate}"]
    return load_scenario(changed, overrides=overrides)


def run(blueprint: Blueprint, requests: RequestTable) -> Cost:
    """Serve the requests by the engine alone; metrics are not part of it."""
    scenario = blueprint.scenario
    policy = build_policy(scenario.policies[0])
    policy.prepare(blueprint.view)
    ends = []
    world = World(blueprint.model, requests, Luck(RandomStreams(scenario.seed, 0), len(requests)))
    gc.collect()
    gc.set_threshold(100_000, 50, 100)
    start = time.perf_counter()
    world.run(policy, lambda record: ends.append(record.generated_s[-1]))
    world_s = time.perf_counter() - start
    figures = world.engine_figures()
    assert figures is not None
    return Cost(
        len(requests),
        world_s,
        figures["engine_n_iterations"],
        len(ends) / max(ends),
        figures["engine_batch_mean"],
    )


def run_at(load: float, n_requests: int) -> Cost:
    """Build and serve."""
    blueprint = build(scenario_at(load, n_requests))
    return run(blueprint, blueprint.requests(0))


def capacity_rps() -> float:
    """Return the throughput of a replica that always has work."""
    return run_at(3.0, 4000).throughput_rps


def longer(requests: RequestTable, factor: int) -> RequestTable:
    """Return the same requests with answers ``factor`` times as long, and arrivals as much slower.

    With iteration times that do not depend on the context the batch then changes as often as before.
    """
    output_tok = (requests.output_tok - 1) * factor + 1
    return replace(requests, output_tok=output_tok, arrival_s=requests.arrival_s * factor)


def asks_of(requests: RequestTable) -> list:
    """Return the requests as the stepping reference engine takes them."""
    from stepping_engine import Ask

    rows = zip(requests.arrival_s.tolist(), requests.prompt_tok.tolist(), requests.output_tok.tolist(), strict=True)
    return [Ask(*row) for row in rows]


def leaping_s(blueprint: Blueprint, requests: RequestTable) -> float:
    """Return seconds of the bare leaping engine: no sessions, no policy, no link."""
    from engines import run_leaping

    asks, server = asks_of(requests), blueprint.model.server
    start = time.perf_counter()
    run_leaping(server.replica, server.scheduler(), asks, watched=False)
    return time.perf_counter() - start


def leaping_and_stepping(load: float, n_requests: int) -> tuple[float, float, float]:
    """Return seconds of the bare leaping and stepping engines on the same requests, and the largest relative error."""
    from engines import run_leaping, run_stepping, token_times

    blueprint = build(scenario_at(load, n_requests))
    asks = asks_of(blueprint.requests(0))
    server = blueprint.model.server
    start = time.perf_counter()
    _, jobs, _ = run_leaping(server.replica, server.scheduler(), asks, watched=False)
    middle = time.perf_counter()
    plain = run_stepping(server.replica, server.scheduler(), asks)
    end = time.perf_counter()
    errors = [
        np.abs(token_times(job) / np.array(other.tokens_s) - 1).max()
        for job, other in zip(jobs, plain.jobs, strict=True)
    ]
    return middle - start, end - middle, float(max(errors))
