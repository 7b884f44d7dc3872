"""Whatever a hand or a disk does to a folder of figures: it is said in a line or made good, never another verdict."""

from __future__ import annotations

import contextlib
import io
import random
import shutil
from pathlib import Path

import damage
import pytest
from tiny_paper import write_paper
from worlds import one_in

from discosim.cli import main
from discosim.core.errors import UserError
from discosim.report.html import report_text

FILES = ("tables/waits.csv", "tables/exact.csv", "verdicts.csv", "run.json", "figures/waits.png", "tasks/*.json")
CASES = [(file, kind) for file in FILES for kind in damage.KINDS]


def said(*arguments: str) -> tuple[int, str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([*arguments, "--experiments", "papers", "--out", "out"])
    lines = [line for line in err.getvalue().splitlines() if line.startswith("discosim: ")]
    assert all(line.isprintable() for line in lines)
    assert (code, len(lines)) in {(0, 0), (2, 1)}, err.getvalue()
    return code, out.getvalue()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    write_paper(folder / "papers")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert said("figures", "tiny", "--executor", "serial")[0] == 0
    return folder


@pytest.fixture
def here(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path / "out" / "tiny-quick"


def harm(folder: Path, file: str, kind: str) -> Path:
    path = min(folder.glob(file))
    damage.KINDS[kind](path, random.Random(f"{file} {kind}"))
    return path


@pytest.mark.parametrize(("file", "kind"), one_in(3, CASES, pytest.mark.long))
def test_no_damage_gives_another_verdict(made: Path, here: Path, file: str, kind: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(made)
        right = said("claims", "tiny")[1]
    harm(here, file, kind)
    code, out = said("claims", "tiny")
    assert out == (right if code == 0 else "")
    if file.startswith("tables/"):
        assert code == 2
    elif file != "run.json":  # of which some words decide nothing
        assert code == 0
    page = what_comes_of(here)
    if page.startswith("<!doctype html>") and file not in {"run.json", "tasks/*.json"}:
        assert kind in {"gone", "a link to nothing"}, "only what is not there is left out"
    elif file != "run.json":
        assert Path(file).name in page or "tasks" in file or "verdicts.csv" in page


def what_comes_of(folder: Path) -> str:
    """Return the report of a folder, or the line that is said instead."""
    try:
        return report_text(folder)
    except UserError as error:
        return " / ".join(str(error).splitlines())


@pytest.mark.long
@pytest.mark.parametrize(("file", "kind"), one_in(8, CASES))
def test_the_same_command_makes_it_good(made: Path, here: Path, file: str, kind: str) -> None:
    path = harm(here, file, kind)
    code, _ = said("figures", "tiny", "--executor", "serial")
    if kind in {"a folder", "a pipe"} and not file.startswith("tasks/"):
        assert code == 2, "what is no file is not replaced by one"
        damage.remove(path)
        assert said("figures", "tiny", "--executor", "serial")[0] == 0
    else:
        assert code == 0
    for name in ("tables/waits.csv", "tables/exact.csv", "figures/waits.png"):
        assert (here / name).read_bytes() == (made / "out" / "tiny-quick" / name).read_bytes()
    assert said("claims", "tiny")[0] == 0


def test_a_table_that_was_changed_is_named(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = here / "tables" / "waits.csv"
    table.write_text(table.read_text().replace("1.4", "1.9"))
    assert main(["claims", "tiny", "--experiments", "papers", "--out", "out"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("discosim: error: out/tiny-quick/tables/waits.csv: is damaged: it has changed since it was")
    assert line.endswith("; `discosim figures` makes it anew")


def test_a_kept_result_that_was_changed_is_computed_again(here: Path) -> None:
    (first, *_) = sorted((here / "tasks").iterdir())
    before = first.read_text()
    first.write_text(before.replace("2.0", "9.0").replace("1.4", "9.0"))
    assert first.read_text() != before or "wait_s" in before
    assert said("figures", "tiny", "--executor", "serial")[0] == 0
    assert first.read_text() == before
