"""P/D-Device's experiments as tables: one row per setting, policy and replication (`seed`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from .ablations import catch_up, controllers, estimates
from .choices import choices, variants
from .closed_form import gains, gains_open
from .loads import measured
from .pricing import pricing
from .rivals import rivals
from .runs import BARE, DEVICE, PD, PHONES, SEEDS, SERVER, named, table

if TYPE_CHECKING:
    from discosim.reproduce.tables import Context

SHARES = (0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2)
__all__ = [
    "catch_up",
    "choices",
    "controllers",
    "estimates",
    "gains",
    "gains_open",
    "measured",
    "pricing",
    "prompts",
    "refinement",
    "rivals",
    "variants",
]


def prompts(context: Context) -> pd.DataFrame:
    """Return TTFT and displayed gaps against prompt length, per phone, on a cloud that is hardly busy."""
    tasks = [
        {
            "keys": {"phone": phone, "prompt_tok": prompt_tok},
            "policies": [SERVER, DEVICE, PD, BARE, named("half the prompt kept", kept_share=0.5)],
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
                "workload.n_requests=10",
            ],
        }
        for phone in ("8B, 8 Elite", "1B, 8 Elite")
        for extra in (0.0, 0.21)
        for seed in range(SEEDS[context.profile])
    ]
    return table(context, tasks)
