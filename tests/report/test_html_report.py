"""The report holds what the folder holds."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from parsed_page import Parsed
from report_folders import HOSTILE, SCENARIO

from discosim.config import load_scenario
from discosim.core.errors import UserError
from discosim.report.figures.ttft_cdf import COLUMNS, ttft_cdf_table
from discosim.report.html import report_text
from discosim.report.html.grid import axis_of, grid
from discosim.report.html.requests import MAX_RUNS, examples_data
from discosim.report.html.run_folder import CDF_POINTS
from discosim.report.tables import read_columns
from discosim.runs import execute_to_folder
from discosim.sweep.store import Store


def test_a_run_shows_numbers_inputs_and_requests(folders: dict[str, Path], parsed: dict[str, Parsed]) -> None:
    page, folder = parsed["run"], folders["run"]
    facts = json.loads((folder / "run.json").read_text())
    summary = json.loads((folder / "summary.json").read_text())
    wide = json.loads((folder / "inputs.json").read_text())["with_inputs"]  # 22 probes are behind the service
    for word in (
        "discosim run small.yaml", facts["commit"][:12], facts["platform"], f"numpy {facts['libraries']['numpy']}",
        facts["files"]["requests.parquet"]["sha256"], "as written", *facts["inputs_sha256"].values(), "assumption",
        "measured", "github.com",
    ):  # fmt: skip
        assert word in page.words, word
    assert [policy["name"] for policy in page.data["policies"]] == list(summary["policies"])
    (ttft,) = [metric for metric in page.data["summary"]["metrics"] if metric["name"] == "ttft_mean_s"]
    for row, (policy, numbers) in zip(ttft["rows"], summary["policies"].items(), strict=True):
        known = numbers["ttft_mean_s"]  # one policy here answers nothing
        half = wide.get(policy, {}).get("ttft_mean_s", known)["half_width"]
        assert known["mean"] is None or half >= known["half_width"]
        assert row[:3] == pytest.approx([known["mean"], half, known["diff"]], rel=1e-5, nan_ok=True)
    assert "by luck and inputs (server" in page.words
    (shown,) = page.data["examples"]["runs"]
    tokens = read_columns(folder / "example_tokens.parquet", ("policy", "request_id", "endpoint"))
    assert n_tokens_of(shown) == len(tokens)


def test_a_server_that_can_be_looked_into_is_shown_over_time(
    folders: dict[str, Path], parsed: dict[str, Parsed]
) -> None:
    page = parsed["engine"]
    assert "The server over time" in page.words
    rows = read_columns(folders["engine"] / "series.parquet", ("policy", "replication", "t_s", "running", "kv_share"))
    first = rows[rows["replication"] == 0]
    shown, none = page.data["series"]["curves"]
    assert none is None  # device_only
    assert page.data["series"]["stepS"] == 1.0
    assert shown["t_s"] == first["t_s"].tolist()
    assert shown["running"] == first["running"].tolist()
    assert shown["kv_share"] == pytest.approx(first["kv_share"].tolist(), abs=1e-6)
    assert "The server over time" not in parsed["run"].words


def n_tokens_of(run: dict[str, Any]) -> int:
    return sum(len(answer["by"]) for request in run["requests"] for answer in request["answers"] if answer)


def test_a_sweep_shows_the_requests_of_one_run_of_each_point(
    folders: dict[str, Path], parsed: dict[str, Parsed]
) -> None:
    runs = parsed["sweep"].data["examples"]["runs"]
    seeds = json.loads((folders["sweep"] / "plan.json").read_text())["seeds"]
    assert [run["name"] for run in runs] == [
        f"budget = {budget}, link = {link}, seed {seeds[0]}"
        for budget in ("0.6", "0.2")
        for link in ("none", "constant 0.1")
    ]
    assert all(n_tokens_of(run) > 0 for run in runs)
    ttft_s = [[answer["shown"][0] for answer in run["requests"][0]["answers"] if answer] for run in runs]
    assert ttft_s[0] != ttft_s[1], "the two last hops give other times"


def test_a_large_sweep_shows_some_of_its_points_and_no_more_tokens_than_a_page_may_carry(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("discosim.report.html.requests.MAX_TOKENS", 600)
    many = {f"point {k}": folders["run"] for k in range(60)}
    found = examples_data(many, ["server_only", "A"])
    assert found is not None
    assert found["nRunsLeftOut"] == 60 - len(found["runs"]) == 60 - MAX_RUNS
    assert (found["runs"][0]["name"], found["runs"][-1]["name"]) == ("point 0", "point 59")
    assert all(len(run["requests"]) == 1 and run["nLeftOut"] > 0 for run in found["runs"])
    assert examples_data({"empty": folders["run"] / "figures"}, ["A"]) is None


def test_a_thinned_distribution_stays_within_a_hundredth(folders: dict[str, Path], parsed: dict[str, Parsed]) -> None:
    names = [policy["name"] for policy in parsed["run"].data["policies"]]
    whole = ttft_cdf_table(read_columns(folders["run"] / "requests.parquet", COLUMNS), names)
    for name, curve in zip(names, parsed["run"].data["cdf"]["curves"], strict=True):
        assert len(curve["x"]) <= CDF_POINTS
        rows = whole[whole["policy"] == name]
        error = np.interp(rows["ttft_s"], curve["x"], curve["share"]) - rows["share"]
        assert np.abs(error).max() <= 0.01


def test_a_sweep_shows_every_point_with_the_interval_over_seeds(
    folders: dict[str, Path], parsed: dict[str, Parsed]
) -> None:
    data = parsed["sweep"].data
    (found,) = data["grids"]
    assert [(axis["label"], axis["values"]) for axis in found["axes"]] == [
        ("budget", ["0.2", "0.6"]),
        ("link", ["none", "constant 0.1"]),
    ]
    assert len(found["cells"]) == 2 * 2 * 3
    index = pd.read_parquet(folders["sweep"] / "index.parquet")
    (metric,) = [metric for metric in found["metrics"] if metric["name"] == "ttft_p99_s"]
    for k, cell in enumerate(found["cells"]):
        budget, link = (axis["values"][i] for axis, i in zip(found["axes"], cell["at"], strict=True))
        mine = index[(index["policies.A.budget"] == float(budget)) & (index["link"] == link)]
        values = mine[mine["policy"] == data["policies"][cell["policy"]]["name"]]["ttft_p99_s"]
        assert metric["n"][k] == len(values) == 3
        assert metric["mean"][k] == pytest.approx(values.mean(), rel=1e-5)
        assert metric["half"][k] == pytest.approx(4.3026527 * values.std() / 3**0.5, rel=1e-5)
    assert found["first"] == "ttft_mean_s"
    assert "mean time to first token: A against server_only" in parsed["sweep"].words


def test_an_unfinished_sweep_shows_what_is_there_and_what_failed(tmp_path: Path, folders: dict[str, Path]) -> None:
    folder = shutil.copytree(folders["sweep"], tmp_path / "part")
    (folder / "index.parquet").unlink()
    store = Store(folder)
    runs = store.planned()
    for run in (runs[0], runs[5]):
        shutil.rmtree(store.path(run))
    store.write_failure(runs[5], {"error": f"it broke {HOSTILE}", "tries": 3})
    page = Parsed(report_text(folder))
    assert "10 runs finished, 1 failed, 1 missing" in page.words
    assert f"it broke {HOSTILE}" in page.words
    assert sorted(set(page.data["grids"][0]["metrics"][0]["n"])) == [2, 3]
    shutil.rmtree(folder / "runs")
    with pytest.raises(UserError, match="no run of this sweep is finished yet"):
        report_text(folder)


def test_differences_come_from_the_runs_and_damaged_runs_are_named(tmp_path: Path, folders: dict[str, Path]) -> None:
    folder = shutil.copytree(folders["sweep"], tmp_path / "part")
    before = report_text(folder)
    (folder / "comparisons.csv").write_text("nothing")
    assert report_text(folder) == before
    (folder / "index.parquet").write_bytes((folder / "index.parquet").read_bytes()[:-9])
    assert report_text(folder) == before
    run = min((folder / "runs").iterdir())
    (run / "requests.parquet").write_bytes(b"PAR1")
    page = Parsed(report_text(folder))
    assert run.name in page.words
    assert "requests.parquet has 4 bytes" in page.words
    assert "11 runs finished, 0 failed, 1 missing" in page.words


def test_a_paper_shows_verdicts_with_what_they_rest_on(parsed: dict[str, Parsed]) -> None:
    page = parsed["figures"]
    badges = [a["class"] for name, a in page.elements if name == "span" and "badge" in (a.get("class") or "")]
    assert "badge weak" in badges
    for word in ("reproduced, on assumed inputs", "52 % [50, 54]", "a half", "recollection", "nobody says", "raw"):
        assert word in page.words, word
    (found,) = page.data["grids"]
    assert found["axes"] == [{"label": "load", "values": ["1", "2"], "numbers": [1, 2]}]
    assert [metric["name"] for metric in found["metrics"]] == ["wait_s", "n_tok"]
    pictures = [a["src"] for name, a in page.elements if name == "img"]
    assert len(pictures) == 2
    assert str(pictures[0]).startswith("data:image/png;base64,iVBOR")


def test_what_a_folder_lacks_is_left_out(tmp_path: Path, folders: dict[str, Path]) -> None:
    folder = shutil.copytree(folders["run"], tmp_path / "bare")
    (folder / "example_tokens.parquet").unlink()
    (folder / "config.yaml").unlink()
    page = Parsed(report_text(folder))
    anchors = {a.get("id") for name, a in page.elements if name == "section"}
    assert anchors == {"policies", "ttft", "cost", "inputs", "provenance"}
    assert "missing" in page.words
    assert "Not there any more: config.yaml, example_tokens.parquet." in page.words
    (folder / "requests.parquet").unlink()
    assert "cdf" not in Parsed(report_text(folder)).data


def test_a_single_replication_has_numbers_and_no_intervals(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(SCENARIO, encoding="utf-8")
    scenario = load_scenario(tmp_path / "one.yaml", overrides=["replications=1", "workload.n_requests=20"])
    execute_to_folder(scenario, tmp_path / "one")
    page = Parsed(report_text(tmp_path / "one"))
    assert "with one replication nothing says how much of that is luck" in page.words
    assert {row[1] for metric in page.data["summary"]["metrics"] for row in metric["rows"]} == {None}


def test_metrics_give_way_where_a_table_is_huge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("discosim.report.html.grid.MAX_NUMBERS", 3 * 2 * 2)
    rows = pd.DataFrame({"policy": ["a", "a", "b"], "x": [1, 1, 1], "p": [1.0, 2.0, 3.0], "q": 0.0, "r": 0.0})
    found = grid("t", rows, [axis_of("x", [1])], [[0]] * 3, ["a", "b"], ["p", "q", "r"], first="p")
    assert [metric["name"] for metric in found["metrics"]] == ["p", "q"]
    assert found["metrics"][0]["n"] == [2, 1]
