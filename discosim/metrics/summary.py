"""Summaries of one policy in one replication, and the neutral table that reports print."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discosim.core.errors import UserError, close_match
from discosim.metrics.accuracy import accuracy_numbers
from discosim.metrics.battery import NO_BATTERY, Batteries, battery_numbers
from discosim.metrics.definitions import definition
from discosim.metrics.edge_definitions import NO_EDGE
from discosim.metrics.engine_definitions import NO_ENGINE
from discosim.metrics.events import event_numbers
from discosim.metrics.histogram import PooledGaps
from discosim.metrics.numbers import (
    distribution,
    endpoint_numbers,
    pooled_numbers,
    quality_numbers,
    reading_numbers,
    request_counts,
    sketch_numbers,
    throughput_numbers,
    warmup_numbers,
)
from discosim.metrics.stats import LEVEL, Comparison, Interval, Summaries, compare, count_pairs
from discosim.metrics.summary_definitions import SUMMARY_METRICS
from discosim.metrics.waiting import waiting_numbers

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


def summarise(
    columns: Columns,
    gaps: PooledGaps,
    engine: Mapping[str, float] | None = None,
    edge: Mapping[str, float] | None = None,
    batteries: Batteries | None = None,
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
    batteries : Batteries, optional
        How the users' batteries stand at the end, where there are any.

    Returns
    -------
    dict of str to float
        Every summary metric in the order of the definitions; NaN where undefined. Each definition states
        the requests it covers; O(n log n).
    """
    finished = columns["status"] == "finished"
    done = columns if finished.all() else _Rows(columns, finished)
    counts = request_counts(columns["status"])
    n_finished = counts["n_finished"]
    n_served = counts["n_requests"] - counts["n_rejected"]
    numbers: dict[str, float] = {**counts}
    for stem in ("ttft", "tpot", "e2e"):
        numbers |= distribution(stem, done[f"{stem}_s"])
    numbers |= pooled_numbers(done, gaps)
    numbers |= reading_numbers(done, n_finished)
    numbers |= quality_numbers(columns, n_served)
    numbers |= endpoint_numbers(columns, done, n_finished, n_served)
    numbers |= throughput_numbers(columns, done, n_finished)
    numbers |= NO_ENGINE if engine is None else engine
    numbers |= distribution("queue", done["queue_s"])
    numbers |= NO_EDGE if edge is None else edge
    numbers |= sketch_numbers(columns, done, n_finished, n_served)
    numbers |= warmup_numbers(done, n_finished)
    numbers |= NO_BATTERY if batteries is None else battery_numbers(columns, batteries, numbers["span_s"])
    numbers |= event_numbers(done, gaps.events)
    numbers |= accuracy_numbers(columns)
    numbers |= waiting_numbers(columns)
    return {metric.name: float(numbers[metric.name]) for metric in SUMMARY_METRICS}


class _Rows(Mapping[str, NDArray[Any]]):
    """Some rows of columns, picked out when they are asked for: copies of all would double the memory of a run."""

    def __init__(self, columns: Columns, rows: NDArray[np.bool_]) -> None:
        self._columns = columns
        self._rows = rows

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._columns[name][self._rows]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)


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
    summaries : mapping of str to sequence of mapping
        What they were computed from: the numbers of each policy and replication.
    """

    policies: tuple[str, ...]
    metrics: tuple[str, ...]
    baseline: str
    level: float
    n_replications: int
    summaries: Summaries = field(repr=False, default_factory=dict)

    @cached_property
    def cells(self) -> Mapping[tuple[str, str], Comparison]:
        """The numbers of each policy and metric, beside the baseline; a run that is but written needs none."""
        rows = compare(self.summaries, self.baseline, self.metrics, self.level)
        return {(row.policy, row.metric): row for row in rows}

    @classmethod
    def of(
        cls,
        summaries: Summaries,
        baseline: str,
        metrics: Sequence[str] | None = None,
        level: float = LEVEL,
    ) -> SummaryTable:
        """Compare the policies of ``summaries`` with ``baseline``; arguments and errors as in ``compare``."""
        n_replications = count_pairs(summaries, baseline)
        return cls(
            policies=tuple(summaries),
            metrics=tuple(dict.fromkeys(summaries[baseline][0] if metrics is None else metrics)),
            baseline=baseline,
            level=level,
            n_replications=n_replications,
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

    def head(self) -> dict[str, Any]:
        """Return what stands before the numbers in a JSON file."""
        return {
            "baseline": self.baseline,
            "level": self.level,
            "n_replications": self.n_replications,
            "metrics": {
                name: {"unit": definition(name).unit, "direction": definition(name).direction} for name in self.metrics
            },
        }

    def to_json_dict(self) -> dict[str, Any]:
        """Return plain data for a JSON file; undefined numbers are null."""
        return {
            **self.head(),
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
