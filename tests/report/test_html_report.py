"""The report holds what the folder holds, is the same each time, loads nothing, and runs no name as code."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from report_folders import HOSTILE, MARKUP, SCENARIO, run_folder

from discosim.cli import main
from discosim.config import load_scenario
from discosim.core.errors import UserError
from discosim.report.figures.ttft_cdf import COLUMNS, ttft_cdf_table
from discosim.report.html import report_text, write_report
from discosim.report.html.grid import axis_of, grid
from discosim.report.html.markup import json_block, tag, text
from discosim.report.html.requests import MAX_RUNS, examples_data
from discosim.report.html.run_folder import CDF_POINTS
from discosim.report.tables import read_columns
from discosim.runs import execute_to_folder
from discosim.sweep.store import Store

KINDS = ("run", "sweep", "figures", "validate")
LOADING = {"src", "srcset", "href", "data", "action", "poster", "background"}


class Parsed(HTMLParser):
    """A page as a browser takes it apart: elements, attributes, visible text, and the content of scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.words = ""
        self._inside = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside != "style":
            self.words += data

    @property
    def data(self) -> Any:
        """The data of the charts."""
        return json.loads(self.scripts[0])


@pytest.fixture(scope="session")
def parsed(reports: dict[str, Path]) -> dict[str, Parsed]:
    return {kind: Parsed(path.read_text(encoding="utf-8")) for kind, path in reports.items()}


# --- safety ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_hostile_name_is_only_text(kind: str, parsed: dict[str, Parsed], reports: dict[str, Path]) -> None:
    page = parsed[kind]
    name = MARKUP if kind == "sweep" else HOSTILE
    assert kind == "validate" or name in [policy["name"] for policy in page.data["policies"]]
    assert not [1 for name, attributes in page.elements if name == "img" and attributes.get("src") == "x"]
    assert not [1 for _, attributes in page.elements if any(key.startswith("on") for key in attributes)]
    assert len(page.scripts) == 2
    assert MARKUP not in reports[kind].read_text(encoding="utf-8")
    assert name in page.words


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_loaded(kind: str, parsed: dict[str, Parsed]) -> None:
    for name, attributes in parsed[kind].elements:
        for key in LOADING & attributes.keys():
            value = attributes[key] or ""
            assert value.startswith(("data:", "#")) or (name, key) == ("a", "href"), (name, key, value)
    sheets = "".join(part for part in parsed[kind].scripts[1:])
    assert not re.search(r"\b(fetch|XMLHttpRequest|import|eval|innerHTML|outerHTML|insertAdjacentHTML)\b", sheets)


@pytest.mark.parametrize("kind", KINDS)
def test_the_policy_of_the_page_names_its_own_script_and_no_other(kind: str, parsed: dict[str, Parsed]) -> None:
    (policy,) = [a["content"] for name, a in parsed[kind].elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    digest = base64.b64encode(hashlib.sha256(parsed[kind].scripts[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy


def test_markup_is_made_by_tags_alone() -> None:
    assert text(tag("b", HOSTILE)) == "<b>&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;</b>"
    assert tag("p", "x", title='"><script>') == '<p title="&quot;&gt;&lt;script&gt;">x</p>'
    block = json_block({"a": HOSTILE, "b": "<!--\u2028&", "c": float("nan"), "d": 0.123456789})
    assert not set("<>&\u2028\u2029") & set(block)
    assert json.loads(block) == {"a": HOSTILE, "b": "<!--\u2028&", "c": None, "d": 0.123457}


# --- structure ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_is_built_for_those_who_hear_it(kind: str, parsed: dict[str, Parsed]) -> None:
    elements = parsed[kind].elements
    levels = [int(name[1]) for name, _ in elements if re.fullmatch(r"h[1-6]", name)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert all(attributes.get("scope") for name, attributes in elements if name == "th")
    assert all(attributes.get("alt") for name, attributes in elements if name == "img")
    assert all(attributes.get("aria-label") for _, attributes in elements if attributes.get("role") == "region")
    known = [attributes["id"] for _, attributes in elements if "id" in attributes]
    assert len(known) == len(set(known))
    inside = [str(a["href"])[1:] for name, a in elements if name == "a" and str(a.get("href")).startswith("#")]
    assert inside
    assert set(inside) <= set(known)


@pytest.mark.parametrize("kind", KINDS)
def test_no_number_needs_a_second_reading(kind: str, parsed: dict[str, Parsed]) -> None:
    words = re.sub(r"config\.yaml.*", "", parsed[kind].words, flags=re.DOTALL)
    for wrong in (r"\b0(\.0+)? ± 0(\.0+)?\b", r"\d[eE][-−]\d", r"\[1\]", r"\b(ttft|qoe|tbt)_\w+", r"\[USD\]"):
        assert re.findall(wrong, words.replace("exchange rate 1e-07 USD", "")) == [], wrong


# --- what it holds --------------------------------------------------------------------------------------------


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


def test_what_steers_a_terminal_or_turns_a_line_around_is_written_out() -> None:
    evil = "a\x1b[31m\u202eb\u200b\x00<"
    shown = r"a\x1b[31m\u202eb\u200b\x00"
    assert str(tag("p", evil, title=evil)) == f'<p title="{shown}&lt;">{shown}&lt;</p>'
    assert json.loads(str(json_block({evil: [evil]}))) == {f"{shown}<": [f"{shown}<"]}


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


# --- the file -------------------------------------------------------------------------------------------------


def test_the_same_folder_gives_the_same_bytes(folders: dict[str, Path], reports: dict[str, Path]) -> None:
    for kind, folder in folders.items():
        assert report_text(folder).encode() == reports[kind].read_bytes()


def test_the_report_of_a_rerun_differs_in_what_run_json_says_alone(tmp_path: Path, folders: dict[str, Path]) -> None:
    again = run_folder(tmp_path)
    shutil.copy(folders["run"] / "run.json", again / "run.json")
    assert report_text(again) == report_text(folders["run"])


def test_a_report_is_small(reports: dict[str, Path]) -> None:
    assert all(path.stat().st_size < 400_000 for path in reports.values())


def test_the_verb_writes_into_the_folder_and_leaves_nothing_else(
    tmp_path: Path, folders: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(folders["figures"], tmp_path / "f")
    before = {path.name for path in folder.iterdir()}
    assert main(["report", str(folder)]) == 0
    assert str(folder / "report.html") in capsys.readouterr().out
    assert {path.name for path in folder.iterdir()} - before == {"report.html"}
    assert main(["report", str(folder), "--out", str(tmp_path / "new" / "x.html")]) == 0
    assert (tmp_path / "new" / "x.html").read_bytes() == (folder / "report.html").read_bytes()


def test_a_new_run_takes_the_old_report_away(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    write_report(folder)
    (folder / "notes.txt").write_text("mine", encoding="utf-8")
    run_folder(tmp_path)
    assert not (folder / "report.html").exists()
    assert (folder / "notes.txt").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "no such folder"),
        (["."], "holds no results to report: expected run.json and summary.json (a run), plan.json"),
        (["bad"], "not a readable JSON file"),
        (["good", "--out", "config.yaml"], "must end in .html"),
        (["good", "--out", "dir.html"], "is a folder"),
    ],
)
def test_what_is_no_folder_of_results_is_answered_in_one_line(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    folders: dict[str, Path],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("dir.html").mkdir()
    Path("config.yaml").write_text("mine", encoding="utf-8")
    shutil.copytree(folders["run"], "good")
    shutil.copytree(folders["run"], "bad")
    Path("bad/run.json").write_text("{", encoding="utf-8")
    assert main(["report", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1
    assert message in printed.err
    assert Path("config.yaml").read_text(encoding="utf-8") == "mine"
    assert not list(tmp_path.rglob("report.html"))


@pytest.mark.parametrize("name", ["requests.parquet", "example_tokens.parquet", "summary.json", "config.yaml"])
def test_a_damaged_file_is_named(name: str, tmp_path: Path, folders: dict[str, Path]) -> None:
    folder = shutil.copytree(folders["run"], tmp_path / "damaged")
    (folder / name).write_bytes(b"\x00: [\xff")
    with pytest.raises(UserError, match=re.escape(name)):
        report_text(folder)
