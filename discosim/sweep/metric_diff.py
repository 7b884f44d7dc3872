"""One metric of one policy in two result folders."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from discosim.metrics.stats import Interval


@dataclass(frozen=True)
class MetricDiff:
    """One metric of one policy (at one point) in both folders.

    Parameters
    ----------
    metric, policy : str
        What is compared.
    values : mapping of str to str
        The point, for sweeps.
    a, b : float
        Means over the pairs.
    diff : Interval
        B minus A over pairs of equal seed and replication.
    few_rows : str
        Inputs of few rows behind either side; '' where there are none.
    half_width_with_inputs : float
        Half-width that holds what these rows leave open, too; NaN where that is not known of the metric.
    """

    metric: str
    policy: str
    values: Mapping[str, str]
    a: float
    b: float
    diff: Interval
    few_rows: str = ""
    half_width_with_inputs: float = math.nan
