"""The timeline of a request: the right request, the right token, in seconds since the request."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sample_run import POLICIES, READER_TOK_PER_S, request_rows, token_rows

from discosim.core.errors import UserError
from discosim.core.timeline import Ragged
from discosim.metrics.reading import read
from discosim.report.figures.timeline import draw_timeline, timeline, timeline_table


@pytest.fixture(scope="module")
def requests():
    return request_rows()


@pytest.fixture(scope="module")
def tokens():
    return token_rows()


def test_the_request_that_migrates_is_chosen(tokens, requests):
    table = timeline_table(tokens, requests)
    assert set(table["request_id"]) == {5}
    assert tuple(dict.fromkeys(table["policy"])) == POLICIES


def test_hand_over_is_marked_at_the_first_token_of_the_new_endpoint(tokens, requests):
    table = timeline_table(tokens, requests)
    marked = table[table["is_handed_over"]]
    assert list(zip(marked["policy"], marked["token_index"], marked["endpoint"], strict=True)) == [
        ("handing_over", 13, "device")
    ]
    # the line stands where the client had token 12 and asked the device for the rest
    axes = timeline(tokens, requests, policies=["handing_over"]).axes[1]
    verticals = [line for line in axes.lines if len(set(np.asarray(line.get_xdata(), dtype=float))) == 1]
    assert [float(line.get_xdata()[0]) for line in verticals] == pytest.approx([0.5 + 0.05 * 11 + 0.03])


def test_lanes_show_waiting_and_decoding_of_each_endpoint(tokens, requests):
    lanes = timeline(tokens, requests, policies=["handing_over"]).axes[0]
    bars = [
        (round(p.get_x(), 6), round(p.get_width(), 6), round(p.get_y() + p.get_height() / 2)) for p in lanes.patches
    ]
    asked = 0.5 + 0.05 * 11 + 0.03
    assert bars == [
        (0.0, 0.5, 0),
        (0.5, 0.55, 0),
        (round(asked, 6), round(4.53 - asked, 6), 1),
        (4.53, 1.7, 1),
    ]


def test_an_endpoint_that_lost_the_race_is_named(tokens, requests):
    lanes = timeline(tokens, requests, request_id=6, policies=["handing_over"]).axes[0]
    assert [(t.get_position()[1], t.get_text().strip()) for t in lanes.texts] == [(0, "asked, nothing of it shown")]


def test_times_count_from_the_request_and_late_tokens_from_the_first(tokens, requests):
    table = timeline_table(tokens, requests, policies=["handing_over"])
    assert table["delivered_s"].iloc[0] == pytest.approx(0.53)
    assert table["ideal_s"].iloc[4] == pytest.approx(1.0 + 4 / READER_TOK_PER_S)
    # token 13 + k comes at 4.53 + 0.1 k, its slot is 3.53 + 0.25 k: late up to k = 6
    assert list(table.loc[table["is_late"], "token_index"]) == [13, 14, 15, 16, 17, 18, 19]


def test_late_tokens_are_those_the_metrics_count(tokens, requests):
    for policy in POLICIES:
        table = timeline_table(tokens, requests, policies=[policy])
        delivered = Ragged.of([table["delivered_s"].to_numpy()])
        counted = read(delivered, np.array([1.0 / READER_TOK_PER_S]), np.array([1.0])).n_tok_late
        assert table["is_late"].sum() == counted[0]


def test_buffer_and_screen_follow_the_table(tokens, requests):
    table = timeline_table(tokens, requests, policies=["handing_over"])
    axes = draw_timeline(table).axes[1]
    curves = [line for line in axes.lines if line.get_color() == "black" and len(line.get_xdata()) == 30]
    np.testing.assert_allclose(curves[0].get_xdata(), table["displayed_s"])
    assert (table["displayed_s"] >= table["delivered_s"]).all()
    assert "TTFT 0.53 s, device from token 13, 7 late" in {t.get_title(loc="right") for t in draw_timeline(table).axes}


def test_an_unanswered_request_has_a_panel_that_says_so(tokens, requests):
    table = timeline_table(tokens, requests, request_id=8, policies=["server_only", "device_only"])
    assert list(table.loc[table["policy"] == "device_only", "token_index"]) == [0]
    panel = draw_timeline(table).axes[3]
    assert [text.get_text() for text in panel.texts] == ["no answer"]


def test_nobody_answered(tokens, requests):
    table = timeline_table(tokens, requests, request_id=8, policies=["server_only", "device_only"])
    figure = draw_timeline(table[table["policy"] == "device_only"])
    assert any("not answered under any policy" in text.get_text() for text in figure.texts)


def test_unknown_request_is_answered_with_those_there_are(tokens, requests):
    with pytest.raises(UserError, match=r"no tokens of request 99; there are of 5, 6, 8 \(a run with --tokens"):
        timeline(tokens, requests, request_id=99)


def test_no_tokens_at_all(tokens, requests):
    with pytest.raises(UserError, match="there are no tokens of any of the policies"):
        timeline(tokens.iloc[:0], requests)


def test_one_token_answers(tokens, requests):
    single = tokens[tokens["token_index"] == 1]
    table = timeline_table(single, requests.assign(output_tok=1))
    assert not table["is_late"].any()
    draw_timeline(table).draw_without_rendering()


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_any_number_of_policies_has_a_legend(tokens, requests, n):
    rows = [tokens[tokens["policy"] == "server_only"].assign(policy=f"p{i}") for i in range(n)]
    facts = [requests[requests["policy"] == "server_only"].assign(policy=f"p{i}") for i in range(n)]
    figure = timeline(pd.concat(rows), pd.concat(facts))
    legends = [*figure.legends, *(axes.get_legend() for axes in figure.axes if axes.get_legend())]
    assert len(legends) == 1
    figure.draw_without_rendering()
