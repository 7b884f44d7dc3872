"""Cost of one call of Andes' solver against the number of live requests: `pytest benchmarks/test_andes_speed.py -s`."""

from __future__ import annotations

import math
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import simpy

from discosim import load_scenario
from discosim.core.rng import RandomStreams
from discosim.core.timelines import Timelines
from discosim.kernel.library import why_not
from discosim.policies.server_only import ServerOnly
from discosim.runs.build import build
from discosim.runs.engine_kernel import engine_only
from discosim.world.engine.costs.distserve import DistServeCost
from discosim.world.engine.floor import ReplicaModel
from discosim.world.engine.job import Job
from discosim.world.engine.replica import Replica
from discosim.world.engine.schedulers.andes_code import AndesCode
from discosim.world.engine.schedulers.andes_solver import Look, choose
from discosim.world.engine.schedulers.andes_v1 import AndesV1
from discosim.world.luck import Luck
from discosim.world.world import World

COST = DistServeCost((0.03, 1.5e-4, 8e-9), (0.03, 4.5e-7, 6e-5), (0.027, 4e-7, 1.2e-4))
SIZES = (100, 1000, 10_000)
OPT_66B = Path(__file__).parents[1] / "experiments" / "andes" / "opt66b.yaml"


class Nobody:
    def on_first(self, at_s):
        pass

    def on_end(self, at_s):
        pass


def crowd(n):
    """A replica that has worked for half a minute, with about ``n`` live requests and room for a third of them."""
    rng = np.random.default_rng(1)
    env = simpy.Environment()
    model = ReplicaModel(cost=COST, kv_blocks=10 * n, max_batch=n)
    replica = Replica(env, model, AndesV1())
    for i in range(n):
        rate = float(rng.uniform(3, 6))
        replica.submit(Job(i, Nobody(), int(rng.integers(50, 800)), 2000, 0.0, rate, 1.0))
    env.run(until=30.0)
    return replica


def median_s(call, n_times):
    spent = []
    for _ in range(n_times):
        start = time.perf_counter()
        call()
        spent.append(time.perf_counter() - start)
    return float(np.median(spent))


def test_solver_cost_by_live_requests(capsys):
    """Look and greedy choice of one batch size; the arrays alone; the authors' estimate."""
    rows = []
    for n in SIZES:
        replica = crowd(n)
        assert replica.n_live == n
        look_s = median_s(partial(Look, replica), 30)
        look = Look(replica)
        choose_s = median_s(partial(choose, look, 50.0, "average", "greedy", 1), 30)
        code, live = AndesCode(), look.live
        code_s = median_s(partial(code.worth, live, replica.now_s, 16), 30)
        rows.append((n, look_s, choose_s, code_s))
    slope = math.log(rows[-1][2] / rows[1][2]) / math.log(SIZES[-1] / SIZES[1])
    with capsys.disabled():
        for n, look_s, choose_s, code_s in rows:
            print(
                f"\n{n:>6,} live requests: arrays {look_s * 1e6:7.0f} us, greedy choice {choose_s * 1e6:7.0f} us, "
                f"authors' worth {code_s * 1e6:6.0f} us",
                end="",
            )
        print(f"\nlog-log slope of the choice from 1,000 to 10,000: {slope:.2f} (N log N is 1.12)")
    assert slope < 1.3


@pytest.mark.parametrize("scheduler", ["andes_v1", "andes_v2", "andes_code", "lqsf", "round_robin"])
def test_an_overload_compiled_and_through_simpy(capsys, scheduler):
    """Up to a thousand live requests and more; CPU time of the world alone, of both ways in one process."""
    if why := why_not():
        pytest.skip(why)
    changes = [f"server.scheduler={{kind: {scheduler}}}", "workload.arrivals.rate_per_s=11", "workload.n_requests=2500"]
    scenario = load_scenario(OPT_66B, overrides=changes)
    parts = build(scenario)
    requests = parts.requests(0)

    def world():
        return World(parts.model, requests, Luck(RandomStreams(scenario.seed, 0), len(requests)))

    begun_s, records = time.process_time(), []
    world().run(ServerOnly(), records.append)
    simpy_s, begun_s = time.process_time() - begun_s, time.process_time()
    alone = engine_only(ServerOnly(), requests, world())
    done = Timelines.joined(list(alone.timelines()))
    compiled_s = time.process_time() - begun_s
    assert done.delivered_s.values.tobytes() == Timelines.of(records).delivered_s.values.tobytes()
    with capsys.disabled():
        print(
            f"\n{scenario.server.scheduler.kind}: SimPy {simpy_s:.2f} s, compiled {compiled_s:.3f} s of CPU, ", end=""
        )
        print(f"{simpy_s / compiled_s:.0f} times")
    assert simpy_s > compiled_s
