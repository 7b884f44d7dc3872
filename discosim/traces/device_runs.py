"""Runs and first rows of a device's file: which of them say something, and which number the rows alone."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from discosim.traces.readers.device_rows import DeviceRows

LEAST_OTHERS = 3
"""Rows that must be left beside the first ones; fewer show no device that is running."""
MOST_RUNS = 2 / 3
"""Runs over rows above which a column `run` numbers repetitions. Source: our choice; runs of two rows have a half."""

SUMMARIES = frozenset({"mean", "average", "avg", "median", "std", "stdev", "min", "max", "sum", "total"})


def settled_runs(rows: DeviceRows) -> tuple[DeviceRows, tuple[str, ...]]:
    """Return rows whose runs are runs and whose first rows are the exception, and what was done to them.

    A column `run` that changes from row to row counts repetitions: it starts no runtime anew, and all rows are of one
    run. Where nearly every row is a first one by `is_first`, nothing tells what a first one is compared with.
    """
    said = []
    words = rows.run.tolist()
    n_runs = 1 + sum(one != other for one, other in pairwise(words))
    summed = [word for word in words if word.strip().lower() in SUMMARIES]
    if summed:
        said.append(
            f"Doubtful: a row's run is called {summed[0]!r}: a row that sums up others counts as one; leave it out."
        )
    if n_runs > 1 and n_runs > MOST_RUNS * len(rows):
        said.append(
            f"The column of the run changes {n_runs - 1:,} times in {len(rows):,} rows: it numbers repetitions, so all "
            "rows were taken as one run."
        )
        rows = replace(rows, run=np.full(len(rows), "", dtype=np.object_))
    n_first = int(rows.is_first.sum())
    if n_first and len(rows) - n_first < LEAST_OTHERS:
        said.append(
            f"{n_first:,} of {len(rows):,} rows are first ones by is_first, which leaves none to compare them with: "
            "they were taken as any others, and what a first request costs is not known."
        )
        rows = replace(rows, is_first=np.zeros(len(rows), dtype=np.bool_), says_first=False)
    return rows, tuple(said)
