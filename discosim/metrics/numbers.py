"""The numbers that sum up a replication, each computed in one place: its definition names the function.

Every function takes the columns of all requests (``columns``), or of the finished ones (``done``), and returns numbers
by the names of their definitions; NaN where a number is undefined.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discosim.metrics.cost import budget_used
from discosim.metrics.histogram import PooledGaps
from discosim.metrics.long_run import MIN_BATCHES, MSER_BATCH, mser5
from discosim.metrics.summary_definitions import PERCENTILES, RARE_FROM_N, percentile_name

Columns = Mapping[str, NDArray[Any]]
GENERATED = ("server_output_tok", "device_decode_tok", "edge_decode_tok")
SHOWN = ("n_tok_device", "n_tok_server", "n_tok_edge")


def request_counts(status: NDArray[np.object_]) -> dict[str, int]:
    """Return how many requests arrived, and how they ended."""
    n_rejected = int((status == "rejected").sum())
    return {
        "n_requests": status.size,
        "n_finished": int((status == "finished").sum()),
        "n_failed": int((status == "failed").sum()),
        "n_rejected": n_rejected,
    }


def pooled_numbers(done: Columns, gaps: PooledGaps) -> dict[str, float]:
    """Return the gaps of all requests together, and the mean of each request's own tail."""
    numbers: dict[str, float] = {}
    for stem, pool in (("tbt", gaps.delivered), ("tbt_displayed", gaps.displayed)):
        numbers |= {percentile_name(f"{stem}_pooled", p): pool.percentile(p) for p in (50, 99)}
        numbers[f"{stem}_request_p99_mean_s"] = _mean(done[f"{stem}_p99_s"])
    return numbers


def warmup_numbers(done: Columns, n_finished: int) -> dict[str, float]:
    """Return how much of the run a rule would leave out as its warm-up."""
    is_long = n_finished >= MSER_BATCH * MIN_BATCHES
    if not is_long:
        return {"warmup_mser5_share": math.nan}
    by_time = np.argsort(done["arrival_s"], kind="stable")  # in a closed loop requests are not numbered by arrival
    return {"warmup_mser5_share": mser5(done["ttft_s"][by_time]).share}


def distribution(stem: str, values: NDArray[np.float64]) -> dict[str, float]:
    """Return mean and percentiles over the defined values."""
    known = values[~np.isnan(values)]
    names = [percentile_name(stem, p) for p in PERCENTILES]
    if known.size == 0:
        return dict.fromkeys([f"{stem}_mean_s", *names], math.nan)
    numbers = dict(zip(names, np.percentile(known, PERCENTILES).tolist(), strict=True))
    if known.size < RARE_FROM_N:
        numbers |= {percentile_name(stem, p): math.nan for p in PERCENTILES if p > 99}
    return {f"{stem}_mean_s": _mean(known), **numbers}


def reading_numbers(done: Columns, n_finished: int) -> dict[str, float]:
    """Return what the readers of the finished requests had to wait for."""
    stall = float(done["stall_s"].sum())
    reading = float(((done["output_tok"] - 1) / done["reader_tok_per_s"]).sum())
    migrated = done["n_migrations"] > 0
    return {
        "stall_mean_s": _ratio(stall, n_finished),
        "stall_request_share": _ratio(int((done["n_stalls"] > 0).sum()), n_finished),
        "stall_time_share": _ratio(stall, stall + reading),
        "n_stalls_mean": _ratio(int(done["n_stalls"].sum()), n_finished),
        "n_tok_late_total": int(done["n_tok_late"].sum()),
        "n_tok_late_mean": _ratio(int(done["n_tok_late"].sum()), n_finished),
        "n_tok_late_per_migration": _ratio(int(done["n_tok_late"][migrated].sum()), int(done["n_migrations"].sum())),
    }


def quality_numbers(columns: Columns, n_served: int) -> dict[str, float]:
    """Return quality over the served requests; a failed one has QoE 0, a rejected one NaN."""
    return {
        "qoe_andes_mean": _mean(columns["qoe_andes"]),
        "qoe_andes_code_mean": _mean(columns["qoe_andes_code"]),
        "qoe_andes_ge_0_95_share": _ratio(int((columns["qoe_andes"] >= 0.95).sum()), n_served),
        "qoe_andes_ge_0_99_share": _ratio(int((columns["qoe_andes"] >= 0.99).sum()), n_served),
        "ttft_target_attainment": _ratio(int((columns["ttft_s"] <= columns["ttft_target_s"]).sum()), n_served),
    }


def endpoint_numbers(columns: Columns, done: Columns, n_finished: int, n_served: int) -> dict[str, float]:
    """Return who worked, what it cost, and what was for nothing; work for failed requests is paid too."""
    numbers: dict[str, float] = {}
    for stem, unit in (("server_cost", "usd"), ("device_energy", "j"), ("unified_cost", "usd")):
        total = float(columns[f"{stem}_{unit}"].sum())
        numbers[f"{stem}_total_{unit}"] = total
        numbers[f"{stem}_mean_{unit}"] = _ratio(total, n_served)
    on_device = int(done["n_tok_device"].sum())
    elsewhere = int(done["n_tok_server"].sum()) + int(done["n_tok_edge"].sum())
    wasted, n_migrations = int(columns["n_tok_wasted"].sum()), int(done["n_migrations"].sum())
    generated = sum(int(columns[name].sum()) for name in GENERATED)
    return numbers | {
        "n_preemptions_mean": _ratio(int(columns["n_preemptions"].sum()), n_served),
        "device_first_share": _ratio(int((done["first_endpoint"] == "device").sum()), n_finished),
        "n_tok_device_share": _ratio(on_device, on_device + elsewhere),
        "n_tok_wasted_total": wasted,
        "n_tok_wasted_share": _ratio(wasted, generated),
        "n_migrations_total": n_migrations,
        "n_migrations_mean": _ratio(n_migrations, n_finished),
        "budget_used_device": budget_used(columns, "device"),
        "budget_used_server": budget_used(columns, "server"),
    }


def sketch_numbers(columns: Columns, done: Columns, n_finished: int, n_served: int) -> dict[str, float]:
    """Return what sketches and the edge tier did, and the assumed quality."""
    sketched = (done["sketch_tok"] > 0) & (done["n_parts"] > 0)
    return {
        "quality_assumed_mean": _mean(columns["quality_assumed"]),
        "ttft_visible_mean_s": _mean(done["ttft_visible_s"]),
        "qoe_visible_mean": _mean(columns["qoe_visible"]),
        "sketched_share": _ratio(int(sketched.sum()), n_finished),
        "sketch_ratio_mean": _mean(done["sketch_tok"][sketched] / done["output_tok"][sketched]),
        "n_tok_edge_share": _ratio(int(done["n_tok_edge"].sum()), int(done["output_tok"].sum())),
        "edge_cost_mean_usd": _ratio(float(columns["edge_cost_usd"].sum()), n_served),
        "edge_energy_mean_j": _ratio(float(columns["edge_energy_j"].sum()), n_served),
    }


def throughput_numbers(columns: Columns, done: Columns, n_finished: int) -> dict[str, float]:
    """Return the length of the run and its rates."""
    span = math.nan
    if n_finished:
        span = float((done["arrival_s"] + done["e2e_s"]).max() - columns["arrival_s"].min())
    shown = sum(int(done[name].sum()) for name in SHOWN)
    return {
        "span_s": span,
        "throughput_rps": _ratio(n_finished, span),
        "throughput_tok_per_s": _ratio(shown, span),
    }


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def _mean(values: NDArray[np.float64]) -> float:
    """Return the mean of the defined values, NaN where there is none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else math.nan
