"""Do 95 % intervals hold the truth 95 % of the time?

Coverage over N seeded trials is binomial; a bound of 4.5 standard errors has a false-alarm rate of 7 in a
million.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from discosim.metrics.stats import change_of_means, paired_difference, t_interval

TRIALS = 2000


def bound(level: float) -> float:
    return 4.5 * math.sqrt(level * (1 - level) / TRIALS)


@pytest.mark.parametrize(("n", "level"), [(2, 0.95), (5, 0.95), (20, 0.95), (5, 0.5)])
def test_t_interval_covers_the_mean_of_normal_replications(n, level):
    samples = np.random.default_rng(11).normal(3.0, 2.0, (TRIALS, n))
    intervals = [t_interval(sample, level) for sample in samples]
    covered = np.mean([abs(i.mean - 3.0) <= i.half_width for i in intervals])
    assert abs(covered - level) < bound(level)


def test_paired_interval_covers_and_is_narrower_than_an_unpaired_one():
    rng = np.random.default_rng(12)
    luck = rng.normal(10.0, 3.0, (TRIALS, 20))
    effect = luck - 1.0 + rng.normal(0.0, 0.3, luck.shape)
    pairs = [paired_difference(a, b) for a, b in zip(effect, luck, strict=True)]
    covered = np.mean([abs(i.mean + 1.0) <= i.half_width for i in pairs])
    assert abs(covered - 0.95) < bound(0.95)
    # Standard deviations are 0.3 paired and 3 for each side alone: the widths differ by that factor of 10.
    alone = np.mean([t_interval(a).half_width for a in effect])
    assert np.mean([i.half_width for i in pairs]) < 0.15 * alone


def test_ratio_interval_covers_the_ratio_of_true_means():
    """The linearised interval is exact only as n grows; with CV 0.3 and n = 30 it errs below one point."""
    rng = np.random.default_rng(13)
    base = rng.normal(10.0, 3.0, (TRIALS, 30))
    other = 0.8 * base + rng.normal(0.0, 1.0, base.shape)
    changes = [change_of_means(a, b) for a, b in zip(other, base, strict=True)]
    covered = np.mean([abs(i.mean + 20.0) <= i.half_width for i in changes])
    assert abs(covered - 0.95) < bound(0.95) + 0.01
