"""The ladder of loads with an engine behind it, as tables: policies at equal spend, and what the engine can take."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pandas as pd

from .engine import CAPS, CHOICES, PHONE, shares_within

if TYPE_CHECKING:
    from discosim.reproduce.tables import Context

MODULE = "engine"
LOADS = {"quick": (0.6, 0.9, 1.2), "paper": (0.4, 0.6, 0.8, 0.9, 1.0, 1.1, 1.2, 1.5)}
SEEDS = {"quick": 4, "paper": 20}
N_REQUESTS = {"quick": 400, "paper": 1000}
N_FLOODED = {"quick": 800, "paper": 4000}
QUESTIONS = {"p99 TTFT": ("ttft_p99_s", 1.0), "QoE": ("qoe_mean", -1.0)}
"""Question -> metric that it is judged by, and its sign: less is better, or more."""
SHOWN = ["share", "ttft_p99_s", "qoe_mean", "spend_mean_usd"]


def engine_loads(context: Context) -> pd.DataFrame:
    """Return every policy at equal spend on an engine, against its load; a row per purse, question and replication.

    How many requests a setting may serve, and which setting a policy takes, come from the other replications.
    """
    n_seeds = SEEDS[context.profile]
    tasks = [
        {"load": load, "seed": seed, "n_requests": N_REQUESTS[context.profile]}
        for load in LOADS[context.profile]
        for seed in range(n_seeds)
    ]
    whole = context.map("whole", tasks, MODULE)
    thinned = []
    for task in tasks:
        others = [
            {name: row["spend_mean_usd"] for name, row in found.items()}
            for other, found in zip(tasks, whole, strict=True)
            if other["load"] == task["load"] and other["seed"] != task["seed"]
        ]
        thinned += [{**task, "spend": spend, "shares": shares_within(others, cap)} for spend, cap in CAPS.items()]
    found = context.map("thinned", thinned, MODULE)
    rows = [
        {**{key: task[key] for key in ("load", "spend", "seed")}, "setting": name, "share": share}
        | (found[i][name] if name in found[i] else whole[i // len(CAPS)][name])
        for i, task in enumerate(thinned)
        for name, share in task["shares"].items()
    ]
    return pd.DataFrame(list(_chosen(pd.DataFrame(rows))))


def _chosen(runs: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield what each policy gives with the setting that was best in the other replications."""
    for (load, spend), here in runs.groupby(["load", "spend"], sort=False):
        for seed, rows in here.groupby("seed", sort=False):
            own = rows.set_index("setting")
            others = here[here["seed"] != seed].groupby("setting").mean(numeric_only=True)
            for question, (metric, sign) in QUESTIONS.items():
                for policy, settings in {**CHOICES, PHONE: (PHONE,)}.items():
                    setting = str((sign * others.loc[list(settings), metric]).idxmin())
                    yield {
                        "load": load,
                        "spend": spend,
                        "question": question,
                        "policy": policy,
                        "seed": seed,
                        "setting": setting,
                        **own.loc[setting, SHOWN].to_dict(),
                    }


def engine_saturation(context: Context) -> pd.DataFrame:
    """Return what the engine finishes a second when there is always work, over what the loads are shares of."""
    tasks = [{"seed": seed, "n_requests": N_FLOODED[context.profile]} for seed in range(3)]
    return pd.DataFrame(context.map("flooded", tasks, MODULE))
