"""The report as a file: the same bytes each time, small, where one asks for it; what is no result is one line."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from report_folders import run_folder

from discosim.cli import main
from discosim.core.errors import UserError
from discosim.report.html import report_text, write_report


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
