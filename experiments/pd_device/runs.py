"""What P/D-Device's experiments share: phones, workloads, and one run of one setting."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from discosim import load_scenario, simulate

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


def named(name: str, **options: Any) -> str:
    """Return one pd_device of a scenario, as YAML."""
    given = "".join(f", {key}: {value}" for key, value in options.items())
    return f"{{kind: pd_device, name: '{name}'{given}}}"


def cloud_prefill_s(prompt_tok: Any) -> Any:
    """Return the cloud's prefill time: OPT-13B on an A100, DistServe's published fit."""
    return (18.10 + 0.10191 * prompt_tok + 7.12e-6 * prompt_tok**2) / 1e3


def cloud_gap_s(batch: int, prompt_tok: float, output_tok: float) -> float:
    """Return the time of a decoding iteration with that many requests of mean lengths: the same fit."""
    return (19.93 + 6.27e-4 * batch * (prompt_tok + output_tok / 2) + 0.0385 * batch) / 1e3


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
                "stall_mean_s": part["stall_s"].mean(),
                "n_tok_server_mean": part["n_tok_server"].mean(),
                "server_output_mean_tok": part["server_output_tok"].mean(),
                "gpu_s_mean": part["gpu_s"].mean(),
                "device_energy_mean_j": part["device_energy_j"].mean(),
                "server_cost_mean_usd": part["server_cost_usd"].mean(),
                "quality_assumed_mean": part["quality_assumed"].mean(),
            }
        )
    return rows


def table(context: Context, tasks: list[dict[str, Any]]) -> pd.DataFrame:
    """Run all tasks."""
    return pd.DataFrame([row for rows in context.map("once", tasks, module="runs") for row in rows])


def busy_cloud(n_requests: int) -> list[str]:
    """Return the overrides for Azure's conversations on a cloud at about half of its load; phones hardly ever busy."""
    return [
        "workload.lengths={kind: digest, digest: azure-conv}",
        "workload.arrivals.rate_per_s=1.0",
        f"workload.n_requests={n_requests}",
        f"workload.n_users={50 * n_requests}",
        f"workload.max_prompt_tok={LONGEST_TOK}",
        "reader.pacer=false",
    ]
