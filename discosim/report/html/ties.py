"""Which policies cannot be told from the best one: differences to it, paired, by luck and inputs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from discosim.metrics.stats import LEVEL, paired_difference
from discosim.report.tables import read_columns
from discosim.sweep.finished_inputs import finished_of

if TYPE_CHECKING:
    from discosim.runs.finished import Finished

REPLICATIONS = "replications.parquet"


def ties(
    folder: Path, seed: int, best: str, others: Sequence[str], metric: str, *, has_few_rows: bool
) -> tuple[list[str], bool]:
    """Return those of ``others`` whose paired difference to ``best`` may be nothing, and whether inputs counted.

    Parameters
    ----------
    folder : Path
        Of a run.
    seed : int
        Of the run.
    best : str
        A policy.
    others : sequence of str
        Policies beside it.
    metric : str
        A number of the summary.
    has_few_rows : bool
        Whether an input has few rows, or was drawn anew; then what these leave open counts, too.
    """
    path = folder / REPLICATIONS
    if not path.is_file() or not others:
        return [], True
    rows = read_columns(path, ("policy", "replication", metric))
    by = {str(name): held.sort_values("replication")[metric].to_numpy() for name, held in rows.groupby("policy")}
    runs = finished_of({seed: folder}, [metric]) if has_few_rows else None
    found = []
    for other in others:
        if best not in by or other not in by:
            continue
        difference = paired_difference(by[other], by[best])
        half = difference.half_width
        if runs is not None and runs.inputs:
            half = _half(runs, metric, (other, best), (by[other] - by[best]).tolist(), half)
        if not abs(difference.mean) > half:
            found.append(other)
    return found, not has_few_rows or runs is not None


def _half(runs: Finished, metric: str, pair: tuple[str, str], sample: Sequence[float], luck: float) -> float:
    """Return the half-width with inputs; that of luck where it is not known."""
    from discosim.runs.finished import Side, part_of, version_half_width

    if any(policy not in runs.columns for policy in pair):
        return luck
    own, base = (Side(runs, policy) for policy in pair)
    half = (
        version_half_width(metric, sample, own, base, LEVEL)
        if runs.is_resampled
        else math.hypot(luck, part_of(metric, own, base).half_width())
    )
    return half if math.isfinite(half) else luck
