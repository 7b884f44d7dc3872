"""Summaries of one policy in one replication, and the neutral table that reports print."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discosim.core.errors import UserError, close_match
from discosim.metrics.cost import budget_used
from discosim.metrics.definitions import definition
from discosim.metrics.edge_definitions import NO_EDGE
from discosim.metrics.engine_definitions import NO_ENGINE
from discosim.metrics.histogram import PooledGaps
from discosim.metrics.long_run import MIN_BATCHES, MSER_BATCH, mser5
from discosim.metrics.stats import LEVEL, Comparison, Interval, Summaries, compare
from discosim.metrics.summary_definitions import PERCENTILES, RARE_FROM_N, SUMMARY_METRICS, percentile_name

HEADLINE: tuple[str, ...] = (
    "ttft_mean_s",
    "ttft_p50_s",
    "ttft_p99_s",
    "tbt_pooled_p99_s",
    "tbt_displayed_pooled_p99_s",
    "qoe_andes_mean",
    "n_tok_late_mean",
    "server_cost_mean_usd",
    "device_energy_mean_j",
    "unified_cost_mean_usd",
    "budget_used_device",
    "budget_used_server",
)
"""What the printed table shows; everything else stands in summary.json."""

Columns = Mapping[str, NDArray[Any]]
GENERATED = ("server_output_tok", "device_decode_tok", "edge_decode_tok")
SHOWN = ("n_tok_device", "n_tok_server", "n_tok_edge")


def summarise(
    columns: Columns,
    gaps: PooledGaps,
    engine: Mapping[str, float] | None = None,
    edge: Mapping[str, float] | None = None,
) -> dict[str, float]:
    """Compute every number of ``SUMMARY_METRICS`` for one policy in one replication.

    Parameters
    ----------
    columns : mapping of str to array, shape (n,)
        Columns as ``request_columns`` returns them, for all requests of the replication.
    gaps : PooledGaps
        The pooled gaps of the same requests.
    engine : mapping of str to float, optional
        What a white-box server tells of its inside, by the names of the definitions.
    edge : mapping of str to float, optional
        What the edge tier did as a whole, likewise.

    Returns
    -------
    dict of str to float
        Every summary metric in the order of the definitions; NaN where undefined. Each definition states
        the requests it covers; O(n log n).
    """
    status = columns["status"]
    finished = status == "finished"
    done = {name: values[finished] for name, values in columns.items()}
    n_finished = int(finished.sum())
    n_served = int((status != "rejected").sum())
    numbers: dict[str, float] = {
        "n_requests": status.size,
        "n_finished": n_finished,
        "n_failed": int((status == "failed").sum()),
        "n_rejected": status.size - n_served,
    }
    for stem in ("ttft", "tpot", "e2e"):
        numbers |= _distribution(stem, done[f"{stem}_s"])
    for stem, pool in (("tbt", gaps.delivered), ("tbt_displayed", gaps.displayed)):
        numbers |= {percentile_name(f"{stem}_pooled", p): pool.percentile(p) for p in (50, 99)}
        numbers[f"{stem}_request_p99_mean_s"] = _mean(done[f"{stem}_p99_s"])
    numbers |= _reading(done, n_finished)
    numbers |= _quality(columns, n_served)
    numbers |= _endpoints(columns, done, n_finished, n_served)
    numbers |= _throughput(columns, done, n_finished)
    numbers["n_preemptions_mean"] = _ratio(int(columns["n_preemptions"].sum()), n_served)
    numbers |= NO_ENGINE if engine is None else engine
    numbers |= NO_EDGE if edge is None else edge
    numbers |= _edge(columns, done, n_finished, n_served)
    is_long = n_finished >= MSER_BATCH * MIN_BATCHES
    numbers["warmup_mser5_share"] = mser5(done["ttft_s"]).share if is_long else math.nan
    return {metric.name: float(numbers[metric.name]) for metric in SUMMARY_METRICS}


def _distribution(stem: str, values: NDArray[np.float64]) -> dict[str, float]:
    """Return mean and percentiles over the defined values."""
    known = values[~np.isnan(values)]
    names = [percentile_name(stem, p) for p in PERCENTILES]
    if known.size == 0:
        return dict.fromkeys([f"{stem}_mean_s", *names], math.nan)
    numbers = dict(zip(names, np.percentile(known, PERCENTILES).tolist(), strict=True))
    if known.size < RARE_FROM_N:
        numbers |= {percentile_name(stem, p): math.nan for p in PERCENTILES if p > 99}
    return {f"{stem}_mean_s": _mean(known), **numbers}


def _reading(done: Columns, n_finished: int) -> dict[str, float]:
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


def _quality(columns: Columns, n_served: int) -> dict[str, float]:
    """Return quality over the served requests; a failed one has QoE 0, a rejected one NaN."""
    return {
        "qoe_andes_mean": _mean(columns["qoe_andes"]),
        "qoe_andes_code_mean": _mean(columns["qoe_andes_code"]),
        "qoe_andes_ge_0_95_share": _ratio(int((columns["qoe_andes"] >= 0.95).sum()), n_served),
        "qoe_andes_ge_0_99_share": _ratio(int((columns["qoe_andes"] >= 0.99).sum()), n_served),
        "ttft_target_attainment": _ratio(int((columns["ttft_s"] <= columns["ttft_target_s"]).sum()), n_served),
    }


def _endpoints(columns: Columns, done: Columns, n_finished: int, n_served: int) -> dict[str, float]:
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
        "device_first_share": _ratio(int((done["first_endpoint"] == "device").sum()), n_finished),
        "n_tok_device_share": _ratio(on_device, on_device + elsewhere),
        "n_tok_wasted_total": wasted,
        "n_tok_wasted_share": _ratio(wasted, generated),
        "n_migrations_total": n_migrations,
        "n_migrations_mean": _ratio(n_migrations, n_finished),
        "budget_used_device": budget_used(columns, "device"),
        "budget_used_server": budget_used(columns, "server"),
    }


def _edge(columns: Columns, done: Columns, n_finished: int, n_served: int) -> dict[str, float]:
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


def _throughput(columns: Columns, done: Columns, n_finished: int) -> dict[str, float]:
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


@dataclass(frozen=True)
class SummaryTable:
    """All policies beside the baseline, ready to be printed or stored.

    Parameters
    ----------
    policies, metrics : tuple of str
        Rows and columns, in the order of the scenario and of the definitions.
    baseline : str
        Policy that the differences refer to.
    level : float
        Coverage of the intervals.
    n_replications : int
        Size of the sample.
    cells : mapping of (str, str) to Comparison
        The numbers of each policy and metric.
    summaries : mapping of str to sequence of mapping
        What they were computed from: the numbers of each policy and replication.
    """

    policies: tuple[str, ...]
    metrics: tuple[str, ...]
    baseline: str
    level: float
    n_replications: int
    cells: Mapping[tuple[str, str], Comparison] = field(repr=False)
    summaries: Summaries = field(repr=False, default_factory=dict)

    @classmethod
    def of(
        cls,
        summaries: Summaries,
        baseline: str,
        metrics: Sequence[str] | None = None,
        level: float = LEVEL,
    ) -> SummaryTable:
        """Compare the policies of ``summaries`` with ``baseline``; arguments and errors as in ``compare``."""
        rows = compare(summaries, baseline, metrics, level)
        return cls(
            policies=tuple(summaries),
            metrics=tuple(dict.fromkeys(row.metric for row in rows)),
            baseline=baseline,
            level=level,
            n_replications=len(summaries[baseline]),
            cells={(row.policy, row.metric): row for row in rows},
            summaries=summaries,
        )

    def against(self, baseline: str, metrics: Sequence[str] | None = None) -> SummaryTable:
        """Return the same numbers, or some of them, with the differences taken to another policy.

        Raises
        ------
        UserError
            If the baseline is none of the policies.
        """
        return SummaryTable.of(self.summaries, baseline, self.metrics if metrics is None else metrics, self.level)

    def value(self, policy: str, metric: str) -> Interval:
        """Return the mean over replications with its interval; UserError for an unknown name."""
        return self._cell_of(policy, metric).value

    def change_pct(self, policy: str, metric: str) -> Interval:
        """Return the change against the baseline in per cent with its interval."""
        return self._cell_of(policy, metric).change_pct

    def _cell_of(self, policy: str, metric: str) -> Comparison:
        if policy not in self.policies:
            raise UserError(f"unknown policy '{policy}'; {close_match(policy, self.policies)}")
        if metric not in self.metrics:
            raise UserError(f"unknown summary metric '{metric}'; {close_match(metric, self.metrics)}")
        return self.cells[policy, metric]

    def to_json_dict(self) -> dict[str, Any]:
        """Return plain data for a JSON file; undefined numbers are null."""
        return {
            "baseline": self.baseline,
            "level": self.level,
            "n_replications": self.n_replications,
            "metrics": {
                name: {"unit": definition(name).unit, "direction": definition(name).direction} for name in self.metrics
            },
            "policies": {
                policy: {metric: _cell(self.cells[policy, metric]) for metric in self.metrics}
                for policy in self.policies
            },
        }


def _cell(row: Comparison) -> dict[str, float | int | None]:
    numbers = {
        "mean": row.value.mean,
        "half_width": row.value.half_width,
        "diff": row.diff.mean,
        "diff_half_width": row.diff.half_width,
        "change_pct": row.change_pct.mean,
        "change_half_width_pct": row.change_pct.half_width,
    }
    # a change in per cent of next to nothing has no end; JSON has neither NaN nor infinity
    plain = {name: x if math.isfinite(x) else None for name, x in numbers.items()}
    return {**plain, "n": row.value.n, "n_missing": row.value.n_missing}
