"""Intervals over replications, and paired comparisons of policies that met the same luck.

The replication is the sample: requests of one run share queues, outages and network weather, so treating
them as independent would give intervals that are far too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from discosim.core.errors import UserError, close_match

LEVEL = 0.95
Summaries = Mapping[str, Sequence[Mapping[str, float]]]
"""Policy name -> its summaries by replication; equal positions of two policies share all luck."""


@dataclass(frozen=True)
class Interval:
    """An estimate and the half-width of its interval.

    Parameters
    ----------
    mean : float
        Estimate; NaN where no replication has a value.
    half_width : float
        Half the width of the interval; NaN with fewer than two values.
    n : int
        Replications (or pairs) used.
    n_missing : int
        Replications (or pairs) left out because the metric is undefined (NaN) in them.
    """

    mean: float
    half_width: float
    n: int
    n_missing: int

    def text(self, spec: str = ".4g") -> str:
        """Return ``mean ± half-width`` with a format spec, and ``n/a`` for whatever is undefined.

        Examples
        --------
        >>> t_interval([1.0, 2.0, 3.0]).text(".2f")
        '2.00 ± 2.48'
        >>> t_interval([1.5]).text()
        '1.5 ± n/a'
        """
        mean, half = ("n/a" if math.isnan(x) else format(x, spec) for x in (self.mean, self.half_width))
        return f"{mean} ± {half}"


@dataclass(frozen=True)
class Comparison:
    """One metric of one policy over all replications, and beside the baseline.

    ``diff`` is policy minus baseline over pairs of equal replications; ``change_pct`` the ratio of the two
    means minus one, in per cent. For the baseline itself both are zero.
    """

    policy: str
    metric: str
    value: Interval
    diff: Interval
    change_pct: Interval


def t_interval(sample: ArrayLike, level: float = LEVEL) -> Interval:
    """Return the mean over replications with Student's t interval.

    Parameters
    ----------
    sample : array of float, shape (n,)
        One value per replication; NaN where undefined.
    level : float
        Coverage, in (0, 1).

    Source: mean ± t_{n-1} s/sqrt(n), exact for normal replication means.
    """
    values = np.asarray(sample, dtype=float)
    if values.size == 1:
        return _single(float(values[0]))
    known = values[~np.isnan(values)]
    mean = float(np.mean(known)) if known.size else math.nan
    return Interval(mean, _half_width(known, level), int(known.size), int(values.size - known.size))


def paired_difference(sample: ArrayLike, baseline: ArrayLike, level: float = LEVEL) -> Interval:
    """Return the mean of ``sample - baseline`` over replications with its t interval.

    A pair with NaN on either side is left out and counted. Source: common random numbers, paired t.
    """
    return t_interval(np.asarray(sample, dtype=float) - np.asarray(baseline, dtype=float), level)


def change_of_means(sample: ArrayLike, baseline: ArrayLike, level: float = LEVEL) -> Interval:
    """Return the change of the mean against the baseline's mean, in per cent, over complete pairs.

    NaN where the baseline's mean is 0.

    Source: classic ratio estimator; R = mean(a)/mean(b), residuals (a_k - R b_k)/mean(b) linearise it
    (Cochran, Sampling Techniques, chapter 6), and their t interval is the interval of R.
    """
    a, b = np.asarray(sample, dtype=float), np.asarray(baseline, dtype=float)
    if a.size == b.size == 1:
        return _change(float(a[0]), float(b[0]))
    complete = ~(np.isnan(a) | np.isnan(b))
    n_missing = int(a.size - complete.sum())
    a, b = a[complete], b[complete]
    base = float(np.mean(b)) if b.size else math.nan
    if math.isnan(base) or base == 0.0:
        return Interval(math.nan, math.nan, int(a.size), n_missing)
    ratio = float(np.mean(a)) / base
    half_width = _half_width((a - ratio * b) / base, level)
    return Interval(100.0 * (ratio - 1.0), 100.0 * half_width, int(a.size), n_missing)


def compare(
    summaries: Summaries, baseline: str, metrics: Sequence[str] | None = None, level: float = LEVEL
) -> list[Comparison]:
    """Compare every policy with the baseline, metric by metric.

    Parameters
    ----------
    summaries : mapping of str to sequence of mapping
        For each policy one summary per replication, in the order of the replications.
    baseline : str
        Name of a policy of ``summaries``.
    metrics : sequence of str, optional
        Which numbers; all of the first summary where omitted.
    level : float
        Coverage of the intervals, in (0, 1).

    Raises
    ------
    UserError
        If the baseline is none of the policies.
    ValueError
        If the policies have different numbers of replications, hence cannot be paired.
    """
    n_replications = count_pairs(summaries, baseline)
    names = list(summaries[baseline][0]) if metrics is None else metrics
    if n_replications == 1:
        first = {policy: runs[0] for policy, runs in summaries.items()}
        return [_alone(policy, name, first[policy], first[baseline]) for policy in first for name in names]
    rows = []
    for policy, runs in summaries.items():
        for name in names:
            own = [run[name] for run in runs]
            base = [run[name] for run in summaries[baseline]]
            rows.append(
                Comparison(
                    policy,
                    name,
                    t_interval(own, level),
                    paired_difference(own, base, level),
                    change_of_means(own, base, level),
                )
            )
    return rows


def count_pairs(summaries: Summaries, baseline: str) -> int:
    """Return the number of replications that every policy has; arguments and errors as in :func:`compare`."""
    if baseline not in summaries:
        raise UserError(f"unknown baseline {baseline!r}; {close_match(baseline, summaries)}")
    counts = {policy: len(runs) for policy, runs in summaries.items()}
    if len(set(counts.values())) != 1 or 0 in counts.values():
        raise ValueError(f"policies cannot be paired, replications differ: {counts}")
    return counts[baseline]


def _alone(policy: str, name: str, own: Mapping[str, float], base: Mapping[str, float]) -> Comparison:
    """Return a cell of one replication, as the functions above do, without arrays of one number."""
    mine, theirs = float(own[name]), float(base[name])
    return Comparison(policy, name, _single(mine), _single(mine - theirs), _change(mine, theirs))


def _change(own: float, base: float) -> Interval:
    """Return the change of one replication's number against the baseline's, in per cent."""
    if base == 0.0 and not math.isnan(own):
        return Interval(math.nan, math.nan, 1, 0)
    return _single(100.0 * (own / base - 1.0) if base else math.nan)


def _single(value: float) -> Interval:
    """Return what one replication tells: its value, and no interval.

    Every run of a sweep has a thousand such cells; without this way they take a tenth of its time.
    """
    is_missing = math.isnan(value)
    return Interval(0.0 + value, math.nan, int(not is_missing), int(is_missing))  # as a mean, never minus zero


def _half_width(values: np.ndarray, level: float) -> float:
    """Return the half-width of the t interval of a mean, NaN with fewer than two values."""
    if values.size < 2:
        return math.nan
    from scipy.special import stdtrit

    quantile = float(stdtrit(values.size - 1, 0.5 + level / 2.0))
    return quantile * float(np.std(values, ddof=1)) / math.sqrt(values.size)
