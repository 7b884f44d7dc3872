"""The server's tail under offloading: censored quantiles against plain ones, and the figure's honesty."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from discosim.core.errors import UserError
from discosim.report.figures.server_relief import (
    censored_quantile,
    draw_server_relief,
    server_relief,
    server_relief_table,
)

N = 200


def rows(load: float, setting: float, replication: int, slow: float) -> pd.DataFrame:
    """Every second request races a device that answers after 2 s."""
    rng = np.random.default_rng([replication, int(100 * load)])
    server_s = slow * rng.exponential(1.0, N)
    races = np.arange(N) % 2 == 0
    device_wins = races & (server_s > 2.0) & (setting > 0)
    return pd.DataFrame(
        {
            "load": load,
            "setting": setting,
            "replication": replication,
            "first_endpoint": np.where(device_wins, "device", "server"),
            "is_server_dispatched": True,
            "ttft_s": np.where(device_wins, 2.0, server_s),
            "status": "finished",
        }
    )


@pytest.fixture(scope="module")
def requests() -> pd.DataFrame:
    return pd.concat([rows(load, b, k, 3.0) for load in (1.0, 2.0) for b in (0.0, 0.5) for k in range(3)])


def test_without_censoring_it_is_the_plain_quantile() -> None:
    times = np.random.default_rng(1).exponential(1.0, 1000)
    assert censored_quantile(times, np.ones(1000, dtype=bool), 0.99) == np.quantile(times, 0.99, method="inverted_cdf")


def test_censoring_does_not_shorten_the_tail() -> None:
    """Exponential times, half of them cut at 2: the true p90 is ln 10 = 2.303.

    The standard error without cuts is sqrt(0.9 * 0.1 / n) / 0.1 = 0.030 for n = 10,000; with half of the requests at
    risk beyond 2 it is at most sqrt(2) times that. Five of these leave a false alarm of about 1 in 10^6. Leaving the
    cut ones out would give less than 2.1.
    """
    rng = np.random.default_rng(5)
    times = rng.exponential(1.0, 10_000)
    cut = (rng.random(10_000) < 0.5) & (times > 2.0)
    found = censored_quantile(np.where(cut, 2.0, times), ~cut, 0.9)
    assert found == pytest.approx(np.log(10.0), abs=5 * 0.042)
    assert np.quantile(times[~cut], 0.9) < 2.1


def test_what_was_never_seen_has_no_quantile() -> None:
    assert np.isnan(censored_quantile(np.array([1.0, 2.0]), np.array([True, False]), 0.9))
    assert np.isnan(censored_quantile(np.array([1.0, 2.0]), np.array([False, False]), 0.9))


def test_shares_and_intervals_are_those_of_the_rows(requests: pd.DataFrame) -> None:
    table = server_relief_table(requests)
    assert len(table) == 4
    for row in table.itertuples():
        part = requests[(requests["load"] == row.load) & (requests["setting"] == row.setting)]
        assert row.offloaded_share == pytest.approx((part["first_endpoint"] == "device").mean())
        assert row.p99_low_s < row.p99_s < row.p99_high_s
        assert row.n_replications == 3
    plain = table[table["setting"] == 0.0].iloc[0]
    by_hand = [
        np.quantile(part["ttft_s"], 0.99, method="inverted_cdf")
        for _, part in requests[(requests["load"] == 1.0) & (requests["setting"] == 0.0)].groupby("replication")
    ]
    assert plain["p99_s"] == pytest.approx(np.exp(np.mean(np.log(by_hand))))


def test_requests_that_the_server_never_got_do_not_count(requests: pd.DataFrame) -> None:
    strangers = requests.assign(is_server_dispatched=False, ttft_s=1e6, first_endpoint="device", replication=0)
    with_strangers = server_relief_table(pd.concat([requests, strangers]))
    assert with_strangers["p99_s"].tolist() == server_relief_table(requests)["p99_s"].tolist()


def test_the_figure_has_a_curve_for_each_load(requests: pd.DataFrame) -> None:
    figure = server_relief(requests)
    legend = figure.axes[0].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["1 requests/s", "2 requests/s"]
    assert "3 replications" in figure.get_suptitle()
    one = server_relief(requests[requests["replication"] == 0])
    assert "replications" not in one.get_suptitle()


def test_nothing_to_draw_is_said_in_words(requests: pd.DataFrame) -> None:
    empty = server_relief_table(requests.iloc[:0])
    assert "answered no request" in draw_server_relief(empty).texts[-1].get_text()
    with pytest.raises(UserError, match="no column 'load'"):
        server_relief_table(requests.drop(columns="load"))
