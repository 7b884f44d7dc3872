"""Metrics against a varied value: means and intervals of each policy, in the order asked for."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from discosim.core.errors import UserError
from discosim.metrics.stats import t_interval
from discosim.report.figures.sweep_lines import draw_sweep_lines, sweep_lines, sweep_lines_table

BUDGETS = (0.1, 0.5, 0.9)


@pytest.fixture(scope="module")
def results() -> pd.DataFrame:
    rng = np.random.default_rng(4)
    rows = [
        {
            "policy": policy,
            "budget": budget,
            "ttft_mean_s": 1.0 - budget + 0.1 * rng.random(),
            "unified_cost_mean_usd": 1e-4,
        }
        for policy in ("b", "a")
        for budget in BUDGETS
        for _ in range(4)
    ]
    return pd.DataFrame(rows).assign(unified_cost_mean_usd=1e-4)


def test_table_holds_means_and_intervals(results):
    table = sweep_lines_table(results, "budget", ["ttft_mean_s", "unified_cost_mean_usd"], ["a", "b"])
    assert list(dict.fromkeys(table["policy"])) == ["a", "b"]
    row = table.query("metric == 'ttft_mean_s' and policy == 'b' and x == 0.5").iloc[0]
    expected = t_interval(results.query("policy == 'b' and budget == 0.5")["ttft_mean_s"])
    assert (row["n"], row["mean"]) == (4, expected.mean)
    assert (row["low"], row["high"]) == (expected.mean - expected.half_width, expected.mean + expected.half_width)
    assert table.query("metric == 'unified_cost_mean_usd'")["mean"].to_numpy() == pytest.approx(0.1)


def test_the_lines_are_those_of_the_table(results):
    table = sweep_lines_table(results, "budget", ["ttft_mean_s"])
    figure = draw_sweep_lines(table, "budget [1]")
    (axes,) = figure.axes
    assert [line.get_label() for line in axes.lines] == ["b", "a"]
    for line in axes.lines:
        rows = table[table["policy"] == line.get_label()]
        np.testing.assert_array_equal(line.get_xydata(), rows[["x", "mean"]])
    assert len(axes.collections) == 2
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("budget [1]", "ttft_mean_s [s]")


def test_one_replication_has_no_band(results):
    single = results.drop_duplicates(["policy", "budget"])
    figure = sweep_lines(single, "budget", ["ttft_mean_s"])
    assert not figure.axes[0].collections
    assert "interval" not in figure.get_suptitle()


def test_what_is_not_there_is_named(results):
    with pytest.raises(UserError, match="budgt"):
        sweep_lines(results, "budgt", ["ttft_mean_s"])
    with pytest.raises(UserError, match="unknown policy 'c'"):
        sweep_lines(results, "budget", ["ttft_mean_s"], ["c"])
    with pytest.raises(UserError, match="summary metric"):
        sweep_lines(results, "budget", [])
