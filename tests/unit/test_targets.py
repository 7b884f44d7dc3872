"""Where results may be written: every verb refuses what cannot be before it computes, and keeps the links it gets."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from discosim import cli
from discosim.core.errors import UserError
from discosim.core.files import check_folder, check_target, replace_all, write_whole

SCENARIO = """\
name: mine
replications: 1
workload:
  kind: generate
  n_requests: 5
  arrivals: {kind: poisson, rate_per_s: 2}
  lengths: {kind: constant, prompt_tok: 20, output_tok: 20}
devices: [{profile: snapdragon-8-elite-llama-3.2-1b}]
server:
  kind: replay
  digest: openrouter-gpt-5.4
  prices: {prompt_usd_per_mtok: 1, output_usd_per_mtok: 2}
cost: {exchange_rate_usd_per_j: 1.0e-7}
policies: [{kind: server_only}]
"""
SWEEP = "name: many\nbase: mine.yaml\nsweep: {grid: {workload.n_requests: [5]}, seeds: {n: 1}}\n"
TRACE = "arrival_s,prompt_tok,output_tok\n0,10,5\n1,5,5\n"
LATENCIES = "ttft_s,tpot_s\n" + "0.1,0.02\n0.2,0.03\n" * 40


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in {"mine.yaml": SCENARIO, "many.yaml": SWEEP, "t.csv": TRACE, "file": "x"}.items():
        Path(name).write_text(text, encoding="utf-8")
    Path("folder/inside").mkdir(parents=True)
    for link, target in {"to_file": "file", "loop": "loop", "to_folder": "folder", "to_null.html": "/dev/null"}.items():
        Path(link).symlink_to(target)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run a command that must be refused in one line and leave everything as it is."""
    before = {path: path.lstat().st_mtime_ns for path in Path().rglob("*")}
    assert cli.main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert {path: path.lstat().st_mtime_ns for path in Path().rglob("*")} == before
    (line,) = printed.err.splitlines()
    return line.removeprefix("discosim: error: ")


@pytest.fixture
def _nothing_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        pytest.fail("computed before it looked at the place")

    for name in (
        "discosim.runs.store.simulate",
        "discosim.sweep.run.carry_out",
        "discosim.runs.convert.read_requests",
        "discosim.runs.convert.workload_of",
        "discosim.report.html.write.report_text",
        "discosim.traces.own_digest.digest_latency",
        "discosim.reproduce.run.make_table",
    ):
        monkeypatch.setattr(name, fail)


FOLDERS = {
    "file": "exists and is not a folder",
    "to_file": "exists and is not a folder",
    "file/out": "cannot be written (Not a directory)",
    "loop": "cannot be written (Too many levels of symbolic links)",
    "folder": "is not empty and holds no",
    ".": "is not empty and holds no",
    "..": "is not empty and holds no",
    "/": "is not empty and holds no",
    "/dev/null": "exists and is not a folder",
    "/proc/x/y": "cannot be written (No such file or directory)",
    "n" * 256: "cannot be used (File name too long)",
}
FILES = {
    "folder": "is a folder; name a file",
    "to_folder": "is a folder; name a file",
    "loop": "cannot be written (Too many levels of symbolic links)",
    "/dev/null": "is no ordinary file and cannot be replaced by one",
    "file/t.csv": "cannot be written (Not a directory)",
    "nowhere/t.csv": "cannot be written (no folder nowhere)",
    "n" * 256: "cannot be used (File name too long)",
}


@pytest.mark.usefixtures("_nothing_computes")
@pytest.mark.parametrize("command", ["run mine.yaml --out", "sweep many.yaml --executor serial --out"])
@pytest.mark.parametrize("target", FOLDERS, ids=lambda name: name[:20])
def test_folders(command: str, target: str, capsys: pytest.CaptureFixture[str]) -> None:
    line = refused(capsys, *command.split(), target)
    assert line.startswith(f"{target[:80]}...: " if len(target) > 80 else f"{target}: ")
    assert FOLDERS[target] in line


@pytest.mark.usefixtures("_nothing_computes")
@pytest.mark.parametrize(
    "command",
    ["traces convert t.csv --to vidur", "run mine.yaml --trace-events", "traces digest-latency t.csv --out"],
)
@pytest.mark.parametrize("target", FILES, ids=lambda name: name[:20])
def test_files(command: str, target: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert FILES[target] in refused(capsys, *command.split(), target)


@pytest.mark.usefixtures("_nothing_computes")
@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("file/r.html", "exists and is not a folder"),
        ("to_null.html", "is no ordinary file"),
        ("r.txt", "must end in .html"),
        (f"{'n' * 256}.html", "File name too long"),
    ],
)
def test_reports(target: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert message in refused(capsys, "report", "folder", "--out", target)


def test_a_timeline_does_not_replace_a_file_of_its_run(capsys: pytest.CaptureFixture[str]) -> None:
    Path("results/mine").mkdir(parents=True)
    for name in ("run.json", "requests.parquet"):
        line = refused(capsys, "run", "mine.yaml", "--trace-events", f"results/mine/{name}")
        assert line == f"results/mine/{name}: would replace what the run writes; give another name"


@pytest.mark.parametrize("options", ["--out both --trace-events both", "--out both/deep --trace-events both"])
def test_a_timeline_is_not_its_run(options: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, "run", "mine.yaml", *options.split()).startswith("both: is the place of the run's folder")
    assert not Path("both").exists()


def test_links_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("discosim.report.figures.draw_all", lambda _: [])
    Path("deep").mkdir()
    links = {"out": "deep/out", "w.csv": "deep/w.csv", "e.json": "deep/e.json", "r.html": "deep/r.html"}
    for link, target in links.items():
        Path(link).symlink_to(target)
    for command in (
        "run mine.yaml --out out --trace-events e.json",
        "run mine.yaml --out out/",
        "traces convert mine.yaml w.csv --to vidur",
        "report out --out r.html",
        "traces convert mine.yaml w.csv --to vidur",
    ):
        assert cli.main(command.split()) == 0
    assert capsys.readouterr().err == ""
    assert all(Path(link).is_symlink() and Path(link).readlink() == Path(target) for link, target in links.items())
    assert sorted(path.name for path in Path("deep").iterdir()) == ["e.json", "out", "r.html", "w.csv"]


def test_a_folder_that_can_be_made_is_no_mistake(tmp_path: Path) -> None:
    check_folder(Path("new/deep"))
    check_folder(Path("to_folder/new"))
    assert not Path("new").exists()
    with pytest.raises(UserError, match="exists and is not a folder"):
        check_folder(Path("file"))
    if os.geteuid():  # root may write everywhere
        Path("folder").chmod(0o500)
        with pytest.raises(UserError, match="is read-only"):
            check_folder(Path("folder/new"))


def test_several_files_are_written_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    write_whole(Path("a.txt"), "old")
    calls: list[int] = []

    def full(handle: int) -> None:
        calls.append(handle)
        if len(calls) == 1:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(UserError, match=r"cannot be written \(No space left on device\)"):
        replace_all({Path("a.txt"): b"new", Path("b.txt"): b"new"})
    assert Path("a.txt").read_text() == "old"
    assert not Path("b.txt").exists()
    assert not list(Path().glob(".*"))
    check_target(Path("a.txt"))
