"""Andes' experiments as tables: one row per setting, scheduler (`policy`) and replication (`seed`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from . import run

if TYPE_CHECKING:
    from discosim.reproduce.tables import Context

N_REQUESTS = "workload.n_requests"
ARRIVALS = "workload.arrivals"
RUN_S = 1200.0
"""Length of a run of `rates`: twenty minutes, as the authors' Poisson tests (second-hand)."""
OVERLOAD_PER_S = 8.0
TARGET = 0.9
OWN = "Andes v1"


def replication(task: dict[str, Any]) -> dict[str, Any]:
    """Simulate one replication of one setting; plain data in and out."""
    overrides = tuple(task["overrides"])
    row = run.run(run.Task(task["file"], "", task["policy"], overrides, task["seed"]))
    numbers = {key: value for key, value in row.items() if key not in {"setting", "scheduler", "replication"}}
    return {**task["labels"], "policy": task["policy"], "seed": task["seed"], **numbers}


def _tasks(
    file: str, labels: dict[str, Any], overrides: Sequence[str], schedulers: Sequence[str], n_seeds: int
) -> list[dict[str, Any]]:
    return [
        {"labels": labels, "file": file, "policy": policy, "overrides": list(overrides), "seed": seed}
        for policy in schedulers
        for seed in range(n_seeds)
    ]


def _table(context: Context, tasks: Sequence[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(context.map("replication", list(tasks)))


# --- OPT-66B by request rate (a, b, e, f) -------------------------------------------------------------------------


def _at(rate: float, seconds: float) -> tuple[str, str]:
    return f"{run.RATE}={rate}", f"{N_REQUESTS}={round(rate * seconds)}"


def rates(context: Context) -> pd.DataFrame:
    """Return quality and throughput against the request rate, twenty minutes each (a, b, e)."""
    if context.profile == "quick":
        grid, names, n_seeds = (6.0, 7.0, 8.0), ("FCFS", "Andes v1", "Andes code"), (3, 5)
    else:
        grid, n_seeds = (5.0, 5.5, 6.0, 6.5, 7.0, 7.5, 8.0, 10.0), (10, 10)
        names = ("FCFS", "round robin", "LQSF", "Andes v1", "Andes v2", "Andes code")
    tasks = []
    for rate in grid:
        n = n_seeds[rate == OVERLOAD_PER_S]  # the claims' largest ratio needs the narrowest interval
        tasks += _tasks("opt66b.yaml", {"rate_per_s": rate}, _at(rate, RUN_S), names, n)
    return _table(context, tasks)


def overload(context: Context) -> pd.DataFrame:
    """Return percentiles beyond saturation, of the same runs (f).

    At 8 req/s, and at 7, where FCFS keeps half of its readers waiting as long as in the paper's table (57 s).
    """
    found = rates(context)  # kept: nothing is computed twice
    return pd.concat([found[found["rate_per_s"] == rate] for rate in (OVERLOAD_PER_S, 7.0)], ignore_index=True)


def capacity(task: dict[str, Any]) -> dict[str, Any]:
    """Search the highest rate that keeps a mean QoE of 0.9 in a run of so many requests."""
    overrides = (f"{N_REQUESTS}={task['n_requests']}",)
    found = run.capacity_of(run.Task("opt66b.yaml", f"6 12 {TARGET}", task["policy"], overrides, task["seed"]))
    kept = {key: task[key] for key in ("variant", "policy", "seed")}
    return {**kept, "capacity_rps": found["capacity_rps"]}


def capacities(context: Context) -> pd.DataFrame:
    """Return the highest rate that keeps a mean QoE of 0.9, by the length of the run (b).

    Of twenty minutes it lies on a line between the two runs of `rates` around it; of shorter runs it is searched.
    """
    found = rates(context)  # kept
    rows = [
        {"variant": "20 minutes", "policy": policy, "seed": seed, "capacity_rps": crossing(part)}
        for (policy, seed), part in found.groupby(["policy", "seed"], sort=False)
        if len(part) == found["rate_per_s"].nunique()
    ]
    n_seeds = {"quick": 4, "paper": 10}[context.profile]
    tasks = [
        {"variant": f"{n} requests", "n_requests": n, "policy": policy, "seed": seed}
        for n in {"quick": (800,), "paper": (4000, 2000, 800)}[context.profile]
        for policy in ("FCFS", OWN)
        for seed in range(n_seeds)
    ]
    return pd.DataFrame([*rows, *context.map("capacity", tasks)])


def crossing(runs: pd.DataFrame) -> float:
    """Return the rate at which the mean QoE of one replication first falls below the target; NaN if it does not."""
    part = runs.sort_values("rate_per_s")
    rate, qoe = part["rate_per_s"].to_numpy(), part["qoe_mean"].to_numpy()
    below = np.flatnonzero(qoe < TARGET)
    if not below.size or not below[0]:
        return float("nan")
    i = below[0]
    return float(np.interp(TARGET, [qoe[i], qoe[i - 1]], [rate[i], rate[i - 1]]))


BASE = "as set, 8 req/s"
LINKS = {"swap link of 24 GB/s": 24, "swap link of 96 GB/s": 96, "swaps for free": 4800}
WORLDS = {
    **{name: (f"server.preemption.gbyte_per_s={gbyte_per_s}",) for name, gbyte_per_s in LINKS.items()},
    "recomputation": ("server.preemption={kind: recompute}",),
    "first token due in 2 s": ("reader.ttft_target_s=2",),
}
READINGS = {
    "solver at every boundary": "v1, every boundary",
    "cap of 0.2": "v1, P = 0.2",
    "no cap": "v1, no cap",
    "horizon of 10 s": "v1, horizon 10 s",
}


def open_points(context: Context) -> pd.DataFrame:
    """Return Andes v1 and FCFS in overload, with one open point changed at a time; v2 where the link changes."""
    seconds, n_seeds = {"quick": (300.0, 3), "paper": (RUN_S, 10)}[context.profile]
    at = _at(OVERLOAD_PER_S, seconds)
    tasks = []
    for name, overrides in {BASE: (), **WORLDS}.items():
        names = ["FCFS", OWN, *(["Andes v2"] if name == BASE or name in LINKS else [])]
        labels = {"rate_per_s": OVERLOAD_PER_S, "variant": name}
        tasks += _tasks("opt66b.yaml", labels, (*at, *overrides), names, n_seeds)
    for name, policy in READINGS.items():
        labels = {"rate_per_s": OVERLOAD_PER_S, "variant": name}
        tasks += _tasks("opt66b.yaml", labels, at, [policy], n_seeds)
    found = _table(context, tasks)
    found["policy"] = found["policy"].where(~found["policy"].isin(READINGS.values()), OWN)
    fcfs = found[(found["variant"] == BASE) & (found["policy"] == "FCFS")]
    beside = [fcfs.assign(variant=name) for name in READINGS]  # another scheduler changes nothing for FCFS
    return pd.concat([found, *beside], ignore_index=True)


# --- bursts (c) ---------------------------------------------------------------------------------------------------

AUTHORS, SATURATED, DENSE = "MoE, 2.3 req/s", "MoE, 2.6 req/s", "70B, 1 req/s"
"""Worlds: readers get 11 tokens/s under FCFS, at the rate of the authors' scripts and at saturation; or 4.5."""
STRONGEST = 2.8
"""Largest intensity of the authors' scripts."""


def _bursts(world: str, intensity: float, profile: str) -> tuple[str, list[str]]:
    """Return file and overrides of one cycle; the quick profile shortens that of the dense model."""
    if world == DENSE:
        n, cycle_s = {"quick": (500, 500), "paper": (1200, 1200)}[profile]
        overrides = [f"{ARRIVALS}.cycle_s={cycle_s}", f"{N_REQUESTS}={n}"]
    else:
        overrides = [f"{ARRIVALS}.rate_per_s=2.6", f"{N_REQUESTS}=3120"] if world == SATURATED else []
    return "bursts.yaml" if world == DENSE else "bursts_moe.yaml", [f"{ARRIVALS}.intensity={intensity}", *overrides]


def _burst_runs(
    context: Context, world: str, schedulers: Sequence[str], intensities: Sequence[float]
) -> list[dict[str, Any]]:
    tasks = []
    for intensity in intensities:
        quick = 4 if world == DENSE else 6 if intensity == STRONGEST else 3
        n_seeds = {"quick": quick, "paper": 20}[context.profile]
        file, overrides = _bursts(world, intensity, context.profile)
        tasks += _tasks(file, {"world": world, "intensity": intensity}, overrides, schedulers, n_seeds)
    return tasks


def bursts(context: Context) -> pd.DataFrame:
    """Return quality against the intensity of bursts, in a world with slack and in one without (c)."""
    grid = {"quick": (1.2, 1.6, 2.0, 2.8), "paper": (1.2, 1.6, 2.0, 2.4, 2.8)}[context.profile]
    more = ("LQSF",) if context.profile == "paper" else ()
    with_slack = {"quick": (1.0, 1.2, 1.6, STRONGEST), "paper": (1.0, *grid)}[context.profile]
    tasks = _burst_runs(context, AUTHORS, ("FCFS", "Andes v2", "Andes code", *more), with_slack)
    tasks += _burst_runs(context, DENSE, ("FCFS", "Andes v2", "v2, no refiner", "Andes code", *more), grid)
    return _table(context, tasks)


def burst_worlds(context: Context) -> pd.DataFrame:
    """Return the strongest bursts in each world (c)."""
    grid = {"quick": (STRONGEST,), "paper": (2.0, 2.4, STRONGEST)}[context.profile]
    names = ("FCFS", "Andes v2", "Andes code")
    found = bursts(context)  # kept
    found = found[found["intensity"].isin(grid) & found["policy"].isin(names)]
    loaded = _table(context, _burst_runs(context, SATURATED, names if context.profile == "paper" else names[:2], grid))
    return pd.concat([found[found["world"] == AUTHORS], loaded, found[found["world"] == DENSE]], ignore_index=True)


# --- long prompts (d) ---------------------------------------------------------------------------------------------


def thrash(context: Context) -> pd.DataFrame:
    """Return what happens to long prompts with and without control of preemptions (d)."""
    n, n_seeds = {"quick": (240, 6), "paper": (400, 20)}[context.profile]
    names = ["FCFS", "Andes v1", "v1, no cap", "Andes v2"]
    if context.profile == "paper":
        names += ["v2, no refiner", "Andes code"]
    tasks = [
        task
        for rate in (0.1, 0.15, 0.2)
        for task in _tasks(
            "long_prompts.yaml", {"rate_per_s": rate}, (f"{run.RATE}={rate}", f"{N_REQUESTS}={n}"), names, n_seeds
        )
    ]
    return _table(context, tasks)
