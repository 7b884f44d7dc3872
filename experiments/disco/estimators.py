"""Statistics of claims that are no plain comparison of two policies. Source of all: our choice, stated with each."""

from __future__ import annotations

import pandas as pd

from discosim.metrics.stats import change_of_means, t_interval
from discosim.reproduce.estimates import Cell


def _cell(name: str, sample: object) -> Cell:
    found = t_interval(sample)
    return Cell(name, found.mean, found.mean - found.half_width, found.mean + found.half_width, found.n)


def values(rows: pd.DataFrame, column: str, name: str) -> list[Cell]:
    """Return exact values as they are."""
    return [Cell(str(row[name]), row[column], row[column], row[column], 1) for _, row in rows.iterrows()]


def budget_use(rows: pd.DataFrame, policy: str, side: str) -> list[Cell]:
    """Return prompt tokens used by the scarce endpoint over those allowed, for each budget, over all services."""
    own = rows[rows["policy"] == policy]
    share = own[f"budget_used_{side}"] / own["budget"]
    by_seed = own.assign(share=share).groupby(["budget", "seed"], sort=False)["share"].mean()
    return [_cell(f"budget={budget:g}", part.to_numpy()) for budget, part in by_seed.groupby(level=0, sort=False)]


def device_trend(rows: pd.DataFrame, policy: str, baseline: str) -> list[Cell]:
    """Return the reduction of p99 TTFT on the Xiaomi less that on the Pixel with B-1.1B, per service.

    Reductions are of means over budgets, seed by seed; their difference is the sample.
    """
    cells = []
    for service, group in rows.groupby("service", sort=False):
        reductions = {}
        for device in ("Pixel 7 Pro, B-1.1B", "Xiaomi 14, Q-0.5B"):
            part = group[group["device"] == device]
            table = part.pivot_table(index="seed", columns="policy", values="ttft_p99_s", aggfunc="mean")
            reductions[device] = 100.0 * (1.0 - table[policy] / table[baseline])
        pixel, xiaomi = reductions.values()
        cells.append(_cell(f"service={service}", (xiaomi - pixel).to_numpy()))
    return cells


def late_tokens(rows: pd.DataFrame) -> list[Cell]:
    """Return late tokens per migration, for DiSCo-S where the server is scarce and DiSCo-D where the device is."""
    cells = []
    for policy, usd_per_j in (("DiSCo-S-migrating", 5.5e-7), ("DiSCo-D-migrating", 5.5e-5)):
        own = rows[(rows["policy"] == policy) & (rows["usd_per_j"] == usd_per_j)]
        for (service, device), group in own.groupby(["service", "device"], sort=False):
            by_seed = group.groupby("seed")["n_tok_late_per_migration"].mean()
            if by_seed.notna().any():
                cells.append(_cell(f"{policy}, {service}, {device}", by_seed.to_numpy()))
    return cells


def least_time(rows: pd.DataFrame, n_samples: int) -> list[Cell]:
    """Return the least wall time of all trials: what else the machine does only adds to it."""
    own = rows[rows["n_samples"] == n_samples]
    found = own.groupby("policy", sort=False)["prepare_ms"].min()
    return [Cell(str(policy), ms, ms, ms, 1) for policy, ms in found.items()]


def reduction(rows: pd.DataFrame, metric: str, policy: str, baseline: str) -> tuple[float, float]:
    """Return the reduction of a mean over seeds in per cent, and its half-width."""
    table = rows.pivot_table(index="seed", columns="policy", values=metric, aggfunc="mean")
    found = change_of_means(table[policy], table[baseline])
    return -found.mean, found.half_width
