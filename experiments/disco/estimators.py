"""Statistics of claims that are no plain comparison of two policies. Source of all: our choice, stated with each."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

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


def reductions(rows: pd.DataFrame, metric: str, policy: str, baseline: str, by: list[str]) -> list[Cell]:
    """Return by how many per cent a policy lowers a metric, per cell, with what its inputs leave open.

    Rows of one seed are averaged first. Seeds drew versions of a measured service: the truth lies from their mean as
    far as one version does, and as the mean errs (`widened`).
    """
    cells = []
    services = rows.groupby(by, sort=False)["service"].first()
    tables = _by_seed(rows[rows["policy"].isin([policy, baseline])], metric, by)
    for at, service in services.items():
        key = at if isinstance(at, tuple) else (at,)
        table = tables.get(key)
        if table is None or not {policy, baseline} <= set(table.columns):
            continue
        found = change_of_means(table[policy], table[baseline])
        name = ", ".join(f"{column}={value}" for column, value in zip(by, key, strict=True))
        is_idle = bool((table[policy] == table[baseline]).all())
        cell = _with_inputs(name, -found.mean, found.half_width, found.n, str(service))
        cells.append(replace(cell, ceiling=100.0, is_idle=is_idle))
    return cells


def _with_inputs(name: str, mean: float, luck: float, n: int, service: str) -> Cell:
    """Return a cell whose interval holds what the few rows of a measured service leave open."""
    half = widened(luck, n, service)
    if half == luck:
        return Cell(name, mean, mean - luck, mean + luck, n)
    few = "probes of the services, drawn anew by each seed"
    return Cell(name, mean, mean - half, mean + half, n, luck_low=mean - luck, luck_high=mean + luck, few_rows=few)


def widened(half_width: float, n: int, service: str) -> float:
    """Return the half-width with inputs of a mean over ``n`` seeds that drew versions of a measured service.

    The spread of versions is not divided by their number, as more of them do not make a service better known. Luck
    inside a replication is in that spread too and is not taken out, so the interval is wider than it must be, never
    narrower. A shaped service is an assumption, of which nothing was measured: its interval is by luck.

    Source: `discosim.metrics.input_uncertainty.versions_half_widths` where luck is not known.

    Examples
    --------
    >>> widened(1.0, 8, "gpt-5.4"), widened(1.0, 8, "shaped, median 0.3 s")
    (3.0, 1.0)
    """
    return half_width if service.startswith("shaped") else half_width * math.sqrt(n + 1)


def _by_seed(rows: pd.DataFrame, metric: str, by: list[str]) -> dict[tuple[Any, ...], pd.DataFrame]:
    """Return means of a metric for each key of ``by``: a row per seed, a column per policy that has any.

    All keys at once: a pivot for each takes ten times as long.
    """
    means = rows.pivot_table(index=[*by, "seed"], columns="policy", values=metric, aggfunc="mean")
    return {key: table.droplevel(by).dropna(axis=1, how="all") for key, table in means.groupby(level=by)}


def device_trend(rows: pd.DataFrame, metric: str, policy: str, baseline: str) -> list[Cell]:
    """Return the reduction of a metric on the Xiaomi less that on the Pixel with B-1.1B, per service.

    Reductions are of means over budgets, seed by seed; their difference is the sample.
    """
    cells = []
    tables = _by_seed(rows, metric, ["service", "device"])
    for service in rows["service"].unique():
        reduced = []
        for device in ("Pixel 7 Pro, B-1.1B", "Xiaomi 14, Q-0.5B"):
            table = tables[service, device]
            reduced.append(100.0 * (1.0 - table[policy] / table[baseline]))
        found = t_interval((reduced[1] - reduced[0]).to_numpy())
        cells.append(_with_inputs(f"service={service}", found.mean, found.half_width, found.n, str(service)))
    return cells


def saving_by_speed(rows: pd.DataFrame, policy: str, baseline: str) -> list[Cell]:
    """Return what migration saves, in per cent, at the shaped service of 0.3 s less at that of 0.6 s.

    One cell per phone and budget. The two services differ in nothing but when they begin to speak.
    """
    cells = []
    tables = _by_seed(rows, "unified_cost_mean_usd", ["device", "budget", "service"])
    for device, budget in rows.groupby(["device", "budget"], sort=False).size().index:
        saved = []
        for service in ("shaped, median 0.3 s", "shaped, median 0.6 s"):
            table = tables[device, budget, service]
            saved.append(100.0 * (1.0 - table[policy] / table[baseline]))
        cells.append(_cell(f"device={device}, budget={budget:g}", (saved[0] - saved[1]).to_numpy()))
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
