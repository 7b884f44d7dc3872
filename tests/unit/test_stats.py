"""Intervals and paired comparisons on small exact cases."""

from __future__ import annotations

import math

import numpy as np
import pytest

from discosim.core.errors import UserError
from discosim.metrics.stats import change_of_means, compare, paired_difference, t_interval


def test_t_interval_equals_the_textbook_one():
    """n = 3, mean 2, s = 1: t_{0.975, 2} = 4.30265."""
    interval = t_interval([1.0, 2.0, 3.0])
    assert interval.mean == 2.0
    assert interval.half_width == pytest.approx(4.302652729696 / math.sqrt(3))
    assert (interval.n, interval.n_missing) == (3, 0)


def test_one_replication_has_no_interval():
    interval = t_interval([1.5])
    assert interval.mean == 1.5
    assert math.isnan(interval.half_width)
    assert interval.text() == "1.5 ± n/a"


@pytest.mark.parametrize("own", [0.0, -0.0, 1.5, -2.0, 1e-300, 3.0, math.nan])
@pytest.mark.parametrize("base", [0.0, 1.5, -2.0, 7.0, math.nan])
def test_one_replication_says_what_two_equal_ones_say(own, base):
    """One value goes a shorter way; the means must not differ from those of the long way."""
    for one, two in (
        (t_interval([own]), t_interval([own, own])),
        (paired_difference([own], [base]), paired_difference([own, own], [base, base])),
        (change_of_means([own], [base]), change_of_means([own, own], [base, base])),
    ):
        assert repr(one.mean) == repr(two.mean)
        assert (2 * one.n, 2 * one.n_missing) == (two.n, two.n_missing)
        assert math.isnan(one.half_width)


def test_undefined_replications_are_left_out_and_counted():
    interval = t_interval([1.0, math.nan, 3.0])
    assert interval.mean == 2.0
    assert (interval.n, interval.n_missing) == (2, 1)
    nothing = t_interval([math.nan])
    assert math.isnan(nothing.mean)
    assert nothing.text() == "n/a ± n/a"


def test_pairs_cancel_common_luck():
    luck = np.array([1.0, 5.0, 9.0, 2.0])
    diff = paired_difference(luck + 0.5, luck)
    assert diff.mean == pytest.approx(0.5)
    assert diff.half_width == pytest.approx(0.0, abs=1e-12)
    assert t_interval(luck).half_width > 5


def test_a_pair_with_a_hole_on_either_side_is_left_out():
    diff = paired_difference([1.0, math.nan, 3.0, 4.0], [0.0, 0.0, math.nan, 0.0])
    assert (diff.mean, diff.n, diff.n_missing) == (2.5, 2, 2)
    change = change_of_means([1.0, math.nan, 3.0, 4.0], [2.0, 0.0, math.nan, 2.0])
    assert (change.mean, change.n, change.n_missing) == (25.0, 2, 2)


def test_change_is_the_ratio_of_means_not_the_mean_of_ratios():
    change = change_of_means([1.0, 9.0], [2.0, 8.0])
    assert change.mean == pytest.approx(0.0)
    # residuals (a - b)/5 = -0.2, 0.2: s = 0.2 sqrt 2, t_{0.975, 1} = 12.7062
    assert change.half_width == pytest.approx(100 * 12.706204736 * 0.2)


def test_a_proportional_change_is_known_exactly():
    base = np.array([1.0, 4.0, 2.0])
    change = change_of_means(0.7 * base, base)
    assert change.mean == pytest.approx(-30.0)
    assert change.half_width == pytest.approx(0.0, abs=1e-10)


def test_change_against_nothing_is_undefined():
    assert math.isnan(change_of_means([1.0, 2.0], [0.0, 0.0]).mean)
    assert math.isnan(change_of_means([math.nan], [1.0]).mean)


def test_compare_pairs_every_policy_with_the_baseline():
    summaries = {
        "new": [{"x": 1.0, "y": 5.0}, {"x": 2.0, "y": 5.0}],
        "old": [{"x": 2.0, "y": 5.0}, {"x": 4.0, "y": 5.0}],
    }
    rows = {(row.policy, row.metric): row for row in compare(summaries, "old")}
    assert list(rows) == [("new", "x"), ("new", "y"), ("old", "x"), ("old", "y")]
    assert rows["new", "x"].value.mean == 1.5
    assert rows["new", "x"].diff.mean == -1.5
    assert rows["new", "x"].change_pct.mean == pytest.approx(-50.0)
    assert rows["old", "x"].diff.mean == rows["old", "x"].diff.half_width == 0.0
    assert {row.metric for row in compare(summaries, "old", ["y"])} == {"y"}


def test_compare_refuses_what_cannot_be_paired():
    with pytest.raises(UserError, match="did you mean 'server_only'"):
        compare({"server_only": [{"x": 1.0}]}, "server_onli")
    with pytest.raises(ValueError, match="cannot be paired"):
        compare({"a": [{"x": 1.0}], "b": [{"x": 1.0}, {"x": 2.0}]}, "a")
