"""How much each request moves a number of a summary: the first order of the number, for all requests of a policy.

A number T of requests with weights is, for weights near 1, its value plus the mean of (weight - 1) times an influence.
So the variance that weights of any kind give a number follows from sums of influences, and needs no second run.

Source: the infinitesimal jackknife (Jaeckel 1972); for quantiles Woodruff 1952 (`discosim.metrics.input_uncertainty`).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from discosim.metrics.summary_definitions import PERCENTILES, percentile_name

Floats = NDArray[np.float64]
Columns = Mapping[str, NDArray[Any]]

DURATIONS = ("ttft", "tpot", "e2e", "queue")
MEANS_OF_FINISHED = {
    **{f"{stem}_mean_s": f"{stem}_s" for stem in DURATIONS},
    "tbt_request_p99_mean_s": "tbt_p99_s",
    "tbt_displayed_request_p99_mean_s": "tbt_displayed_p99_s",
    "stall_mean_s": "stall_s",
    "n_stalls_mean": "n_stalls",
    "n_tok_late_mean": "n_tok_late",
    "n_migrations_mean": "n_migrations",
    "ttft_visible_mean_s": "ttft_visible_s",
}
MEANS_OF_SERVED = {
    "qoe_andes_mean": "qoe_andes",
    "qoe_andes_code_mean": "qoe_andes_code",
    "quality_assumed_mean": "quality_assumed",
    "qoe_visible_mean": "qoe_visible",
    "server_cost_mean_usd": "server_cost_usd",
    "device_energy_mean_j": "device_energy_j",
    "unified_cost_mean_usd": "unified_cost_usd",
    "edge_cost_mean_usd": "edge_cost_usd",
    "edge_energy_mean_j": "edge_energy_j",
}
MEAN_OF_ANSWERS = {"accuracy": "is_right"}
"""As those of served requests, for what a run's own batches tell of luck."""
MEANS_OF_GIVEN = {"slo_attainment": "is_good"}
"""As those of served requests, of columns that somebody added to those of a run."""
QUANTILES = {percentile_name(stem, p): (f"{stem}_s", p / 100) for stem in DURATIONS for p in PERCENTILES}
"""Number -> column and level; over finished requests."""
BUDGETS = {"budget_used_device": "is_device_dispatched", "budget_used_server": "is_server_dispatched"}

NUMBERS: tuple[str, ...] = (*MEANS_OF_FINISHED, *MEANS_OF_SERVED, *MEANS_OF_GIVEN, *QUANTILES, *BUDGETS)
"""Numbers of a summary whose influences are known."""

LEVELS: dict[str, float] = {name: q for name, (_, q) in QUANTILES.items()} | {
    f"{stem}_pooled_p{p}_s": p / 100 for stem in ("tbt", "tbt_displayed") for p in (50, 99)
}
"""Number -> level of the quantile that it is, also where its influence is not known."""


_ALWAYS = (
    "replication", "status", "prompt_tok",
    "is_server_dispatched", "server_prompt_tok", "is_device_dispatched", "device_prefill_tok",
)  # fmt: skip
"""Columns that say whose rows a request met, too."""


def columns_of(names: Collection[str]) -> tuple[str, ...]:
    """Return the columns of requests that the influences on these numbers are made of."""
    whose = (
        {name: column for name, (column, _) in QUANTILES.items()}
        | MEANS_OF_FINISHED
        | MEANS_OF_SERVED
        | MEAN_OF_ANSWERS
        | BUDGETS
    )
    return tuple(dict.fromkeys((*_ALWAYS, *(whose[name] for name in names if name in whose))))


@dataclass(frozen=True)
class Influence:
    """The influence of every request on a number.

    Parameters
    ----------
    value : float
        The number over all requests together.
    each : array of float, shape (n,)
        Influences, mean 0; of a quantile those on the share of values up to it, with the other sign.
    level : float or None
        Level of the quantile; None for means and shares.
    sorted_values : array of float
        Of a quantile, the values in order.
    order : array of int
        Of a quantile, the requests that they are of.
    """

    value: float
    each: Floats
    level: float | None = None
    sorted_values: Floats | None = None
    order: NDArray[np.int64] | None = None


def influence(name: str, columns: Columns) -> Influence | None:
    """Return the influences on a number; None where it is undefined, or they are not known.

    Parameters
    ----------
    name : str
        Name of a number of the summary.
    columns : mapping of str to array, shape (n,)
        Columns of all requests of one policy, replications end to end.
    """
    status = columns["status"]
    if name in MEANS_OF_FINISHED:
        return _mean(columns[MEANS_OF_FINISHED[name]], status == "finished")
    if name in MEANS_OF_SERVED:
        return _mean(columns[MEANS_OF_SERVED[name]], status != "rejected")
    if (at_times := (MEAN_OF_ANSWERS | MEANS_OF_GIVEN).get(name)) in columns:
        return _mean(columns[str(at_times)], status != "rejected")
    if name in QUANTILES:
        column, q = QUANTILES[name]
        return _quantile(columns[column], status == "finished", q)
    if name in BUDGETS:
        served = status != "rejected"
        prompt = np.where(served, columns["prompt_tok"], 0).astype(float)
        return _ratio(prompt * columns[BUDGETS[name]], prompt)
    return None


def _mean(values: NDArray[Any], counted: NDArray[np.bool_]) -> Influence | None:
    known = counted & ~np.isnan(np.asarray(values, dtype=float))
    return _ratio(np.where(known, values, 0.0), known.astype(float))


def _ratio(part: Floats, whole: Floats) -> Influence | None:
    base = float(whole.mean()) if whole.size else 0.0
    if base == 0.0:
        return None
    value = float(part.mean()) / base
    return Influence(value, (part - value * whole) / base)


def _quantile(values: Floats, counted: NDArray[np.bool_], q: float) -> Influence | None:
    known = counted & ~np.isnan(values)
    n = int(known.sum())
    if n == 0:
        return None
    order = np.flatnonzero(known)
    order = order[np.argsort(values[order], kind="stable")]
    held = values[order]
    value = float(at_level(held, q))
    above = (values > value) & known
    share = float(above.sum()) / n
    return Influence(value, np.where(known, above - share, 0.0) * (known.size / n), q, held, order)


def at_level(sorted_values: Floats, levels: ArrayLike) -> Floats:
    """Return quantiles (method ``linear``) of values that lie in order already."""
    n = sorted_values.size
    found: Floats = np.interp(np.asarray(levels, dtype=float) * (n - 1), np.arange(n), sorted_values)
    return found


def worse_share(n: int, q: float) -> float:
    """Return how many of n rows lie beyond the quantile at level q, on the side where fewer do."""
    return n * min(q, 1.0 - q)


def is_beyond(n: int, name: str) -> bool:
    """Say whether a number is a quantile beyond what n rows hold: less than one of them is expected beyond it.

    Source: our choice; the p99 asks for 100 rows. An interval of 95 % that is bounded on both sides asks for
    ln(0.025) / ln(0.99) = 367.
    """
    q = LEVELS.get(name)
    # a whole number of rows, one part in 1e9 for what floats make of 0.01
    return q is not None and worse_share(n, q) < 1.0 - 1e-9 and not math.isnan(q)
