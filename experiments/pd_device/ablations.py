"""P/D-Device's ablations: controllers, K and estimation error, kept share and prompt length."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from discosim import load_scenario, simulate
from discosim.runs.build import build

from .runs import HERE, PHONES, SEEDS, named, table

if TYPE_CHECKING:
    from discosim.reproduce.tables import Context

PROMPT = "workload.lengths.prompt_tok=4000"
ON_ARRIVAL = "reader.pacer=false"
CONDITIONS = {
    "steady": [],
    "5G, driving": ["link={kind: digest, digest: 5g-driving}"],
    "hot phone": ["devices[0].throttle={onset_s: 2.0, sustained: 0.7}"],
}
SLOWER = (1.0, 1.25, 1.5, 2.0)
MAP_SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
MAP_PROMPTS = (500, 1000, 2000, 3000, 4000, 6000, 8000)


def controllers(context: Context) -> pd.DataFrame:
    """Return the longest displayed gap under each law, where the link wanders and where the phone throttles.

    The display limit is 100 ms, longer than the phone's own 77 ms: at the phone's pace all laws are the same.
    """
    laws = [named(law, pacer=law, tpot_limit_s=0.1) for law in ("constant", "continuity", "feedback")]
    bare = named("no controller", pacer="none", tpot_limit_s=0.1)
    tasks = [
        {"keys": {"condition": name}, "policies": [*laws, bare], "seed": seed, "overrides": [PROMPT, ON_ARRIVAL, *more]}
        for name, more in CONDITIONS.items()
        for seed in range(SEEDS[context.profile])
    ]
    return table(context, tasks)


def estimates(context: Context) -> pd.DataFrame:
    """Return gaps and cloud tokens where the phone is slower than its published figures, which K relies on."""
    plans = [
        named("K up front"),
        named("K up front, 1.5 x cautious", slowdown=1.5),
        named("STOP on catch-up", settings="closed_loop"),
    ]
    tasks = [
        {
            "keys": {"slower": slower},
            "policies": plans,
            "seed": seed,
            "overrides": [
                PROMPT,
                ON_ARRIVAL,
                "workload.lengths.output_tok=400",
                f"devices[0].throttle={{onset_s: 0.0, sustained: {1.0 / slower:.6g}}}",
            ],
        }
        for slower in SLOWER
        for seed in range(SEEDS[context.profile])
    ]
    return table(context, tasks)


def catch_up(context: Context) -> pd.DataFrame:
    """Return how long after the first token the device takes over, by kept share and prompt length; one run a cell."""
    tasks = [
        {"phone": phone, "prompt_tok": prompt_tok}
        for phone in ("8B, 8 Elite", "1B, 8 Elite")
        for prompt_tok in MAP_PROMPTS
    ]
    return pd.DataFrame([row for rows in context.map("caught_up", tasks, module="ablations") for row in rows])


def caught_up(task: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the row of one prompt length; a share of 1 starts at once, all others when they have arrived."""
    plans = ", ".join(named(f"{share:g}", kept_share=share, pacer="none") for share in MAP_SHARES)
    scenario = load_scenario(
        HERE / "base.yaml",
        overrides=[
            f"policies=[{plans}]",
            f"devices[0].profile={PHONES[task['phone']]}",
            f"workload.lengths.prompt_tok={task['prompt_tok']}",
            "workload.lengths.output_tok=600",
            "workload.n_requests=1",
            "workload.n_users=1",
            "server.pilot_requests=20",
        ],
    )
    done = simulate(scenario).requests
    device_gap_s = 1.0 / build(scenario).model.fleet[0][0].decode_tok_per_s
    return [
        {
            **task,
            "policy": "PD",
            "seed": 0,
            "kept_share": float(row.policy),
            "cloud_tok": int(row.n_tok_server),
            "catch_up_s": float(row.e2e_s - row.ttft_s - (row.n_tok_device - 1) * device_gap_s),
        }
        for row in done.itertuples()
        if row.n_tok_device
    ]
