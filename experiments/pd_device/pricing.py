"""One price on the cloud's slots against a price set again every window, under a load that comes in bursts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from discosim import load_scenario, simulate
from discosim.policies.catch_up import occupied_s
from discosim.runs.build import build

from .runs import HERE, busy_cloud, named

if TYPE_CHECKING:
    from discosim.reproduce.tables import Context

SLOTS = 0.5
MEAN_PER_S = 1.0
WINDOW_S = 30.0
CYCLE_S = 300.0
BURSTS = f"workload.arrivals={{kind: burst, rate_per_s: {MEAN_PER_S}, intensity: 2.0, width: 0.35, cycle_s: {CYCLE_S}}}"
PLANS = [
    named("no price"),
    named("one price", settings="priced", slot_limit_s=SLOTS / MEAN_PER_S),
    named(
        "new price every 30 s",
        settings="priced",
        slot_limit_s=SLOTS / MEAN_PER_S,
        reprice_every_s=WINDOW_S,
        cloud_slots=SLOTS,
    ),
]
N_SEEDS = {"quick": 4, "paper": 20}
N_CYCLES = {"quick": 2, "paper": 12}


def pricing(context: Context) -> pd.DataFrame:
    """Return slots in use, TTFT, gaps and assumed quality per time in the cycle of bursts."""
    tasks = [
        {"seed": seed, "n_requests": round(N_CYCLES[context.profile] * CYCLE_S * MEAN_PER_S)}
        for seed in range(N_SEEDS[context.profile])
    ]
    return pd.DataFrame([row for rows in context.map("priced", tasks, module="pricing") for row in rows])


def priced(task: dict[str, Any]) -> list[dict[str, Any]]:
    """Simulate all plans; a row per plan and window of the cycle. Slots are reckoned as the policy does."""
    scenario = load_scenario(
        HERE / "base.yaml",
        overrides=[
            f"policies=[{', '.join(PLANS)}]",
            *busy_cloud(task["n_requests"]),
            BURSTS,
            f"seed={task['seed'] + 1}",
        ],
    )
    view = build(scenario).view
    prefill_s = max(0.0, float(np.median(view.server_ttft_s)) - 2.0 * view.link_delay_s)
    done = simulate(scenario).requests
    done = done[done["status"] == "finished"].copy()
    done["window_s"] = (done["arrival_s"] % CYCLE_S) // WINDOW_S * WINDOW_S
    n_cycles = max(1.0, float(done["arrival_s"].max()) / CYCLE_S)
    done["slot_s"] = [occupied_s(prefill_s, n, view.server_tpot_s) if n else 0.0 for n in done["server_output_tok"]]
    rows = []
    for (policy, window_s), part in done.groupby(["policy", "window_s"], sort=True, observed=True):
        rows.append(
            {
                "policy": policy,
                "seed": task["seed"],
                "window_s": window_s,
                "requests_per_s": len(part) / (n_cycles * WINDOW_S),
                "slots": part["slot_s"].sum() / (n_cycles * WINDOW_S),
                "ttft_mean_s": part["ttft_s"].mean(),
                "gap_mean_max_ms": 1e3 * part["tbt_displayed_max_s"].mean(),
                "quality_assumed_mean": part["quality_assumed"].mean(),
            }
        )
    return rows
