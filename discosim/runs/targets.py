"""A run seen with targets for its requests: how many met them, with intervals like every other number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from discosim.metrics.summary import SummaryTable
from discosim.metrics.targets import TARGET_NUMBERS, Columns, Targets, target_numbers


def target_summary(
    table: SummaryTable, columns: Columns, by_replication: Columns, targets: Targets
) -> tuple[SummaryTable, Columns]:
    """Return a summary and the columns of its replications with the numbers of the targets at their end.

    Parameters
    ----------
    table : SummaryTable
        The summary of the run.
    columns, by_replication : mapping of str to array
        As in requests.parquet and replications.parquet.
    targets : mapping of str to float
        Column -> the most that it may be.
    """
    found = {policy: _numbers(columns, policy, table.summaries[policy], targets) for policy in table.policies}
    summary = replace(
        table,
        metrics=(*table.metrics, *TARGET_NUMBERS),
        summaries={
            policy: [{**a, **b} for a, b in zip(table.summaries[policy], found[policy], strict=True)]
            for policy in found
        },
    )
    rows = list(zip(by_replication["policy"], by_replication["replication"], strict=True))
    more = {name: np.array([found[policy][k][name] for policy, k in rows]) for name in TARGET_NUMBERS}
    return summary, {**by_replication, **more}


def _numbers(
    columns: Columns, policy: str, summaries: Sequence[Mapping[str, float]], targets: Targets
) -> list[dict[str, float]]:
    found = []
    for k, numbers in enumerate(summaries):
        rows = np.flatnonzero((columns["policy"] == policy) & (columns["replication"] == k))
        part = {name: columns[name][rows] for name in ("status", *targets)}
        found.append(target_numbers(part, targets, float(numbers["span_s"])))
    return found
