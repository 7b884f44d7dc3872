"""Chosen metrics by policy: the numbers of the summary, one panel each, honest about what is missing."""

from __future__ import annotations

import numpy as np
import pytest
from sample_run import N_REPLICATIONS, POLICIES, request_rows, summary_table

from discosim.core.errors import UserError
from discosim.report.figures.metric_panels import draw_metric_panels, metric_panels, metric_panels_table
from discosim.report.text import comparison_text

METRICS = ("ttft_mean_s", "qoe_andes_mean", "unified_cost_mean_usd")


@pytest.fixture(scope="module")
def summary():
    return summary_table(request_rows())


def test_table_holds_the_numbers_of_the_summary(summary):
    table = metric_panels_table(summary, METRICS).set_index(["metric", "policy"])
    assert len(table) == len(METRICS) * len(POLICIES)
    for metric, factor in zip(METRICS, (1.0, 1.0, 1000.0), strict=True):
        for policy in POLICIES:
            value, row = summary.value(policy, metric), table.loc[metric, policy]
            assert row["mean"] == pytest.approx(factor * value.mean)
            assert row["half_width"] == pytest.approx(factor * value.half_width)
            assert row["n_replications"] == N_REPLICATIONS
    assert list(table["unit"].unique()) == ["s", "no unit", "mUSD"]


@pytest.mark.parametrize(("n", "n_drawn", "n_columns"), [(1, 1, 1), (4, 4, 4), (5, 6, 3), (6, 6, 3), (7, 8, 4)])
def test_a_panel_for_each_metric(summary, n, n_drawn, n_columns):
    names = ["ttft_mean_s", "ttft_p50_s", "ttft_p99_s", *METRICS[1:], "device_energy_mean_j", "n_tok_late_mean"][:n]
    figure = metric_panels(summary, names)
    titled = [axes.get_title(loc="left") for axes in figure.axes]
    assert [title for title in titled if title] == names
    assert len(figure.axes) == n_drawn
    assert figure.axes[0].get_subplotspec().get_gridspec().ncols == n_columns


def test_the_points_are_where_the_table_says(summary):
    table = metric_panels_table(summary, ["ttft_mean_s"])
    (axes,) = draw_metric_panels(table).axes
    drawn = [container.lines[0].get_xydata()[0].tolist() for container in axes.containers]
    assert drawn == [[mean, i] for i, mean in enumerate(table["mean"])]
    bars = [np.ptp(container.lines[2][0].get_segments()[0][:, 0]) / 2 for container in axes.containers]
    assert bars == pytest.approx(table["half_width"].tolist())


def test_a_metric_without_a_value_says_so(summary):
    figure = metric_panels(summary, ["quality_assumed_mean"])
    assert [text.get_text() for text in figure.axes[0].texts] == ["not defined here"]


@pytest.mark.parametrize(
    ("metrics", "message"),
    [((), "at least one"), (("ttft_mean",), "did you mean ttft_mean_s"), (("ttft_s",), "no summary metric")],
)
def test_what_is_no_metric_is_refused(summary, metrics, message):
    with pytest.raises(UserError, match=message):
        metric_panels(summary, metrics)
    with pytest.raises(UserError, match=message):
        comparison_text(summary.to_json_dict(), metrics)


def test_a_comparison_may_take_any_baseline(summary):
    other = summary.against("device_only")
    text = comparison_text(other.to_json_dict(), ["ttft_mean_s"])
    assert "change against device_only" in text
    (line,) = [line for line in text.splitlines() if line.startswith("device_only")]
    assert line.split()[-1] == "0"  # the same in every replication: no interval of nothing
    there = other.change_pct("server_only", "ttft_mean_s").mean
    back = summary.change_pct("device_only", "ttft_mean_s").mean
    assert (1 + there / 100) * (1 + back / 100) == pytest.approx(1.0)
    assert other.value("server_only", "ttft_p99_s") == summary.value("server_only", "ttft_p99_s")
    assert summary.against("device_only", ["ttft_mean_s"]).metrics == ("ttft_mean_s",)
    with pytest.raises(UserError, match="device_only"):
        summary.against("device_onyl")
