"""All systems on one workload, one fleet and one luck, at two servers, with idle and with shared phones.

``systems`` has a row for each world, setting and replication (`seed`); ``tuned`` what each system makes of its knob
inside one purse, ``equal`` what two of them give for exactly the same joules; ``saturation`` measures what loads are
shares of.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from discosim import load_scenario, simulate

from . import systems as given
from .tuning import equal_rows, tuned_rows

if TYPE_CHECKING:
    from discosim.reproduce.tables import Context

LOADS = {"quick": (0.6, 0.9, 1.2), "paper": (0.6, 0.75, 0.9, 1.0, 1.1, 1.2)}
"""Shares of what a server can take."""
SEEDS = {"quick": 4, "paper": 10}
SIZES = {"quick": 300, "paper": 1000}
PILOT = {"quick": 200, "paper": 1000}
"""Requests of the run from which policies learn the server's TTFT; above saturation it grows with their number."""
SATURATING = {"quick": 1000, "paper": 5000}
METRICS = (
    "ttft_mean_s",
    "ttft_p99_s",
    "ttft_visible_mean_s",
    "tbt_pooled_p99_s",
    "qoe_andes_mean",
    "e2e_mean_s",
    "server_cost_mean_usd",
    "budget_used_server",
    "budget_used_device",
    "engine_gpu_s",
    "quality_assumed_mean",
)
WORLD = ["engine", "phones", "load"]


def systems(context: Context) -> pd.DataFrame:
    """Return every setting of every system in every world."""
    rows = [row for rows in context.map("replication", _tasks(context.profile)) for row in rows]
    table = pd.DataFrame(rows)
    engines, phones = (table[c].map(list(k).index) for c, k in (("engine", given.ENGINES), ("phones", given.PHONES)))
    order = table.assign(_e=engines, _p=phones).sort_values(["_e", "_p", "load", "seed"], kind="stable")
    return order.drop(columns=["_e", "_p"]).reset_index(drop=True)


def tuned(context: Context) -> pd.DataFrame:
    """Return what each system reaches inside one purse, its knob set on the other replications."""
    return tuned_rows(systems(context), WORLD)


def equal(context: Context) -> pd.DataFrame:
    """Return what hedging and DiSCo-D give for exactly the same joules of the phone."""
    return equal_rows(systems(context), WORLD)


def saturation(context: Context) -> pd.DataFrame:
    """Return what each server finishes a second when there is always work, over what the loads are shares of."""
    tasks = [
        {"engine": engine, "seed": seed, "n": SATURATING[context.profile]}
        for engine in given.ENGINES
        for seed in range(3)
    ]
    return pd.DataFrame(context.map("flooded", tasks))


def _tasks(profile: str) -> list[dict[str, Any]]:
    worlds = [
        (engine, phones)
        for engine in given.ENGINES
        for phones in given.PHONES
        if not (profile == "quick" and engine == given.OPT and phones == "shared")
    ]
    common = {"n": SIZES[profile], "pilot": PILOT[profile]}
    tasks = [
        {"engine": engine, "phones": phones, "load": load, "seed": seed, "scheduler": "fcfs", **common}
        | {"policies": given.settings_of(profile)}
        for load in sorted(LOADS[profile], reverse=True)
        for engine, phones in worlds
        for seed in range(SEEDS[profile])
    ]
    andes = [
        {"engine": given.OPT, "phones": "idle", "load": load, "seed": seed, "scheduler": scheduler, **common}
        | {"pilot": 1, "policies": {name: {"kind": "server_only"}}}
        for load in LOADS[profile]
        for name, scheduler in given.ANDES.items()
        for seed in range(SEEDS[profile])
    ]
    return tasks + andes


def _scenario(task: dict[str, Any], rate_per_s: float, n_users: int) -> Any:
    server = given.ENGINES[task["engine"]].server.replace("SCHEDULER", task["scheduler"]) % task["pilot"]
    policies = [{"name": f"p{i}", **policy} for i, policy in enumerate(task["policies"].values())]
    return load_scenario(
        "all-systems",
        overrides=[
            f"seed={task['seed'] + 1}",
            "replications=1",
            "workload.max_prompt_tok=null",
            "workload.max_output_tok=null",
            "workload.over_limit=reject",
            f"workload.n_requests={task['n']}",
            f"workload.n_users={n_users}",
            f"workload.arrivals.rate_per_s={rate_per_s}",
            "devices[0].context=extrapolate",
            "edge.memory_tok=32768",
            f"server={server}",
            "baseline=null",
            f"policies={json.dumps(policies)}",
        ],
    )


def replication(task: dict[str, Any]) -> list[dict[str, Any]]:
    """Simulate all settings in one world once; a row for each."""
    rate_per_s = task["load"] * given.ENGINES[task["engine"]].saturation_per_s
    gap_s = given.PHONES[task["phones"]]
    n_users = round(rate_per_s * gap_s) if gap_s else 100 * task["n"]
    summary = simulate(_scenario(task, rate_per_s, n_users)).summary
    rows = []
    for name, policy in zip(task["policies"], summary.policies, strict=True):
        value = {metric: summary.value(policy, metric).mean for metric in METRICS}
        energy = [summary.value(policy, f"{who}_energy_mean_j").mean for who in ("device", "edge")]
        world = {key: task[key] for key in WORLD}
        first = {"system": given.system_of(name), "policy": name, "seed": task["seed"]}
        rows.append(
            {
                **world,
                **first,
                **value,
                "energy_mean_j": sum(energy),
                "server_usd_per_1000": 1e3 * value["server_cost_mean_usd"],
            }
        )
        del rows[-1]["server_cost_mean_usd"]
    return rows


def flooded(task: dict[str, Any]) -> dict[str, Any]:
    """Send all requests nearly at once, and count the answers of the middle of the run."""
    engine = given.ENGINES[task["engine"]]
    alone = {"scheduler": "fcfs", "pilot": 1, "policies": {"server only": {"kind": "server_only"}}}
    found = simulate(_scenario(task | alone, 50.0 * engine.saturation_per_s, 100 * task["n"])).columns
    ends_s = np.sort(found["arrival_s"] + found["e2e_s"])
    first, last = ends_s.size // 5, 4 * ends_s.size // 5
    per_s = (last - first) / (ends_s[last] - ends_s[first])
    return {
        "engine": task["engine"],
        "policy": "server only",
        "seed": task["seed"],
        "finished_per_s": per_s,
        "over_assumed": per_s / engine.saturation_per_s,
    }
