"""Andes' experiments as tables: one row per setting, scheduler (`policy`) and replication (`seed`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from . import run

if TYPE_CHECKING:
    from discosim.reproduce.tables import Context

N_REQUESTS = "workload.n_requests"
REPLICATIONS = {"quick": 4, "paper": 20}


def replication(task: dict[str, Any]) -> dict[str, Any]:
    """Simulate one replication of one setting; plain data in and out."""
    overrides = tuple(task["overrides"])
    row = run.run(run.Task(task["file"], task["setting"], task["policy"], overrides, task["seed"]))
    return _named(task, row)


def capacity(task: dict[str, Any]) -> dict[str, Any]:
    """Search the highest rate that keeps a mean QoE; `setting` is lowest rate, highest rate, QoE."""
    overrides = tuple(task["overrides"])
    row = run.capacity_of(run.Task(task["file"], task["setting"], task["policy"], overrides, task["seed"]))
    return _named(task, row)


def _named(task: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    numbers = {key: value for key, value in row.items() if key not in {"setting", "scheduler", "replication"}}
    return {"x": task["x"], "policy": task["policy"], "seed": task["seed"], **numbers}


def _table(
    context: Context,
    file: str,
    settings: dict[float, Sequence[str]],
    schedulers: Sequence[str],
    function: str = "replication",
    setting: str = "",
) -> pd.DataFrame:
    tasks = [
        {"x": x, "file": file, "setting": setting, "policy": policy, "overrides": list(overrides), "seed": seed}
        for x, overrides in settings.items()
        for policy in schedulers
        for seed in range(REPLICATIONS[context.profile])
    ]
    return pd.DataFrame(context.map(function, tasks))


def rates(context: Context) -> pd.DataFrame:
    """Return quality and throughput against the request rate (a, e)."""
    n, x = {"quick": (1000, (5.0, 7.0, 10.0)), "paper": (2000, (5.0, 5.5, 6.0, 6.5, 7.0, 8.0, 10.0, 14.0))}[
        context.profile
    ]
    settings = {rate: (f"{run.RATE}={rate}", f"{N_REQUESTS}={n}") for rate in x}
    names = ("FCFS", "round robin", "LQSF", "Andes v1", "Andes v2", "Andes code")
    return _table(context, "opt66b.yaml", settings, names).rename(columns={"x": "rate_per_s"})


def capacities(context: Context) -> pd.DataFrame:
    """Return the highest rate that keeps a mean QoE of 0.9 (b)."""
    n, setting = {"quick": (800, "6 12 0.9"), "paper": (2000, "5 12 0.9")}[context.profile]
    names = ["FCFS", "Andes v1"]
    if context.profile == "paper":
        names += ["round robin", "LQSF", "Andes v2", "Andes code"]
    table = _table(context, "opt66b.yaml", {0.9: (f"{N_REQUESTS}={n}",)}, names, "capacity", setting)
    return table.rename(columns={"x": "qoe"})


def bursts(context: Context) -> pd.DataFrame:
    """Return quality against the intensity of bursts (c)."""
    n, cycle_s = {"quick": (500, 500), "paper": (1200, 1200)}[context.profile]
    arrivals = "workload.arrivals"
    settings = {
        h: (f"{arrivals}.intensity={h}", f"{arrivals}.cycle_s={cycle_s}", f"{N_REQUESTS}={n}")
        for h in (1.2, 1.6, 2.0, 2.4, 2.8)
    }
    names = ("FCFS", "LQSF", "Andes v2", "v2, no refiner", "Andes code")
    return _table(context, "bursts.yaml", settings, names).rename(columns={"x": "intensity"})


def thrash(context: Context) -> pd.DataFrame:
    """Return what happens to long prompts with and without control of preemptions (d)."""
    settings = {rate: (f"{run.RATE}={rate}", f"{N_REQUESTS}=120") for rate in (0.05, 0.1, 0.15)}
    names = ["FCFS", "Andes v1", "v1, no cap", "Andes v2", "v2, no refiner"]
    if context.profile == "paper":
        names.append("code, no overhead rule")  # a minute per run
    return _table(context, "long_prompts.yaml", settings, names).rename(columns={"x": "rate_per_s"})


BASE, OWN = "as in rates, from 7 req/s", "Andes v1"
WORLDS = {
    "swaps for free": ("server.preemption.gbyte_per_s=4800",),
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
    """Return Andes v1 and FCFS at two rates of `rates`, with one open point changed at a time."""
    found = rates(context)  # kept: nothing is computed twice
    x = {"quick": (7.0, 10.0), "paper": (7.0, 8.0, 10.0, 14.0)}[context.profile]
    n, seeds = {"quick": (1000, range(3)), "paper": (2000, range(10))}[context.profile]
    base = found[found["rate_per_s"].isin(x) & found["seed"].isin(seeds)]
    base = base[base["policy"].isin(["FCFS", OWN])]
    runs = [(name, policy, overrides) for name, overrides in WORLDS.items() for policy in ("FCFS", OWN)]
    runs += [(name, policy, ()) for name, policy in READINGS.items()]
    tasks = [
        {
            "x": rate,
            "file": "opt66b.yaml",
            "setting": "",
            "policy": policy,
            "overrides": [f"{run.RATE}={rate}", f"{N_REQUESTS}={n}", *overrides],
            "seed": seed,
        }
        for _, policy, overrides in runs
        for rate in x
        for seed in seeds
    ]
    names = [name for name, _, _ in runs for _ in range(len(x) * len(seeds))]
    rest = pd.DataFrame(context.map("replication", tasks)).rename(columns={"x": "rate_per_s"}).assign(variant=names)
    rest["policy"] = rest["policy"].where(rest["policy"] == "FCFS", OWN)
    fcfs = base[base["policy"] == "FCFS"]
    beside = [fcfs.assign(variant=name) for name in READINGS]  # another scheduler changes nothing for FCFS
    return pd.concat([base.assign(variant=BASE), rest, *beside], ignore_index=True)


def overload(context: Context) -> pd.DataFrame:
    """Return percentiles at the overload point (f)."""
    n = {"quick": 1500, "paper": 4000}[context.profile]
    names = ("FCFS", "LQSF", "Andes v1", "Andes v2", "Andes code")
    table = _table(context, "opt66b.yaml", {8.0: (f"{run.RATE}=8", f"{N_REQUESTS}={n}")}, names)
    return table.rename(columns={"x": "rate_per_s"})
