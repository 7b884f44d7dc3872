"""What a sweep gives: tidy tables, LaTeX, arrays, JSON, chosen columns, and what of each budget was spent."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sweep_samples import SWEEP, sweep, write

from discosim import cli, load_results
from discosim.core.errors import UserError
from discosim.core.json_text import read_json
from discosim.metrics.stats import t_interval
from discosim.report.frames import headings_of_axes, together
from discosim.report.sweep_text import render_sweep
from discosim.sweep.run import SweepResult
from discosim.sweep.spent import Rivals, Spent, of_rows, rivals_of, spent_at

RIVALS = (
    ("    - {kind: disco, name: B, budget: 0.2}", "    - {kind: stochastic, name: B, budget: 0.2, constraint: server}"),
    ("compare:\n", "compare:\n  - {metric: ttft_mean_s, policy: A, baseline: B}\n"),
    ("n: 3}", "n: 2}"),
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep")
    write(folder, SWEEP, *RIVALS)
    return folder


@pytest.fixture(scope="module")
def result(place: Path) -> SweepResult:
    return sweep(place / "sample.yaml", place / "out")


def printed(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    capsys.readouterr()
    assert cli.main(arguments) == code
    return capsys.readouterr().out


# --- tables -----------------------------------------------------------------------------------------------------


def test_a_tidy_table_has_a_row_per_point_policy_and_metric(result: SweepResult) -> None:
    tidy = result.to_frame(["ttft_mean_s", "qoe_andes_mean"], ["A", "server_only"])
    assert len(tidy) == 4 * 2 * 2
    assert list(tidy.columns[:3]) == ["policies.A.budget", "policies.B.budget", "link"]
    assert tidy.attrs["units"] == {"ttft_mean_s": "s", "qoe_andes_mean": "1"}
    table = result.table
    assert table is not None
    assert table.attrs["units"]["server_cost_mean_usd"] == "USD"
    row = tidy.iloc[0]
    values = table[(table["point"] == 0) & (table["policy"] == "A")]["ttft_mean_s"].to_numpy()
    half = 12.7062 * abs(values[0] - values[1]) / 2.0  # t of one degree of freedom, by hand
    assert (row["value"], row["n"], row["unit"]) == (pytest.approx(values.mean()), 2, "s")
    assert (row["low"], row["high"]) == pytest.approx((values.mean() - half, values.mean() + half), rel=1e-4)
    pd.testing.assert_frame_equal(load_results(result.store.folder), table, check_dtype=False)
    assert load_results(result.store.folder).attrs == table.attrs


def test_latex_and_html_name_each_axis_once(result: SweepResult) -> None:
    text = result.to_latex(["ttft_mean_s"], ["A"])
    assert "budget & link & policy & mean TTFT [s] \\\\" in text
    assert text.count("\\\\\n") == 1 + 4
    assert "one degree of freedom" in text
    html = result._repr_html_()
    assert html.count("<tr>") == 1 + 4 * 3
    assert repr(result).startswith("<SweepResult 'sample': 4 points x 2 seeds = 8 runs, 8 finished, 0 failed")
    with pytest.raises(UserError, match="unknown policy 'AA'"):
        result.to_latex(policies=["AA"])


def test_arrays_have_the_axes_as_dimensions(result: SweepResult) -> None:
    pytest.importorskip("xarray")
    held = result.to_xarray(["ttft_mean_s"])
    assert held["ttft_mean_s"].dims == ("policies.A.budget", "link", "policy", "seed")
    assert held.coords["policies.B.budget"].dims == ("policies.A.budget",)
    table = result.table
    assert table is not None
    for row in table.to_dict("records"):
        at = {"policies.A.budget": row["policies.A.budget"], "link": row["link"], "policy": row["policy"]}
        assert float(held["ttft_mean_s"].sel({**at, "seed": row["seed"]})) == row["ttft_mean_s"]


def test_axes_that_move_together_are_one_and_a_grid_is_none() -> None:
    table = pd.DataFrame({"x": [1, 2, 1, 2], "y": [10, 20, 10, 20], "z": ["a", "a", "b", "b"], "c": [5] * 4})
    assert together(table) == [["x", "y"], ["z"], ["c"]]
    twins = pd.DataFrame({"policies.A.budget": [1, 2], "policies.B.budget": [1, 2], "edge.budget": [3, 4]})
    assert headings_of_axes(twins) == {"policies.A.budget": "budget", "edge.budget": "edge.budget"}


def test_points_that_are_no_grid_are_one_dimension(result: SweepResult) -> None:
    pytest.importorskip("xarray")
    from discosim.report.arrays import sweep_arrays

    table = result.table
    assert table is not None
    held = sweep_arrays(table[table["point"] != 3], ["ttft_mean_s"])
    assert held["ttft_mean_s"].dims == ("point", "policy", "seed")
    assert held.coords["link"].dims == ("point",)


@pytest.mark.long
def test_a_shard_has_no_table(place: Path, tmp_path: Path) -> None:
    part = sweep(place / "sample.yaml", tmp_path / "part", shard=(1, 8))
    with pytest.raises(UserError, match="sweep collect"):
        part.to_frame()
    assert "1 finished" in repr(part)
    assert part._repr_html_().startswith("<pre>&lt;SweepResult")


# --- the command line ---------------------------------------------------------------------------------------------


def test_json_of_a_sweep(place: Path, result: SweepResult, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--executor", "serial", "--out", str(place / "out"), "--columns", "ttft_p50_s,slo_attainment"]
    found: dict[str, Any] = read_json(
        printed(capsys, "sweep", str(place / "sample.yaml"), *asked, "--slo", "ttft_s=1.5", "--json")
    )
    assert (found["verb"], found["name"], found["seeds"], found["is_complete"]) == ("sweep", "sample", [3, 4], True)
    assert found["runs"] == {"finished": 8, "failed": 0, "missing": 0}
    assert len(found["rows"]) == 4 * 3 * 2
    assert found["rows"][0]["at"] == {"policies.A.budget": 0.2, "policies.B.budget": 0.2, "link": "none"}
    assert len(found["comparisons"]) == 8
    assert found["comparisons"][0]["spent"][0]["allowed"] == 0.2
    shares = [row["value"] for row in found["rows"] if row["metric"] == "slo_attainment" and row["policy"] == "A"]
    columns = ["policy", "status", "ttft_s"]
    runs = [pd.read_parquet(path / "requests.parquet", columns=columns) for path in (place / "out" / "runs").iterdir()]
    mine = pd.concat(runs)
    mine = mine[(mine["policy"] == "A") & (mine["status"] != "rejected")]
    assert np.mean(shares) == pytest.approx((mine["ttft_s"] <= 1.5).mean())  # runs of equal size


def test_tables_and_standing_of_a_folder(place: Path, result: SweepResult, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(place / "out")
    text = printed(capsys, "table", out, "--columns", "ttft_mean_s,goodput_rps", "--slo", "ttft_s=1", "--policies", "A")
    assert "budget  link          policy" in text
    assert " ".join(text.split()).startswith(
        "out: mean ± half-width of the 95 % interval over 2 seeds, by luck and inputs"
    )
    assert len(text.splitlines()) == 2 + 1 + 1 + 2 + 1 + 4, "the heading takes two lines"
    assert len(printed(capsys, "table", out, "--to", "csv", "--columns", "ttft_mean_s").splitlines()) == 1 + 12
    assert "\\bottomrule" in printed(capsys, "table", out, "--to", "latex")
    assert read_json(printed(capsys, "table", out, "--json"))["rows"][0]["policy"] == "A"
    standing = read_json(printed(capsys, "sweep", "status", out, "--json"))
    assert (standing["verb"], standing["runs"]["finished"], standing["failed"]) == ("sweep status", 8, [])
    assert read_json(printed(capsys, "sweep", "collect", out, "--json"))["verb"] == "sweep collect"
    assert read_json(printed(capsys, "sweep", "clean", out, "--json"))["removed"] == []


@pytest.mark.long
def test_a_sweep_without_comparisons_prints_its_numbers(place: Path, tmp_path: Path) -> None:
    lone = SWEEP.partition("compare:")[0]
    path = write(tmp_path, lone, ("n: 3}", "n: 1}"), ("[0.2, 0.6]", "[0.2]"))
    text = render_sweep(sweep(path, tmp_path / "out"))
    assert "one seed, no intervals" in text
    assert "ttft_mean_s" in text


# --- budgets ----------------------------------------------------------------------------------------------------


def test_what_was_spent_stands_beside_what_was_allowed(result: SweepResult) -> None:
    table = result.table
    assert table is not None
    spent = spent_at(result.plan, table, result.seeds, result.differences)
    assert set(spent) == {(point, policy) for point in range(4) for policy in "AB"}
    for (point, policy), held in spent.items():
        rows = table[(table["point"] == point) & (table["policy"] == policy)]
        assert held.used.mean == pytest.approx(rows[f"budget_used_{held.side}"].mean())
        assert held.allowed == rows[f"policies.{policy}.budget"].iloc[0]
    sides = of_rows(result.plan, result.differences, spent)
    assert [base is None for _, base in sides] == [False] * 4 + [True] * 4  # server_only has no budget
    text = render_sweep(result)
    assert "A used" in text
    assert "B used" in text
    assert f"{100 * spent[0, 'B'].used.mean:.0f}" in text
    assert "prompt tokens that the server took, of those allowed" in " ".join(text.split())


def held(policy: str, shares: list[float], allowed: float = 0.3) -> Spent:
    values = np.array(shares)
    return Spent(policy, "server", allowed, t_interval(values), values)


@pytest.mark.parametrize(
    ("mine", "theirs", "differs"),
    [
        ([0.30, 0.31, 0.29], [0.30, 0.31, 0.29], False),
        ([0.30, 0.31, 0.29], [0.20, 0.21, 0.19], True),  # ten points less in every pair
        ([0.30, 0.31, 0.29], [0.304, 0.314, 0.294], False),  # clear, and too little to matter
        ([0.30, 0.40, 0.20], [0.35, 0.20, 0.45], False),  # much, and by luck
        ([0.30, math.nan, 0.29], [0.10, 0.12, 0.09], True),  # two pairs of equal difference
    ],
)
def test_rivals_spend_differently_where_it_is_clear_and_matters(
    result: SweepResult, mine: list[float], theirs: list[float], differs: bool
) -> None:
    rivals = Rivals(result.differences[0], held("A", mine), held("B", theirs))
    assert rivals.spent_differently is differs


def test_rivals_are_said_once_a_pair_and_point(result: SweepResult) -> None:
    row = result.differences[0]
    pair = (held("A", [0.3, 0.31]), held("B", [0.1, 0.11]))
    assert len(rivals_of([row, row], [pair, pair])) == 1
    assert rivals_of([row], [(pair[0], None)]) == []
    other = Spent("B", "device", 0.3, pair[1].used, pair[1].by_seed)
    assert rivals_of([row], [(pair[0], other)]) == []  # two endpoints: no common measure


def test_the_text_says_where_rivals_spent_differently(result: SweepResult, monkeypatch: pytest.MonkeyPatch) -> None:
    table = result.table
    assert table is not None
    shares = table["policy"].map({"A": 0.30, "B": 0.10, "server_only": 1.0}) + 0.01 * (table["seed"] - 3)
    changed = table.assign(budget_used_server=shares)
    object.__setattr__(result, "table", changed)
    try:
        text = " ".join(render_sweep(result).split())
    finally:
        object.__setattr__(result, "table", table)
    assert "rivals spent differently in 4 comparisons" in text
    assert "A and B +20" in text


def test_a_table_says_which_runs_it_lacks(
    result: SweepResult, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(result.store.folder, tmp_path / "part")
    runs = sorted((folder / "runs").iterdir())
    for n_lost in (1, len(runs)):
        for run in runs[:n_lost]:
            shutil.rmtree(run, ignore_errors=True)
        cli.main(["sweep", "collect", str(folder)])
        code = cli.main(["table", str(folder), "--columns", "ttft_mean_s"])
        said = capsys.readouterr().err
        assert (code, "note: 1 of 8 runs failed or are missing" in said) == ((0, True) if n_lost == 1 else (2, False))
