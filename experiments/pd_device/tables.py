"""P/D-Device's experiments as tables: one row per setting, policy and replication (`seed`)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from discosim import load_scenario, simulate
from discosim.metrics.capacity import capacity
from discosim.policies.catch_up import occupied_s, smallest_k
from discosim.runs.build import build

if TYPE_CHECKING:
    from discosim.reproduce.tables import Context

HERE = Path(__file__).parent
SEEDS = {"quick": 3, "paper": 20}
PHONES = {
    "8B, 8 Elite": "snapdragon-8-elite-llama-3.1-8b",
    "8B, X Elite": "snapdragon-x-elite-llama-3.1-8b",
    "3B, 8 Elite": "snapdragon-8-elite-llama-3.2-3b",
    "1B, 8 Elite": "snapdragon-8-elite-llama-3.2-1b",
}
PD = "{kind: pd_device, name: PD}"
BARE = "{kind: pd_device, name: no controller, pacer: none}"
SERVER, DEVICE = "{kind: server_only}", "{kind: device_only}"
WORKLOADS = {
    "Azure conversation": ("lengths={kind: digest, digest: azure-conv}",),
    "Azure code": ("lengths={kind: digest, digest: azure-code}",),
    "Mooncake conversation": ("lengths={kind: digest, digest: mooncake-conversation}",),
    "long answers": ("lengths={kind: lognormal, prompt_median_tok: 800, output_median_tok: 800}",),
}
LONGEST_TOK = 8192
TTFT_LIMIT_S, SHARE = 2.0, 0.9


def once(task: dict[str, Any]) -> list[dict[str, Any]]:
    """Simulate one replication of one setting; a row per policy."""
    policies = f"policies=[{', '.join(task['policies'])}]"
    scenario = load_scenario(HERE / "base.yaml", overrides=[policies, f"seed={task['seed'] + 1}", *task["overrides"]])
    done = simulate(scenario).requests
    rows = []
    for policy, part in done[done["status"] == "finished"].groupby("policy", sort=False, observed=True):
        rows.append(
            {
                **task["keys"],
                "policy": policy,
                "seed": task["seed"],
                "ttft_mean_s": part["ttft_s"].mean(),
                "ttft_p90_s": part["ttft_s"].quantile(0.9),
                "gap_mean_max_ms": 1e3 * part["tbt_displayed_max_s"].mean(),
                "n_tok_server_mean": part["n_tok_server"].mean(),
                "gpu_s_mean": part["gpu_s"].mean(),
                "quality_assumed_mean": part["quality_assumed"].mean(),
            }
        )
    return rows


def _table(context: Context, tasks: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame([row for rows in context.map("once", tasks) for row in rows])


def prompts(context: Context) -> pd.DataFrame:
    """Return TTFT and displayed gaps against prompt length, per phone, on a cloud that is hardly busy."""
    tasks = [
        {
            "keys": {"phone": phone, "prompt_tok": prompt_tok},
            "policies": [SERVER, DEVICE, PD, BARE],
            "seed": seed,
            "overrides": [
                f"devices[0].profile={profile}",
                f"workload.lengths.prompt_tok={prompt_tok}",
                "reader.pacer=false",
            ],
        }
        for phone, profile in PHONES.items()
        for prompt_tok in (1000, 2000, 4000, 8000)
        for seed in range(SEEDS[context.profile])
    ]
    return _table(context, tasks)


def refinement(context: Context) -> pd.DataFrame:
    """Return tokens from the cloud and assumed quality against the kept share of an 8,000-token prompt."""
    plans = {"whole prompt, at once": PD} | {
        f"refined, {share:g}": (
            f"{{kind: pd_device, name: 'refined, {share:g}', device_start: refined, kept_share: {share:g}}}"
        )
        for share in (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2)
    }
    tasks = [
        {
            "keys": {"phone": phone},
            "policies": list(plans.values()),
            "seed": seed,
            "overrides": [
                f"devices[0].profile={PHONES[phone]}",
                "workload.lengths.prompt_tok=8000",
                "workload.lengths.output_tok=600",
                "workload.n_requests=40",
            ],
        }
        for phone in ("8B, 8 Elite", "1B, 8 Elite")
        for seed in range(SEEDS[context.profile])
    ]
    return _table(context, tasks)


def gains(context: Context) -> pd.DataFrame:
    """Return the closed-form gain over cloud-only in three senses, per workload; `policy` is the sense.

    Source: our derivation. K is the smallest without a gap for an 8B model on a Snapdragon 8 Elite at the phone's own
    pace; OPT-13B's fitted times at the batch named.
    """
    return pd.DataFrame(
        [
            row
            for rows in context.map(
                "gain",
                [{"workload": name, "seed": seed} for name in WORKLOADS for seed in range(SEEDS[context.profile])],
            )
            for row in rows
        ]
    )


def gain(task: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the gains of one sample of 5,000 requests."""
    changes = [f"workload.{change}" for change in WORKLOADS[task["workload"]]]
    scenario = load_scenario(
        HERE / "base.yaml",
        overrides=[
            *changes,
            "workload.n_requests=5000",
            f"workload.max_prompt_tok={LONGEST_TOK}",
            f"seed={task['seed'] + 1}",
        ],
    )
    blueprint = build(scenario)
    requests, phone = blueprint.requests(0), blueprint.model.fleet[0][0]
    kept = ~requests.rejected
    prompt, answer = requests.prompt_tok[kept].astype(float), requests.output_tok[kept].astype(float)
    prefill_s = (18.10 + 0.10191 * prompt + 7.12e-6 * prompt**2) / 1e3
    pace_s = max(0.05, 1.0 / phone.decode_tok_per_s)
    gap_s = {
        batch: (19.93 + 6.27e-4 * batch * (prompt.mean() + answer.mean() / 2) + 0.0385 * batch) / 1e3
        for batch in (8, 32)
    }
    k = np.array(
        [smallest_k(phone, p, 0.06 + s, pace_s) + 1 for p, s in zip(prompt.tolist(), prefill_s.tolist(), strict=True)]
    )
    cloud = np.minimum(k, answer)
    held = {
        name: np.mean([occupied_s(s, n, gap_s[32]) for s, n in zip(prefill_s, tok, strict=True)])
        for name, tok in (("all", answer), ("some", cloud))
    }
    found = {"slots": held["all"] / held["some"], "decode pool": answer.mean() / cloud.mean()}
    for batch, one_s in gap_s.items():
        found[f"GPU time, batch {batch}"] = (prefill_s + answer * one_s / batch).mean() / (
            prefill_s + cloud * one_s / batch
        ).mean()
    return [
        {"workload": task["workload"], "policy": sense, "seed": task["seed"], "gain": float(value)}
        for sense, value in found.items()
    ]


def measured(context: Context) -> pd.DataFrame:
    """Return the highest request rate at which nine in ten first tokens come within two seconds, by workload."""
    tasks = [
        {"workload": workload, "policy": policy, "seed": seed, "n": {"quick": 400, "paper": 4000}[context.profile]}
        for workload in ("Azure conversation", "Azure code")
        for policy in ("server_only", "PD")
        for seed in range(SEEDS[context.profile])
    ]
    return pd.DataFrame(context.map("highest_rate", tasks))


def highest_rate(task: dict[str, Any]) -> dict[str, Any]:
    """Raise the load on the engine until the TTFT limit breaks; phones are never busy, each request has its own."""
    changes = [f"workload.{change}" for change in WORKLOADS[task["workload"]]]
    plan = SERVER if task["policy"] == "server_only" else PD

    def attained(rate: float) -> float:
        sized = [
            f"workload.n_requests={task['n']}",
            f"workload.n_users={task['n']}",
            f"workload.max_prompt_tok={LONGEST_TOK}",
        ]
        overrides = [
            f"policies=[{plan}]",
            *changes,
            *sized,
            f"seed={task['seed'] + 1}",
            f"workload.arrivals.rate_per_s={rate}",
        ]
        done = simulate(load_scenario(HERE / "base.yaml", overrides=overrides)).requests
        served = done[done["status"] != "rejected"]
        return float((served["ttft_s"] <= TTFT_LIMIT_S).mean())

    found = capacity(attained, SHARE, 0.25, 16.0, tolerance=0.25)
    return {"workload": task["workload"], "policy": task["policy"], "seed": task["seed"], "capacity_rps": found}
