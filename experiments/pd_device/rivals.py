"""P/D-Device beside what it is compared with, all on the same requests, cloud and phones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from .runs import PHONES, SEEDS, busy_cloud, named, table

if TYPE_CHECKING:
    from discosim.reproduce.tables import Context

N_REQUESTS = {"quick": 150, "paper": 2000}
POOLS = ["server.prefill_pool={n_replicas: 1, kv_gbit_per_s: 400}"]
WITH_8B = [
    "{kind: server_only, name: 'cloud only, colocated'}",
    "{kind: device_only, name: 'device only'}",
    "{kind: race, name: 'race'}",
    "{kind: disco, name: 'DiSCo with migration', constraint: device, budget: 0.5}",
    "{kind: kv_shipping, name: 'KV shipping, 100 Mbit per s'}",
    "{kind: kv_shipping, name: 'KV shipping, 1 Gbit per s', downlink_mbit_per_s: 1000}",
    named("K = 1", settings="fixed", cloud_tok=1),
    named("PD-Device"),
    named("PD-Device, STOP", settings="closed_loop"),
    named("PD-Device, no controller", pacer="none"),
    "{kind: speculative, name: 'speculation, 8B drafts'}",
]
IN_POOLS = ["{kind: server_only, name: 'cloud only, pools'}", named("PD-Device, pools")]
WITH_1B = ["{kind: speculative, name: 'speculation, 1B drafts'}"]
"""A phone that drafts with the model it answers with otherwise is slow; a drafter of 1B is what the papers have."""


def rivals(context: Context) -> pd.DataFrame:
    """Return P/D-Device beside what it is compared with: Azure's conversations, a cloud at about half its load."""
    worlds: list[tuple[str, str, list[str], list[str]]] = [
        ("colocated", "8B, 8 Elite", WITH_8B, []),
        ("pools", "8B, 8 Elite", IN_POOLS, POOLS),
        ("colocated", "1B, 8 Elite", WITH_1B, []),
    ]
    tasks = [
        {
            "keys": {"cloud": cloud, "phone": phone},
            "policies": policies,
            "seed": seed,
            "overrides": [
                f"devices[0].profile={PHONES[phone]}",
                *busy_cloud(N_REQUESTS[context.profile]),
                *more,
            ],
        }
        for cloud, phone, policies, more in worlds
        for seed in range(SEEDS[context.profile])
    ]
    return table(context, tasks)
