"""What the paper leaves open, one choice changed at a time: how far the headline figures move."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from .runs import DEVICE, PHONES, SEEDS, SERVER, busy_cloud, named, table

if TYPE_CHECKING:
    from discosim.reproduce.tables import Context

N_REQUESTS = {"quick": 100, "paper": 2000}
BASE = "as in the other figures"
OPTIONS: dict[str, dict[str, object]] = {
    BASE: {},
    "controller: pace of the device": {"pacer": "continuity"},
    "controller: buffer feedback": {"pacer": "feedback"},
    "controller: none": {"pacer": "none"},
    "K: until the device says STOP": {"settings": "closed_loop"},
    "K: always 32": {"settings": "fixed"},
    "K: 1.5 x cautious": {"slowdown": 1.5},
    "K: no token of slack": {"slack_tok": 0},
    "display: 100 ms": {"tpot_limit_s": 0.1},
    "display: 50 ms even if the phone is slower": {"keep_device_pace": "false"},
    "device starts with the first token": {"device_start": "refined"},
    "prompt: three quarters kept": {"kept_share": 0.75},
    "prompt: half kept": {"kept_share": 0.5},
    "prompt: half kept, attention free": {"kept_share": 0.5, "attention_cost": 0.0},
}
"""Open points of the system: options of the policy."""

WORLDS: dict[str, list[str]] = {
    "cloud: OPT-66B on four A100": ["server.iterations={kind: digest, digest: opt-66b-a100-tp4}"],
    "cloud: pools": ["server.prefill_pool={n_replicas: 1, kv_gbit_per_s: 400}"],
    "last hop: 200 ms": ["link.rtt_s=0.2"],
    "last hop: 5G, driving": ["link={kind: digest, digest: 5g-driving}"],
    "phone: 3B model": [f"devices[0].profile={PHONES['3B, 8 Elite']}"],
    "phone: runs hot": ["devices[0].throttle={onset_s: 2.0, sustained: 0.7}"],
}
"""Open points of the experiment: who else takes part."""


def choices(context: Context) -> pd.DataFrame:
    """Return TTFT, gaps and cloud tokens under each choice; `policy` is PD or what it is compared with."""
    return _under(context, [({}, busy_cloud(N_REQUESTS[context.profile]))])


def variants(context: Context) -> pd.DataFrame:
    """Return the cells of the claims on TTFT and gaps under each choice: idle cloud, constant lengths."""
    cells: list[tuple[dict[str, object], list[str]]] = [
        (
            {"phone": phone, "prompt_tok": prompt_tok},
            [
                f"devices[0].profile={PHONES[phone]}",
                f"workload.lengths.prompt_tok={prompt_tok}",
                "workload.n_requests=10",
                "workload.n_users=10",
                "reader.pacer=false",
            ],
        )
        for phone, prompt_tok in (("8B, 8 Elite", 1000), ("8B, 8 Elite", 8000), ("3B, 8 Elite", 8000))
    ]
    return _under(context, cells)


def _under(context: Context, cells: list[tuple[dict[str, object], list[str]]]) -> pd.DataFrame:
    """Run each cell in its own world under every option of the policy, and in every other world as it is."""
    same = [SERVER, DEVICE, *(named(name, **options) for name, options in OPTIONS.items())]
    other = [SERVER, DEVICE, named(BASE)]
    worlds = [("", same, []), *((name, other, more) for name, more in WORLDS.items())]
    tasks = [
        {"keys": {"world": world, **keys}, "policies": policies, "seed": seed, "overrides": [*overrides, *more]}
        for keys, overrides in cells
        for world, policies, more in worlds
        if not (world.startswith("phone: 3B") and keys)
        for seed in range(SEEDS[context.profile])
    ]
    return _by_variant(table(context, tasks))


def _by_variant(rows: pd.DataFrame) -> pd.DataFrame:
    """Give each variant its own rows of cloud-only and device-only, so that it reads like a table of its own."""
    made = []
    for variant in (*OPTIONS, *WORLDS):
        part = rows[rows["world"] == ("" if variant in OPTIONS else variant)]
        own = part[part["policy"] == (variant if variant in OPTIONS else BASE)].assign(policy="PD")
        alone = part[part["policy"].isin(["server_only", "device_only"])]
        made.append(pd.concat([alone, own]).assign(variant=variant).drop(columns="world"))
    return pd.concat(made, ignore_index=True)
