"""The gain in throughput over cloud-only in closed form, per workload and sense, and under other choices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from discosim import load_scenario
from discosim.policies.catch_up import occupied_s, smallest_k
from discosim.runs.build import build

from .runs import HERE, LONGEST_TOK, PHONES, SEEDS, WORKLOADS, cloud_gap_s, cloud_prefill_s

if TYPE_CHECKING:
    from discosim.reproduce.tables import Context

N_REQUESTS = {"quick": 2000, "paper": 5000}
BATCHES = (8, 32)


@dataclass(frozen=True)
class Setting:
    """What the closed form rests on; the defaults are those of the other figures."""

    phone: str = "8B, 8 Elite"
    tpot_limit_s: float = 0.05
    keep_device_pace: bool = True
    kept_share: float = 1.0
    attention_cost: float = 0.0
    is_refined: bool = False
    slack_tok: int = 1
    slowdown: float = 1.0
    rtt_s: float = 0.06


BASE = "as in the other figures"
OPEN = {
    BASE: Setting(),
    "display: 100 ms": Setting(tpot_limit_s=0.1),
    "display: 50 ms even if the phone is slower": Setting(keep_device_pace=False),
    "device starts with the first token": Setting(is_refined=True),
    "prompt: half kept": Setting(is_refined=True, kept_share=0.5, attention_cost=0.21),
    "K: no token of slack": Setting(slack_tok=0),
    "K: 1.5 x cautious": Setting(slowdown=1.5),
    "last hop: 200 ms": Setting(rtt_s=0.2),
    "phone: 3B model": Setting(phone="3B, 8 Elite"),
}


def gains(context: Context) -> pd.DataFrame:
    """Return the closed-form gain over cloud-only in three senses, per workload; `policy` is the sense.

    Source: our derivation. K is the smallest without a gap for an 8B model on a Snapdragon 8 Elite at the phone's own
    pace; OPT-13B's fitted times at the batch named.
    """
    every = gains_open(context)
    return every[every["variant"] == BASE].drop(columns="variant")


def gains_open(context: Context) -> pd.DataFrame:
    """Return the same under each open choice."""
    tasks = [
        {
            "workload": workload,
            "seed": seed,
            "n_requests": N_REQUESTS[context.profile],
        }
        for workload in WORKLOADS
        for seed in range(SEEDS[context.profile])
    ]
    return pd.DataFrame([row for rows in context.map("gain", tasks, module="closed_form") for row in rows])


def gain(task: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the gains of one sample of requests under each setting."""
    rows, made = [], {}
    for name, setting in OPEN.items():
        if setting.phone not in made:
            made[setting.phone] = _world(task, setting.phone)
        keys = {"variant": name, "workload": task["workload"], "seed": task["seed"]}
        found = _senses(made[setting.phone], setting)
        rows += [{**keys, "policy": sense, "gain": value} for sense, value in found.items()]
    return rows


def _world(task: dict[str, Any], phone: str) -> Any:
    return build(
        load_scenario(
            HERE / "base.yaml",
            overrides=[
                *(f"workload.{change}" for change in WORKLOADS[task["workload"]]),
                f"workload.n_requests={task['n_requests']}",
                f"workload.max_prompt_tok={LONGEST_TOK}",
                f"devices[0].profile={PHONES[phone]}",
                f"seed={task['seed'] + 1}",
            ],
        )
    )


def _senses(blueprint: Any, setting: Setting) -> dict[str, float]:
    requests, phone = blueprint.requests(0), blueprint.model.fleet[0][0]
    kept = ~requests.rejected
    prompt, answer = requests.prompt_tok[kept].astype(float), requests.output_tok[kept].astype(float)
    prefill_s = cloud_prefill_s(prompt)
    pace_s = max(setting.tpot_limit_s, 1.0 / phone.decode_tok_per_s if setting.keep_device_pace else 0.0)
    gap_s = {batch: cloud_gap_s(batch, prompt.mean(), answer.mean()) for batch in BATCHES}
    lead_s = np.zeros_like(prompt) if setting.is_refined else setting.rtt_s + prefill_s
    k = np.array(
        [
            smallest_k(phone, setting.kept_share * p, s, pace_s, setting.slowdown) + setting.slack_tok
            for p, s in zip(prompt.tolist(), lead_s.tolist(), strict=True)
        ]
    )
    cloud = np.minimum(k, answer)
    own_s = (1.0 + setting.attention_cost) * prefill_s
    held_s = [occupied_s(s, n, gap_s[32]) for s, n in zip(prefill_s, answer, strict=True)]
    held_pd_s = [occupied_s(s, n, gap_s[32]) for s, n in zip(own_s, cloud, strict=True)]
    found = {
        "slots": float(np.mean(held_s) / np.mean(held_pd_s)),
        "decode pool": float(answer.mean() / cloud.mean()),
    }
    for batch, one_s in gap_s.items():
        gpu_s, gpu_pd_s = prefill_s + answer * one_s / batch, own_s + cloud * one_s / batch
        found[f"GPU time, batch {batch}"] = float(gpu_s.mean() / gpu_pd_s.mean())
    return found
