"""Figure of a white-box server over time: its table, and what stands in a folder."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sample_run import POLICIES, write_run

from discosim.core.errors import UserError
from discosim.report.figures import draw_all, server_series
from discosim.report.figures.server_series import COLUMNS, MOST_POINTS, PANELS, server_series_table


def seconds(policy: str, n: int, replication: int = 0) -> pd.DataFrame:
    """Return a made-up server whose numbers say which second it is."""
    t_s = np.arange(1, n + 1, dtype=float)
    row = {"running": t_s, "waiting": 2 * t_s, "prompt_tok_per_s": 0 * t_s, "output_tok_per_s": 3 * t_s}
    return pd.DataFrame({"policy": policy, "replication": replication, "t_s": t_s, **row, "kv_share": t_s / n})


def test_a_short_run_is_shown_by_the_second_and_a_long_one_in_means_of_equal_steps():
    short = server_series_table(seconds("a", MOST_POINTS))
    assert short["step_s"].unique().tolist() == [1.0]
    assert short["running"].tolist() == list(range(1, MOST_POINTS + 1))
    both = pd.concat([seconds("a", 2 * MOST_POINTS), seconds("b", 5), seconds("b", 99, replication=1)])
    rows = server_series_table(both)
    assert rows["step_s"].unique().tolist() == [2.0]
    a, b = rows[rows["policy"] == "a"], rows[rows["policy"] == "b"]
    assert a["t_s"].tolist() == list(range(2, 2 * MOST_POINTS + 1, 2))
    assert a["running"].tolist() == [t - 0.5 for t in a["t_s"]]  # the mean of t - 1 and t
    assert (b["t_s"].tolist(), b["running"].tolist()) == ([2.0, 4.0, 6.0], [1.5, 3.5, 5.0])  # the last holds one second


def test_a_picture_has_a_curve_for_each_policy_in_each_panel():
    figure = server_series(pd.concat([seconds("a", 9), seconds("b", 5)]), ["b", "a"])
    assert [len(axes.get_lines()) for axes in figure.axes] == [2] * len(PANELS)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["b", "a"]
    with pytest.raises(UserError, match=r"unknown policy 'c'"):
        server_series(seconds("a", 9), ["c"])
    with pytest.raises(UserError, match=r"no column 'kv_share'"):
        server_series(seconds("a", 9).drop(columns="kv_share"))


def test_it_lies_in_the_folder_where_there_was_a_server_to_look_into(tmp_path):
    folder = write_run(tmp_path)
    asked = [name for name in POLICIES if name != "device_only"]
    pd.concat([seconds(name, 7) for name in sorted(asked)])[list(COLUMNS)].to_parquet(folder / "series.parquet")
    drawn = [path.name for path in draw_all(folder)]
    assert drawn[-2:] == ["server_series.csv", "server_series.png"]
    table = pd.read_csv(folder / "figures" / "server_series.csv")
    assert list(dict.fromkeys(table["policy"])) == asked
