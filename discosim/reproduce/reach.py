"""What a statistic can be at all, given its baseline: some verdicts are decided before anything runs.

A QoE is at most 1, so nothing beats a baseline of 0.72 by more than 1.38x, whatever the policy; a time is at least 0,
so no wait falls by more than 100 %. Bounds that lie beyond this cannot be met, and bounds that hold all of it cannot be
missed: neither is a test.
"""

from __future__ import annotations

import math

from discosim.reproduce.files import Statistic

FROM_ZERO_TO_ONE = ("qoe_", "quality_")
SHARES = ("_share",)
NOT_NEGATIVE = ("_s", "_ms", "_j", "_usd", "_tok", "_rps", "_per_s", "_hz", "_mean", "_wh")
"""Beginnings and ends of names of columns. Source: our names, which carry their units (docs/metrics.md)."""


def metric_range(metric: str) -> tuple[float, float]:
    """Return the least and the largest value that a column can hold, by its name.

    Examples
    --------
    >>> metric_range("qoe_p10"), metric_range("ttft_mean_s"), metric_range("pearson_r")
    ((0.0, 1.0), (0.0, inf), (-1.0, 1.0))
    """
    if metric.startswith(FROM_ZERO_TO_ONE) or metric.endswith(SHARES):
        return 0.0, 1.0
    if metric == "pearson_r":
        return -1.0, 1.0
    return (0.0, math.inf) if metric.endswith(NOT_NEGATIVE) else (-math.inf, math.inf)


def reach(statistic: Statistic, baseline: float) -> tuple[float, float]:
    """Return floor and ceiling of a statistic beside a baseline that stays as it is.

    Parameters
    ----------
    statistic : Statistic
        What is computed; of a function of estimators.py nothing is known.
    baseline : float
        Mean of the baseline over the replications; NaN where there is none.

    Returns
    -------
    floor, ceiling : float
        -inf and inf where there is no limit, or none is known.

    Examples
    --------
    >>> ratio = Statistic(kind="ratio", table="rates", metric="qoe_mean", policy="new", baseline="base")
    >>> reach(ratio, 0.5)
    (0.0, 2.0)
    """
    low, high = metric_range(statistic.metric)
    if statistic.kind == "mean":
        return low, high
    if statistic.kind == "difference" and not math.isnan(baseline):
        return low - baseline, high - baseline
    if statistic.kind in {"difference", "function"} or not baseline > 0.0:
        return -math.inf, math.inf
    low, high = low / baseline, high / baseline
    if statistic.kind == "ratio":
        return low, high
    change = 100.0 * (low - 1.0), 100.0 * (high - 1.0)
    return change if statistic.kind == "change_pct" else (-change[1], -change[0])


def telling(statistic: Statistic, unit: str, floor: float, ceiling: float) -> tuple[float, float]:
    """Return floor and ceiling without those that each statistic of its kind has, whatever the baseline.

    That no ratio is below 0 and nothing falls by more than 100 % is known before anybody looks at a scenario.

    Parameters
    ----------
    statistic : Statistic
        What is computed.
    unit : str
        Its unit: per cent are what tells a function of estimators.py.
    floor, ceiling : float
        What it could be, see :func:`reach`.

    Examples
    --------
    >>> ratio = Statistic(kind="ratio", table="rates", metric="qoe_mean", policy="new", baseline="base")
    >>> telling(ratio, "x", 0.0, 2.0), telling(ratio, "x", 0.0, math.inf)
    ((-inf, 2.0), (-inf, inf))
    """
    low, high = _of_its_kind(statistic, unit)
    return -math.inf if floor == low else floor, math.inf if ceiling == high else ceiling


def _of_its_kind(statistic: Statistic, unit: str) -> tuple[float, float]:
    if statistic.kind == "mean":
        return metric_range(statistic.metric)
    if statistic.kind == "ratio":
        return 0.0, math.inf
    if statistic.kind == "function":
        return (-100.0, 100.0) if unit == "%" else (0.0, math.inf)
    return {"change_pct": (-100.0, math.inf), "reduction_pct": (-math.inf, 100.0)}.get(
        statistic.kind, (-math.inf, math.inf)
    )
