"""Work that nobody saw is drawn: how much it was, until when, and who was cancelled."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sample_run import answer, request_rows, token_rows

from discosim.report.figures.timeline import draw_timeline, timeline_table

SERVER, DEVICE = 0, 1
POLICY = "handing_over"


def drawn(tokens: pd.DataFrame | None = None, **billed: float):
    """Return the table and the lanes of request 5 (prompt of 105 tokens; 12 tokens of the server, 18 of the device)."""
    facts = {
        "device_prefill_tok": 105.0 + 12.0, "device_decode_tok": 18, "server_prompt_tok": 105, "server_output_tok": 12,
        "device_energy_j": 200.0, "server_cost_usd": 0.0005, "sketch_tok": 0, "n_parts": 0,
    }  # fmt: skip
    requests = request_rows().assign(**(facts | billed))
    tokens = token_rows() if tokens is None else tokens
    table = timeline_table(tokens, requests, request_id=5, policies=[POLICY])
    return table, draw_timeline(table).axes[0]


def thrown(lanes) -> list[tuple[int, float, float]]:
    """Return lane, start and end of each bar of work that was thrown away."""
    return [
        (round(p.get_y() + p.get_height() / 2), p.get_x(), p.get_x() + p.get_width())
        for p in lanes.patches
        if p.get_hatch() == "xxxxxx"
    ]


def cancels(lanes) -> list[tuple[int, float]]:
    return [(int(line.get_ydata()[0]), float(line.get_xdata()[0])) for line in lanes.lines if line.get_marker() == "X"]


def test_a_device_that_lost_the_race_worked_until_the_first_token_came() -> None:
    table, lanes = drawn(device_prefill_tok=105 + 12 + 40.3)
    assert set(table["device_wasted_prefill_tok"]) == {40.0}
    assert thrown(lanes) == [(DEVICE, 0.0, pytest.approx(0.53))]
    assert cancels(lanes) == [(DEVICE, pytest.approx(0.53))]
    said = lanes.get_title(loc="right")
    assert said == "200 J (40 prompt tokens thrown away),\n0.500 mUSD\nTTFT 0.53 s, device from token 13, 7 late"


def test_two_policies_that_show_the_same_and_spend_otherwise_look_otherwise() -> None:
    _, wasteful = drawn(device_prefill_tok=105 + 12 + 40, device_energy_j=324.0)
    _, thrifty = drawn()
    assert thrown(thrifty) == []
    assert cancels(thrifty) == []
    assert thrifty.get_title(loc="right").startswith("200 J, 0.500 mUSD\n")
    assert len(wasteful.patches) == len(thrifty.patches) + 1


def test_what_a_server_made_after_a_hand_over_follows_at_its_pace() -> None:
    table, lanes = drawn(server_output_tok=15)
    assert set(table["server_wasted_tok"]) == {3.0}
    # its tokens came every 0.05 s, the last one that was shown at 1.05 s
    assert thrown(lanes) == [(SERVER, pytest.approx(1.05), pytest.approx(1.20))]
    assert cancels(lanes) == [(SERVER, pytest.approx(1.20))]


def test_a_server_that_lost_the_race_is_cancelled_and_told_of() -> None:
    tokens = answer(POLICY, 5, [("device", 0.3 + 0.1 * np.arange(30), 0.0)])
    table, lanes = drawn(tokens, device_prefill_tok=105, device_decode_tok=30, server_output_tok=4)
    assert (table["server_wasted_prefill_tok"].iloc[0], table["server_wasted_tok"].iloc[0]) == (105.0, 4.0)
    assert thrown(lanes) == [(SERVER, 0.0, pytest.approx(0.3))]
    assert "0.500 mUSD (105 prompt and 4 answer tokens thrown away)" in lanes.get_title(loc="right")


def test_sketches_are_no_waste_and_their_prompts_cannot_be_told_apart() -> None:
    table, lanes = drawn(server_output_tok=20, sketch_tok=8, device_prefill_tok=500)
    assert set(table["server_wasted_tok"]) == {0.0}
    assert table["device_wasted_prefill_tok"].isna().all()
    assert thrown(lanes) == []


def test_a_table_that_does_not_say_what_was_billed_is_drawn_without_it() -> None:
    table = timeline_table(token_rows(), request_rows(), request_id=5, policies=[POLICY])
    assert "device_wasted_tok" not in table
    lanes = draw_timeline(table).axes[0]
    assert thrown(lanes) == []
    assert "\n" not in lanes.get_title(loc="right")


@pytest.mark.parametrize(("wasted", "n"), [(0.0, 8), (40.0, 10)])
def test_the_legend_explains_waste_where_there_is_any(wasted: float, n: int) -> None:
    _, lanes = drawn(device_prefill_tok=105 + 12 + wasted)
    labels = [text.get_text() for text in lanes.figure.legends[0].get_texts()]
    assert len(labels) == n
    assert ("asked, work thrown away" in labels) == (wasted > 0)
