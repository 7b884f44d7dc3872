"""Statistics of PICE's claims that are no plain comparison of two policies. Source of all: our choice."""

from __future__ import annotations

from typing import Literal

import pandas as pd

from discosim.metrics.stats import Interval, change_of_means, paired_difference, t_interval
from discosim.reproduce.estimates import Cell

CLOUD, PICE, FIXED = "cloud only", "PICE", "rho = "
WHERE = ["edge_tok_per_s", "phi"]


def score_less_fixed(rows: pd.DataFrame, *, each_load: bool = False) -> list[Cell]:
    """Return PICE's score less that of every fixed sketch length: over all loads, or at each."""
    groups = rows.groupby("rate_per_s") if each_load else [(None, rows)]
    cells = []
    for rate, group in groups:
        by_seed = group.pivot_table(index="seed", columns="policy", values="score", aggfunc="mean")
        for policy in (name for name in by_seed.columns if name.startswith(FIXED)):
            name = policy if rate is None else f"{rate:g} requests/s, {policy}"
            cells.append(_cell(name, paired_difference(by_seed[PICE].to_numpy(), by_seed[policy].to_numpy())))
    return cells


def best_of_map(rows: pd.DataFrame, *, metric: str) -> list[Cell]:
    """Return, for each speed of the boxes, the best gain over cloud only that any phi and rho give.

    Of throughput the ratio, of all else the reduction in percent. The best of several noisy cells is a little too good.
    """
    cells = []
    for speed, group in rows.groupby("edge_tok_per_s"):
        found = []
        for phi, part in group.groupby("phi"):
            by_seed = part.pivot_table(index="seed", columns="policy", values=metric)
            for policy in (name for name in by_seed.columns if name.startswith(FIXED)):
                change = change_of_means(by_seed[policy].to_numpy(), by_seed[CLOUD].to_numpy())
                if metric == "throughput_rps":
                    gain = Interval(1.0 + change.mean / 100.0, change.half_width / 100.0, change.n, change.n_missing)
                else:
                    gain = Interval(-change.mean, change.half_width, change.n, change.n_missing)
                found.append(_cell(f"boxes of {speed:g} tok/s, phi = {phi:g}, {policy}", gain))
        cells.append(max(found, key=lambda cell: cell.mean))
    return cells


def share_of_bound(rows: pd.DataFrame, *, side: Literal["cloud", "edge"]) -> list[Cell]:
    """Return throughput over its bound, where that bound is the lower of the two.

    Bounds, derived: of the cloud, that of the server alone over the share of tokens it still decodes,
    1 - phi (1 - rho); of the edge, its token rate over the tokens that it writes per request. Shares are those drawn.
    """
    cells = []
    for (speed, phi), group in rows.groupby(WHERE):
        alone = group[group["policy"] == CLOUD].set_index("seed")["throughput_rps"]
        for policy, part in group[group["policy"].str.startswith(FIXED)].groupby("policy"):
            own = part.set_index("seed")
            cloud = alone / own["cloud_tok_share"]
            edge = own["edge_roof_tok_per_s"] / own["edge_tok_mean"]
            if (cloud.mean() < edge.mean()) == (side == "cloud"):
                ratio = own["throughput_rps"] / (cloud if side == "cloud" else edge)
                cells.append(_cell(f"boxes of {speed:g} tok/s, phi = {phi:g}, {policy}", t_interval(ratio)))
    return cells


def _cell(name: str, found: Interval) -> Cell:
    return Cell(name, found.mean, found.mean - found.half_width, found.mean + found.half_width, found.n)
