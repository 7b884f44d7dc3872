"""Shipped scenarios as tables: one row per policy and replication (`seed`), by luck alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from discosim import load_scenario, simulate

if TYPE_CHECKING:
    from discosim.reproduce.tables import Context

METRICS = (
    "ttft_mean_s",
    "ttft_p50_s",
    "ttft_p99_s",
    "qoe_andes_mean",
    "unified_cost_mean_usd",
    "server_cost_mean_usd",
    "device_energy_mean_j",
    "budget_used_server",
    "budget_used_device",
)


def quickstart(context: Context) -> pd.DataFrame:
    """Return what `discosim run quickstart` compares."""
    return _table(context, "quickstart")


def bounds(context: Context) -> pd.DataFrame:
    """Return what `discosim run bounds` compares."""
    return _table(context, "bounds")


def _table(context: Context, scenario: str) -> pd.DataFrame:
    (rows,) = context.map("run", [{"scenario": scenario}])
    return pd.DataFrame(rows)


def run(task: dict[str, Any]) -> list[dict[str, Any]]:
    """Run one scenario as shipped, but for the ends of the range of energies, which no column here shows."""
    scenario = load_scenario(task["scenario"], overrides=["cost.energy_range=reprice"])
    table = simulate(scenario).by_replication.rename(columns={"replication": "seed"})
    rows: list[dict[str, Any]] = table[["policy", "seed", *METRICS]].to_dict("records")
    return rows
