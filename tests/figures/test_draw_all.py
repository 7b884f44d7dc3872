"""Figures of a result folder: from files alone, each beside its table."""

from __future__ import annotations

import pandas as pd
import pytest
from sample_run import POLICIES, request_rows, write_run

from discosim.core.errors import UserError
from discosim.report.figures import draw_all
from discosim.report.figures.ttft_cdf import ttft_cdf_table


@pytest.fixture
def folder(tmp_path):
    return write_run(tmp_path)


def test_each_figure_lies_beside_its_table_and_drawing_again_gives_the_same_bytes(folder):
    paths = draw_all(folder)
    first = {path: path.read_bytes() for path in paths}
    assert {path: path.read_bytes() for path in draw_all(folder)} == first
    assert [path.relative_to(folder).as_posix() for path in paths] == [
        f"figures/{name}.{suffix}" for name in ("ttft_cdf", "cost_ttft", "timeline") for suffix in ("csv", "png")
    ]
    table = pd.read_csv(folder / "figures" / "ttft_cdf.csv")
    expected = ttft_cdf_table(request_rows(), POLICIES)
    pd.testing.assert_frame_equal(table, expected, rtol=1e-8)
    # the scenario's order of policies, which the summary keeps, not the alphabetical one of the rows
    assert tuple(dict.fromkeys(pd.read_csv(folder / "figures" / "timeline.csv")["policy"])) == POLICIES


def test_no_example_tokens_is_a_picture_too(folder):
    path = folder / "example_tokens.parquet"
    pd.read_parquet(path).iloc[:0].to_parquet(path)
    assert (folder / "figures" / "timeline.png") in draw_all(folder)


@pytest.mark.parametrize("name", ["summary.json", "requests.parquet", "example_tokens.parquet"])
def test_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(UserError, match=rf"{name}: no such file"):
        draw_all(folder)
    assert not (folder / "figures").exists()


@pytest.mark.parametrize("name", ["summary.json", "requests.parquet", "example_tokens.parquet"])
def test_damaged_file_is_named(folder, name):
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=rf"{name}: not a "):
        draw_all(folder)


def test_summary_of_something_else(folder):
    (folder / "summary.json").write_text("[]", encoding="utf-8")
    with pytest.raises(UserError, match=r"summary.json: not a summary: expected the keys baseline"):
        draw_all(folder)


def test_missing_column_names_the_file(folder):
    path = folder / "requests.parquet"
    pd.read_parquet(path).drop(columns="n_migrations").to_parquet(path)
    with pytest.raises(UserError, match=r"requests.parquet: no column 'n_migrations'"):
        draw_all(folder)
