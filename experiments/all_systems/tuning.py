"""Rivals at equal spend: every system sets its knob inside one purse, and is judged by another replication."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
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
MEANS = ["ttft_mean_s", "qoe_andes_mean", "server_usd_per_1000"]
SPENT = ["energy_mean_j", "server_usd_per_1000", "budget_used_server", "budget_used_device", "quality_assumed_mean"]


DISPATCHERS: dict[str, tuple[str, ...]] = {
    "hedge": ("server only", "hedge", "race"),
    "DiSCo-D": ("server only", "DiSCo-D", "race"),
}
"""Who decides only whether and when the phone starts -> its settings, from the server alone to the race."""
SPENDS_J = (25.0, 50.0, 80.0)
"""Joules a request at which they are compared; the race takes 90 and more."""


def equal_rows(runs: pd.DataFrame, world: Sequence[str]) -> pd.DataFrame:
    """Return a row for each world, spend, dispatcher and replication: what it gives for exactly so many joules.

    Between two settings that are neighbours in joules a client may choose by lot, request by request. Means are then
    taken to lie on the line between them, which is exact for a server that does not answer to load.
    """
    rows = []
    for key, own in runs.groupby([*world, "seed"], sort=False):
        for system, names in DISPATCHERS.items():
            held = own[own["system"].isin(names)].sort_values("energy_mean_j")
            spent_j = held["energy_mean_j"].to_numpy()
            for spend_j in SPENDS_J:
                if spend_j > spent_j[-1]:
                    continue
                found = {m: float(np.interp(spend_j, spent_j, held[m].to_numpy())) for m in MEANS}
                rows.append(
                    {**dict(zip([*world, "seed"], key, strict=True)), "spend_j": spend_j, "policy": system, **found}
                )
    return pd.DataFrame(rows)


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
