"""The trade-off of cost and TTFT: the numbers of the summary, names that do not overlap."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pandas as pd
import pytest
from sample_run import N_REPLICATIONS, POLICIES, request_rows, summary_table

from discosim.report.figures.cost_ttft import cost_ttft, cost_ttft_table, draw_cost_ttft
from discosim.report.style import house_style


@pytest.fixture(scope="module")
def summary():
    return summary_table(request_rows())


def test_table_holds_the_numbers_of_the_summary(summary):
    table = cost_ttft_table(summary).set_index("policy")
    assert tuple(table.index) == POLICIES
    assert list(table["is_baseline"]) == [True, False, False]
    for policy in POLICIES:
        cost, p99 = summary.value(policy, "unified_cost_mean_usd"), summary.value(policy, "ttft_p99_s")
        row = table.loc[policy]
        assert row["unified_cost_usd_per_1k"] == pytest.approx(1000 * cost.mean)
        assert row["unified_cost_usd_per_1k_half_width"] == pytest.approx(1000 * cost.half_width)
        assert (row["ttft_p99_s"], row["ttft_p99_s_half_width"]) == (p99.mean, p99.half_width)
        assert row["n_replications"] == N_REPLICATIONS


def test_the_json_file_is_enough(summary):
    stored = json.loads(json.dumps(summary.to_json_dict()))
    pd.testing.assert_frame_equal(cost_ttft_table(stored), cost_ttft_table(summary))


def crowd() -> pd.DataFrame:
    """Return twelve policies, most of them nearly alike."""
    rng = np.random.default_rng(3)
    n = 12
    return pd.DataFrame(
        {
            "policy": [f"policy_number_{i}" for i in range(n)],
            "is_baseline": [i == 0 for i in range(n)],
            "n_replications": 20,
            "unified_cost_usd_per_1k": 1.0 + 0.15 * rng.random(n) + (np.arange(n) > 9),
            "ttft_mean_s": 1.0 + 0.15 * rng.random(n) + (np.arange(n) > 9),
            "ttft_p99_s": 3.0 + rng.random(n),
            "unified_cost_usd_per_1k_half_width": 0.01,
            "ttft_mean_s_half_width": 0.01,
            "ttft_p99_s_half_width": 0.05,
        }
    )


def test_names_do_not_overlap_and_stay_inside():
    figure = draw_cost_ttft(crowd())
    with house_style():
        figure.draw_without_rendering()
    for axes in figure.axes:
        boxes = {t.get_text(): t.get_window_extent() for t in axes.texts if t.get_text().startswith("policy")}
        assert len(boxes) == 12
        frame = axes.get_window_extent()
        for box in boxes.values():
            assert frame.x0 <= box.x0 < box.x1 <= frame.x1
        overlapping = [(a, b) for a, b in itertools.combinations(boxes, 2) if boxes[a].overlaps(boxes[b])]
        assert not overlapping


def test_baseline_is_named(summary):
    axes = cost_ttft(summary).axes[0]
    assert "server_only (baseline)" in [text.get_text() for text in axes.texts]
    assert axes.get_title(loc="right") == "↙ better"


def test_policy_without_answers_is_left_out_and_counted(summary):
    plain = summary.to_json_dict()
    plain["policies"]["device_only"]["ttft_mean_s"]["mean"] = None
    figure = cost_ttft(plain)
    assert "1 without a finished request left out" in figure.get_suptitle()
    assert not any(text.get_text() == "device_only" for text in figure.axes[0].texts)


def test_one_policy_of_one_replication_at_no_cost():
    row = (
        crowd()
        .iloc[:1]
        .assign(
            unified_cost_usd_per_1k=0.0,
            n_replications=1,
            unified_cost_usd_per_1k_half_width=np.nan,
            ttft_mean_s_half_width=np.nan,
            ttft_p99_s_half_width=np.nan,
        )
    )
    figure = draw_cost_ttft(row)
    assert "no intervals" in figure.get_suptitle()
    figure.draw_without_rendering()


def test_nothing_finished_is_said_in_the_picture():
    figure = draw_cost_ttft(crowd().assign(ttft_mean_s=np.nan))
    assert any("No request finished" in text.get_text() for text in figure.texts)
