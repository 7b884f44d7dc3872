"""Rivals at equal spend: every system sets its knob inside one purse, and is judged by another replication."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from .systems import FAMILIES

PURSES: dict[str, tuple[str, float]] = {
    "phone 100 J": ("energy_mean_j", 100.0),
    "server 0.6 USD": ("server_usd_per_1000", 0.6),
    "any": ("energy_mean_j", float("inf")),
}
"""Purse -> what it limits, per request or per 1,000. A phone that answers all takes 610 J, a server 1.85 USD."""
OBJECTIVES = {"ttft_mean_s": 1, "ttft_p99_s": 1, "qoe_andes_mean": -1}
"""What is tuned for, and its sign: less is better, or more."""
SPENT = ["energy_mean_j", "server_usd_per_1000", "budget_used_server", "budget_used_device", "quality_assumed_mean"]


def tuned_rows(runs: pd.DataFrame, world: Sequence[str]) -> pd.DataFrame:
    """Return a row for each world, purse, objective, system and replication.

    Of its settings whose mean spend in the other replications is within the purse a system takes the one with the best
    mean there, and is judged by its own replication; so nobody is tuned on the luck that judges him. A system without
    such a setting has no row.
    """
    rows = []
    for key, own in runs.groupby(list(world), sort=False):
        for system, names in FAMILIES.items():
            held = own[own["system"].isin(names)]
            for seed in sorted(held["seed"].unique()):
                others = held[held["seed"] != seed].groupby("policy", sort=False).mean(numeric_only=True)
                here = held[held["seed"] == seed].set_index("policy")
                for purse, (spend, limit) in PURSES.items():
                    within = others[others[spend] <= limit]
                    for objective, sign in OBJECTIVES.items():
                        if within.empty:
                            continue
                        setting = (sign * within[objective]).idxmin()
                        found = here.loc[setting]
                        rows.append(
                            {
                                **dict(zip(world, key, strict=True)),
                                "purse": purse,
                                "objective": objective,
                                "policy": system,
                                "setting": setting,
                                "seed": seed,
                                **{metric: found[metric] for metric in [*OBJECTIVES, *SPENT]},
                            }
                        )
    return pd.DataFrame(rows)
