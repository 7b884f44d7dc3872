"""All systems side by side: one row per load, system, scheduler at the server and replication (`seed`).

`policy` names system and scheduler. The scenario is `configs/all-systems.yaml`; every policy of that file is a row, and
one more needs only its line there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from discosim import load_scenario, simulate

if TYPE_CHECKING:
    from discosim.reproduce.tables import Context

SCHEDULERS = {"FCFS": "fcfs", "Andes v2": "andes_v2", "Andes code": "andes_code"}
RATES = {"quick": (1.7, 3.0), "paper": (1.0, 1.7, 3.0)}
"""Requests/s; the server alone saturates at about 1.5."""
SEEDS = {"quick": 4, "paper": 10}
SIZES = {"quick": 300, "paper": 1000}
PILOT = {"quick": 150, "paper": 2000}
"""Requests of the run from which policies learn the server's TTFT; above saturation it grows with their number."""
METRICS = (
    "ttft_mean_s",
    "ttft_p99_s",
    "ttft_visible_mean_s",
    "tbt_pooled_p99_s",
    "qoe_andes_mean",
    "e2e_mean_s",
    "unified_cost_mean_usd",
    "engine_gpu_s",
    "quality_assumed_mean",
)


def side_by_side(context: Context) -> pd.DataFrame:
    """Return every system under every scheduler and load."""
    tasks = [
        {
            "rate_per_s": rate,
            "scheduler": scheduler,
            "seed": seed,
            "n": SIZES[context.profile],
            "pilot": PILOT[context.profile],
        }
        for rate in sorted(RATES[context.profile], reverse=True)  # the long ones first
        for scheduler in reversed(SCHEDULERS)
        for seed in range(SEEDS[context.profile])
    ]
    table = pd.DataFrame([row for rows in context.map("replication", tasks) for row in rows])
    order = table["scheduler"].map(list(SCHEDULERS).index)
    return table.assign(order=order).sort_values(["rate_per_s", "order"], kind="stable").drop(columns="order")


def replication(task: dict[str, Any]) -> list[dict[str, Any]]:
    """Simulate all systems once; a row for each."""
    scenario = load_scenario(
        "all-systems",
        overrides=[
            f"seed={task['seed'] + 1}",
            "replications=1",
            f"workload.n_requests={task['n']}",
            f"workload.n_users={task['n']}",
            f"workload.arrivals.rate_per_s={task['rate_per_s']}",
            f"server.scheduler.kind={SCHEDULERS[task['scheduler']]}",
            f"server.pilot_requests={task['pilot']}",
        ],
    )
    summary = simulate(scenario).summary
    rows = []
    for policy in summary.policies:
        value = {metric: summary.value(policy, metric).mean for metric in METRICS}
        energy = [summary.value(policy, f"{who}_energy_mean_j").mean for who in ("device", "edge")]
        rows.append(
            {
                "rate_per_s": task["rate_per_s"],
                "scheduler": task["scheduler"],
                "system": policy,
                "policy": f"{policy}, {task['scheduler']}",
                "seed": task["seed"],
                **value,
                "energy_mean_j": sum(energy),
            }
        )
    return rows
