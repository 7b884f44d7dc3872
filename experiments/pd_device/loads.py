"""How many requests the cloud serves before a promise breaks, by what it runs out of first."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from discosim import load_scenario, simulate
from discosim.policies.catch_up import smallest_k
from discosim.runs.build import build

from .runs import HERE, LONGEST_TOK, PD, SERVER, WORKLOADS, cloud_gap_s, cloud_prefill_s

if TYPE_CHECKING:
    from discosim.reproduce.tables import Context

SLOTS = {"slots": 8, "decode pool": 8, "GPU time": 256}
N_PREFILL = 24
CLOUDS = {
    "slots": ["server.max_batch=8"],
    "decode pool": [
        "server.max_batch=8",
        f"server.prefill_pool={{n_replicas: {N_PREFILL}, kv_gbit_per_s: 400}}",
    ],
    "GPU time": ["server.max_batch=256"],
}
"""Colocated with few slots; one replica that decodes behind many that prefill; colocated with slots for all."""

SHARE = 0.9  # of the requests for which the promise is kept
FIRST_S, FIRST_PREFILLS = 0.5, 2.0  # first token within 0.5 s and twice the cloud's own prefill
TPOT_S = 0.12
PAUSE_S = 0.5  # what a reader of 4.8 tokens/s waits in all after the first token
SPAN_S = {"quick": 40.0, "paper": 600.0}
N_SEEDS = {"quick": 5, "paper": 10}  # one more than a few: what breaks a promise is rare
PHONES_PER_REQUEST = 50  # so that a phone is hardly ever asked again while it answers
STEP = 0.5  # of the base-2 logarithm of the load
N_HALVINGS = {"quick": 0, "paper": 3}


def measured(context: Context) -> pd.DataFrame:
    """Return the highest request rate at which the promise is kept, by workload and by what limits the cloud.

    Source of the promise: our choice. First tokens are measured against the cloud's own prefill, so that a phone alone
    keeps the promise for short prompts only.
    """
    tasks = [
        {
            "workload": workload,
            "sense": sense,
            "policy": policy,
            "seed": seed,
            "span_s": SPAN_S[context.profile],
            "n_halvings": N_HALVINGS[context.profile],
        }
        for workload in WORKLOADS
        for sense in CLOUDS
        for policy in ("server_only", "PD")
        for seed in range(N_SEEDS[context.profile])
    ]
    return pd.DataFrame(context.map("highest_rate", tasks, module="loads"))


def highest_rate(task: dict[str, Any]) -> dict[str, Any]:
    """Raise or lower the load on the engine from a first guess until the promise breaks, and interpolate.

    The share of kept promises is taken as linear in the logarithm of the load between the two last loads.
    """
    plan = SERVER if task["policy"] == "server_only" else PD
    fixed = [
        f"policies=[{plan}]",
        *(f"workload.{change}" for change in WORKLOADS[task["workload"]]),
        *CLOUDS[task["sense"]],
        f"workload.max_prompt_tok={LONGEST_TOK}",
        f"seed={task['seed'] + 1}",
        "server.pilot_requests=40",
    ]

    @cache
    def attained(log_rate: float) -> float:
        rate = 2.0**log_rate
        n = max(100, round(rate * task["span_s"]))
        load = [
            f"workload.n_requests={n}",
            f"workload.n_users={PHONES_PER_REQUEST * n}",
            f"workload.arrivals.rate_per_s={rate}",
        ]
        done = simulate(load_scenario(HERE / "base.yaml", overrides=[*fixed, *load])).requests
        served = done[done["status"] != "rejected"]
        return float(is_kept(served).mean())

    low = STEP * round(np.log2(guess(load_scenario(HERE / "base.yaml", overrides=fixed), task)) / STEP)
    while attained(low) < SHARE:
        low -= STEP
    high = low + STEP
    while attained(high) >= SHARE:
        low, high = high, high + STEP
    for _ in range(task["n_halvings"]):
        middle = (low + high) / 2.0
        low, high = (middle, high) if attained(middle) >= SHARE else (low, middle)
    part = (attained(low) - SHARE) / (attained(low) - attained(high))
    keys = ("workload", "sense", "policy", "seed")
    return {**{key: task[key] for key in keys}, "capacity_rps": float(2.0 ** (low + part * (high - low)))}


def is_kept(served: pd.DataFrame) -> Any:
    """Tell for each request whether its promise is kept; a failed one's is not."""
    first_s = FIRST_S + FIRST_PREFILLS * cloud_prefill_s(served["prompt_tok"].to_numpy(dtype=float))
    is_early = served["ttft_s"].to_numpy() <= first_s
    return is_early & ~(served["tpot_s"].to_numpy() > TPOT_S) & (served["stall_s"].to_numpy() <= PAUSE_S)


def guess(scenario: Any, task: dict[str, Any]) -> float:
    """Return the request rate at which the cloud's closed-form capacity is used up: where the search begins."""
    blueprint = build(scenario)
    requests, phone = blueprint.requests(0), blueprint.model.fleet[0][0]
    kept = ~requests.rejected
    prompt, tok = requests.prompt_tok[kept].astype(float), requests.output_tok[kept].astype(float)
    prefill_s, batch = cloud_prefill_s(prompt), min(32, SLOTS[task["sense"]])
    gap_s = cloud_gap_s(batch, prompt.mean(), tok.mean())
    if task["policy"] == "PD":
        pace_s = max(0.05, 1.0 / phone.decode_tok_per_s)
        tok = np.minimum(tok, [smallest_k(phone, p, 0.06 + s, pace_s) for p, s in zip(prompt, prefill_s, strict=True)])
    if task["sense"] == "decode pool":
        return float(min(N_PREFILL / prefill_s.mean(), batch / (tok.mean() * gap_s)))
    return float(0.8 / (prefill_s + tok * gap_s / batch).mean())
