"""P/D-Device's experiments as tables: one row per setting, policy and replication (`seed`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from discosim import load_scenario
from discosim.policies.catch_up import occupied_s, smallest_k
from discosim.runs.build import build

from .ablations import catch_up, controllers, estimates, rivals
from .loads import measured
from .runs import BARE, DEVICE, HERE, LONGEST_TOK, PD, PHONES, SEEDS, SERVER, WORKLOADS, cloud_gap_s, cloud_prefill_s, named, table

if TYPE_CHECKING:
    from discosim.reproduce.tables import Context

SHARES = (0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2)
__all__ = ["catch_up", "controllers", "estimates", "gain", "gains", "measured", "prompts", "refinement", "rivals"]


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
    return table(context, tasks)


def refinement(context: Context) -> pd.DataFrame:
    """Return tokens from the cloud and assumed quality against the kept share of an 8,000-token prompt.

    `extra` is what exposing attention adds to the cloud's prefill.
    """
    tasks = [
        {
            "keys": {"phone": phone, "extra": extra},
            "policies": [
                PD,
                *(named(f"refined, {share:g}", kept_share=share, attention_cost=extra) for share in SHARES),
            ],
            "seed": seed,
            "overrides": [
                f"devices[0].profile={PHONES[phone]}",
                "workload.lengths.prompt_tok=8000",
                "workload.lengths.output_tok=600",
                "workload.n_requests=20",
            ],
        }
        for phone in ("8B, 8 Elite", "1B, 8 Elite")
        for extra in (0.0, 0.21)
        for seed in range(SEEDS[context.profile])
    ]
    return table(context, tasks)


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
    prefill_s = cloud_prefill_s(prompt)
    pace_s = max(0.05, 1.0 / phone.decode_tok_per_s)
    gap_s = {batch: cloud_gap_s(batch, prompt.mean(), answer.mean()) for batch in (8, 32)}
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
