"""The server's own tail under growing shares of requests that devices answer: one row per load, budget and `seed`.

DiSCo-D starts every request at the server; the device joins after a wait, and whoever loses is cancelled. Replications
share the scenario's own seed plus their number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from discosim import load_scenario, simulate
from discosim.report.figures.server_relief import server_tail_s

if TYPE_CHECKING:
    from discosim.reproduce.tables import Context

LOADS_RPS = {"quick": (1.2, 1.6, 1.8), "paper": (1.2, 1.4, 1.6, 1.8)}
BUDGETS = {"quick": (0.0, 0.05, 0.2), "paper": (0.0, 0.02, 0.05, 0.06, 0.07, 0.08, 0.1, 0.2)}
N_REQUESTS = {"quick": 1000, "paper": 2000}
SEEDS = {"quick": 5, "paper": 5}


def relief(context: Context) -> pd.DataFrame:
    """Return the server's p99 TTFT, and the share of requests whose first token came from a device."""
    profile = context.profile
    tasks = [
        {"rate_per_s": rate, "budget": budget, "seed": seed, "n_requests": N_REQUESTS[profile]}
        for rate in LOADS_RPS[profile]
        for budget in BUDGETS[profile]
        for seed in range(SEEDS[profile])
    ]
    return pd.DataFrame(context.map("one", tasks))


def one(task: dict[str, Any]) -> dict[str, Any]:
    """Simulate one replication.

    Where a device answers first, the server is cancelled before anybody sees its first token: its tail is Kaplan and
    Meier's, with these as censored.
    """
    policy = f"{{kind: disco, name: DiSCo-D, constraint: device, budget: {task['budget']}, migration: false}}"
    scenario = load_scenario(
        "engine",
        overrides=[
            f"policies=[{policy}]",
            "baseline=DiSCo-D",
            "replications=1",
            f"seed={task['seed'] + 1}",
            f"workload.n_requests={task['n_requests']}",
            f"workload.arrivals.rate_per_s={task['rate_per_s']}",
        ],
    )
    done = simulate(scenario).requests
    served = done[done["status"] == "finished"]
    return {
        "rate_per_s": task["rate_per_s"],
        "budget": task["budget"],
        "seed": task["seed"],
        "policy": "DiSCo-D",
        "offloaded_share": float((served["first_endpoint"] == "device").mean()),
        "server_p99_s": server_tail_s(served),
        "ttft_mean_s": float(served["ttft_s"].mean()),
    }
