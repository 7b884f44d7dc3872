"""How many requests the cloud serves before a promise breaks, by what it runs out of first."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from discosim import load_scenario, simulate
from discosim.metrics.capacity import capacity

from .runs import HERE, LONGEST_TOK, PD, SEEDS, SERVER, WORKLOADS, cloud_prefill_s

if TYPE_CHECKING:
    from discosim.reproduce.tables import Context

CLOUDS = {
    "slots": ["server.max_batch=8"],
    "decode pool": ["server.max_batch=32", "server.prefill_pool={n_replicas: 32, kv_gbit_per_s: 400}"],
    "GPU time": ["server.max_batch=256"],
}
"""Colocated with few slots; one replica that decodes behind many that prefill; colocated with slots for all."""

SHARE = 0.9  # of the requests for which the promise is kept
FIRST_S, FIRST_PREFILLS = 0.5, 2.0  # first token within 0.5 s and twice the cloud's own prefill
TPOT_S = 0.12
SPAN_S = {"quick": 90.0, "paper": 600.0}
PHONES_PER_REQUEST = 50  # so that a phone is hardly ever asked again while it answers
FIRST_TRY_RPS = 2.0
TOLERANCE = 0.15  # of the base-2 logarithm of the load: 5 % either way


def measured(context: Context) -> pd.DataFrame:
    """Return the highest request rate at which the promise is kept, by workload and by what limits the cloud.

    Source of the promise: our choice. First tokens are measured against the cloud's own prefill, so that a phone alone
    keeps the promise for short prompts only.
    """
    tasks = [
        {"workload": workload, "sense": sense, "policy": policy, "seed": seed, "span_s": SPAN_S[context.profile]}
        for workload in WORKLOADS
        for sense in CLOUDS
        for policy in ("server_only", "PD")
        for seed in range(SEEDS[context.profile])
    ]
    return pd.DataFrame(context.map("highest_rate", tasks, module="loads"))


def highest_rate(task: dict[str, Any]) -> dict[str, Any]:
    """Raise the load on the engine until the promise breaks; phones are hardly ever busy."""
    changes = [f"workload.{change}" for change in WORKLOADS[task["workload"]]]
    plan = SERVER if task["policy"] == "server_only" else PD

    @cache
    def attained(log_rate: float) -> float:
        rate = 2.0**log_rate
        n = max(100, round(rate * task["span_s"]))
        overrides = [
            f"policies=[{plan}]",
            *changes,
            *CLOUDS[task["sense"]],
            f"workload.n_requests={n}",
            f"workload.n_users={PHONES_PER_REQUEST * n}",
            f"workload.max_prompt_tok={LONGEST_TOK}",
            f"seed={task['seed'] + 1}",
            f"workload.arrivals.rate_per_s={rate}",
            "server.pilot_requests=100",
        ]
        done = simulate(load_scenario(HERE / "base.yaml", overrides=overrides)).requests
        served = done[done["status"] != "rejected"]
        limit_s = FIRST_S + FIRST_PREFILLS * cloud_prefill_s(served["prompt_tok"].to_numpy(dtype=float))
        is_kept = (served["ttft_s"].to_numpy() <= limit_s) & ~(served["tpot_s"].to_numpy() > TPOT_S)
        return float(is_kept.mean())

    low = float(np.log2(FIRST_TRY_RPS))
    while attained(low) < SHARE:
        low -= 1.0
    high = low + 1.0
    while attained(high) >= SHARE:
        low, high = high, high + 1.0
    found = 2.0 ** capacity(attained, SHARE, low, high, tolerance=TOLERANCE)
    keys = ("workload", "sense", "policy", "seed")
    return {**{key: task[key] for key in keys}, "capacity_rps": found}
