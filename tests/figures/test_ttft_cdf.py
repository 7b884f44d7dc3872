"""The distribution of TTFT: the table behind the figure against plain counting, and the figure's honesty."""

from __future__ import annotations

import numpy as np
import pytest
from sample_run import N_REPLICATIONS, N_REQUESTS, POLICIES, request_rows
from scipy import stats

from discosim.core.errors import UserError
from discosim.report.figures.ttft_cdf import draw_ttft_cdf, ttft_cdf, ttft_cdf_table


@pytest.fixture(scope="module")
def requests():
    return request_rows()


def test_shares_are_plain_counts_over_all_served_requests(requests):
    table = ttft_cdf_table(requests)
    for policy in POLICIES:
        served = requests[(requests["policy"] == policy) & (requests["status"] != "rejected")]
        rows = table[table["policy"] == policy]
        expected = [(served["ttft_s"] <= x).sum() / len(served) for x in rows["ttft_s"]]
        np.testing.assert_allclose(rows["share"], expected, rtol=0, atol=1e-15)
        assert len(served) == N_REPLICATIONS * (N_REQUESTS - 1) == rows["n_served"].iloc[0]


def test_failed_requests_hold_the_curve_below_one(requests):
    table = ttft_cdf_table(requests)
    ends = table.groupby("policy")["share"].max()
    assert ends["server_only"] == 1.0
    assert ends["device_only"] == pytest.approx(1 - 5 / 39)
    figure = draw_ttft_cdf(table)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["server_only", "device_only (12.82% failed)", "handing_over"]


def test_band_is_the_t_interval_over_replications(requests):
    table = ttft_cdf_table(requests)
    row = table[(table["policy"] == "server_only") & (table["share"] > 0.45)].iloc[0]
    served = requests[(requests["policy"] == "server_only") & (requests["status"] != "rejected")]
    shares = served.assign(within=served["ttft_s"] <= row["ttft_s"]).groupby("replication")["within"].mean()
    half = stats.t.ppf(0.975, N_REPLICATIONS - 1) * shares.std(ddof=1) / np.sqrt(N_REPLICATIONS)
    assert row["share_low"] == pytest.approx(max(0.0, row["share"] - half))
    assert row["share_high"] == pytest.approx(min(1.0, row["share"] + half))


def test_one_replication_has_no_band(requests):
    table = ttft_cdf_table(requests[requests["replication"] == 0])
    assert table["share_low"].isna().all()
    figure = draw_ttft_cdf(table)
    assert not figure.axes[0].collections
    assert "one replication" in figure.get_suptitle()


def test_policies_choose_and_order_the_curves(requests):
    wanted = ["handing_over", "server_only"]
    # the order of a category's levels must not win over the order asked for
    table = ttft_cdf_table(requests.astype({"policy": "category"}), wanted)
    assert list(dict.fromkeys(table["policy"])) == wanted
    with pytest.raises(UserError, match=r"unknown policy 'server_onyl'; did you mean 'server_only'"):
        ttft_cdf_table(requests, ["server_onyl"])


@pytest.mark.parametrize(("factor", "scale"), [(1.0, "linear"), (1e4, "log")])
def test_more_than_two_decades_need_a_logarithmic_axis(requests, factor, scale):
    wide = requests.copy()
    wide.loc[wide["policy"] == "device_only", "ttft_s"] *= factor
    figure = ttft_cdf(wide)
    assert [axes.get_xscale() for axes in figure.axes] == [scale, scale]


def test_equal_times_give_one_step(requests):
    same = requests.assign(ttft_s=np.where(requests["status"] == "finished", 0.5, np.nan))
    table = ttft_cdf_table(same, ["server_only"])
    assert (table["ttft_s"] == 0.5).all()
    assert (table["share"] == 1.0).all()
    draw_ttft_cdf(table).draw_without_rendering()


def test_nothing_finished_is_said_in_the_picture(requests):
    none = requests.assign(ttft_s=np.nan, status="failed")
    figure = ttft_cdf(none)
    assert any("No request finished" in text.get_text() for text in figure.texts)


def test_missing_column_is_one_clear_line(requests):
    with pytest.raises(UserError, match=r"^requests: no column 'ttft_s'; did you mean 'ttft_target_s'"):
        ttft_cdf(requests.drop(columns="ttft_s"))
