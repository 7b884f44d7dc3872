"""Whatever a hand or a disk does to a folder of results: it is said in a line or made good, never another number."""

from __future__ import annotations

import contextlib
import io
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import damage
import pandas as pd
import pytest
from sweep_samples import SWEEP, contents, sweep, write
from worlds import one_in

from discosim import cli, load_results
from discosim.core.errors import UserError
from discosim.sweep.store import Store

SMALL = (("n: 3}", "n: 2}"), ("[0.2, 0.6]", "[0.2]"))
FILES = (
    "plan.json", "index.parquet", "comparisons.csv", "failures/901bf28e22-s1.json", "runs/*/run.json",
    "runs/*/config.yaml", "runs/*/requests.parquet", "runs/*/replications.parquet", "runs/*/example_tokens.parquet",
    "runs/*/summary.json",
)  # fmt: skip
CASES = [(file, kind) for file in FILES for kind in damage.KINDS]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished sweep of four runs, with the error of a run of another plan."""
    folder = tmp_path_factory.mktemp("made")
    sweep(write(folder, SWEEP, *SMALL), folder / "out")
    store = Store(folder / "out")
    (folder / "out" / FILES[3]).write_text('{"error": "it broke", "tries": 3, "traceback": "", "point": 0}')
    assert len(store.state(store.planned()).finished) == 4
    return folder


@pytest.fixture
def here(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(made / "out", "out")
    write(tmp_path, SWEEP, *SMALL)
    return tmp_path


def of_runs(folder: Path) -> dict[str, bytes]:
    """Return what a sweep writes, without the error of a run that is no more."""
    return {name: content for name, content in contents(folder).items() if not name.startswith("failures/")}


def harm(folder: Path, file: str, kind: str, seed: int = 0) -> Path:
    """Damage a file of a sweep, of its second run where it is one of a run."""
    path = sorted(folder.glob(file))[min(1, len(sorted(folder.glob(file))) - 1)]
    damage.KINDS[kind](path, random.Random(f"{file} {kind} {seed}"))
    return path


def said(*arguments: str) -> tuple[int, str, list[str]]:
    """Run a command; what it says on stderr are lines of ours, and nothing that steers a terminal."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.main(arguments)
    lines = err.getvalue().splitlines()
    assert all(line.startswith("discosim: ") and line.isprintable() for line in lines), lines
    assert code in {0, 1, 2}
    assert (code == 2) == any(line.startswith("discosim: error: ") for line in lines)
    return code, out.getvalue(), lines


def numbers(folder: Path) -> pd.DataFrame:
    return load_results(folder).reset_index(drop=True)


def check_numbers(folder: Path, right: pd.DataFrame) -> None:
    """Every number that is given is right; what is lacking is said to be missing."""
    try:
        found = numbers(folder)
    except UserError:
        return
    lacking = found[found["status"] != "finished"]
    assert set(lacking["status"]) <= {"missing", "failed"}
    kept = right[~right["run"].isin(set(lacking["run"]))]
    pd.testing.assert_frame_equal(
        found[found["status"] == "finished"].reset_index(drop=True), kept.reset_index(drop=True), check_dtype=False
    )


@pytest.mark.parametrize(("file", "kind"), one_in(3, CASES, pytest.mark.long))
def test_no_damage_gives_another_number(made: Path, here: Path, file: str, kind: str) -> None:
    path = harm(here / "out", file, kind)
    check_numbers(Path("out"), numbers(made / "out"))
    code, out, lines = said("sweep", "status", "out")
    if file == "plan.json":
        assert (code, len(lines)) == (2, 1)
        assert lines[0].startswith("discosim: error: out/plan.json: ")
        return
    assert code == 0
    if file.startswith("runs/") and not is_harmless(made, path):
        assert out.startswith("out: 3 finished, 0 failed, 1 missing")
        named = "" if path.name == "run.json" else f"{path.name} "  # a wrong hash there seems another file's fault
        assert f"\n  {path.parent.name}  {named}" in out
    elif not file.startswith("runs/"):
        assert out == "out: 4 finished, 0 failed, 0 missing\n"


def is_harmless(made: Path, path: Path) -> bool:
    """Tell whether damage has hit a fact that decides no number: run.json also says how long it took, and where."""
    if path.name != "run.json" or not path.is_file():
        return False
    store = Store(path.parents[2])
    return any(store.facts(run) is not None and run.folder == path.parent.name for run in Store(made / "out").planned())


@pytest.mark.long
@pytest.mark.parametrize(("file", "kind"), one_in(10, CASES))
def test_every_verb_bears_every_damage_and_the_same_command_makes_it_good(
    made: Path, here: Path, file: str, kind: str
) -> None:
    for seed in range(2 if kind in damage.BY_LUCK else 1):
        damage.remove(here / "out")
        shutil.copytree(made / "out", here / "out")
        path = harm(here / "out", file, kind, seed)
        for verb in (
            ("sweep", "status", "out"),
            ("report", "out"),
            ("report", str(path.parent.relative_to(here))),
            ("diff", "out", str(made / "out")),
            ("diff", str(path.parent.relative_to(here)), str(made / "out" / path.parent.relative_to(here / "out"))),
            ("sweep", "collect", "out"),
        ):
            said(*verb)
        (here / "out" / "report.html").unlink(missing_ok=True)
        (path.parent / "report.html").unlink(missing_ok=True)
        check_numbers(Path("out"), numbers(made / "out"))
        code, _, lines = said("sweep", "sample.yaml", "--out", "out", "--executor", "serial")
        if code == 2:
            assert "move it away" in lines[0] or "another version" in lines[0] or "has changed" in lines[0], lines
            continue
        assert code == 0
        assert of_runs(here / "out") == of_runs(made / "out")


RUN_FILES = [file for file in FILES if file.startswith("runs/")]


@pytest.mark.parametrize("kind", damage.KINDS)
@pytest.mark.parametrize("file", RUN_FILES)
def test_a_damaged_file_of_a_run_is_named_in_a_line(made: Path, here: Path, file: str, kind: str) -> None:
    path = harm(here / "out", file, kind)
    right = load_results(made / "out" / path.parent.relative_to(here / "out"))
    found = what_is_read(path.parent)
    if not isinstance(found, UserError):
        is_lacking_what_nobody_read = kind in {"gone", "a link to nothing"} and path.name not in READ
        assert is_lacking_what_nobody_read or is_harmless(made, path)
        pd.testing.assert_frame_equal(found, right)
        return
    assert len(str(found).splitlines()) == 1
    if path.name != "run.json":  # a wrong hash there seems another file's fault
        assert found.where == str(path)


def what_is_read(folder: Path) -> pd.DataFrame | UserError:
    """Return the table of a run, or the line that is said instead."""
    try:
        return load_results(folder)
    except UserError as error:
        return error


READ = ("replications.parquet", "config.yaml", "run.json")


@pytest.mark.parametrize("name", ["runs", "failures", "runs/*"])
@pytest.mark.parametrize("kind", ["a file", "an empty folder", "a link to nothing", "gone"])
def test_folders_can_be_damaged_too(made: Path, here: Path, name: str, kind: str) -> None:
    path = min((here / "out").glob(name))
    shutil.rmtree(path)
    make: dict[str, Callable[[], object]] = {
        "a file": lambda: path.write_text("x"),
        "an empty folder": path.mkdir,
        "a link to nothing": lambda: path.symlink_to(here / "elsewhere"),
        "gone": lambda: None,
    }
    make[kind]()
    check_numbers(Path("out"), numbers(made / "out"))
    assert said("sweep", "status", "out")[0] == 0
    said("sweep", "collect", "out")
    code, _, lines = said("sweep", "sample.yaml", "--out", "out", "--executor", "serial")
    if code == 2:
        assert "cannot be written" in lines[0] or "cannot be written" in lines[-1]
        assert kind in {"a file", "a link to nothing"}
        assert name != "runs/*"
        return
    if path.is_symlink():  # the run was made where it leads, and the link is kept
        assert (here / "elsewhere" / "run.json").is_file()
        assert list(numbers(Path("out"))["status"]) == ["finished"] * 12
        return
    assert of_runs(here / "out") == of_runs(made / "out")


def test_clean_removes_what_is_damaged_and_says_so(here: Path) -> None:
    path = harm(here / "out", "runs/*/requests.parquet", "flipped")
    code, out, _ = said("sweep", "clean", "out")
    assert code == 0
    assert f"removed {path.parent.name}\n" in out
    assert out.endswith("out: 3 finished, 0 failed, 1 missing\n")
    assert not path.parent.exists()
    assert not (here / "out" / "index.parquet").exists()


def test_a_damaged_run_is_named_when_it_is_made_anew(here: Path) -> None:
    path = harm(here / "out", "runs/*/replications.parquet", "flipped")
    (here / "out" / "index.parquet").unlink()
    assert "1 missing" in said("sweep", "collect", "out")[1]
    code, out, _ = said("sweep", "sample.yaml", "--out", "out", "--executor", "serial")
    assert code == 0
    told = " ".join(out.split())
    assert f"note: run {path.parent.name} was damaged and is made anew: replications.parquet has changed" in told
    assert "damaged" not in said("sweep", "sample.yaml", "--out", "out", "--executor", "serial")[1]


def test_results_of_an_interrupted_renewal_come_from_the_runs(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tables of all runs go before the first is made anew: an old one would speak of runs that are no more."""
    shutil.rmtree(min((here / "out" / "runs").iterdir()))

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("discosim.sweep.run.carry_out", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sweep(here / "sample.yaml", here / "out")
    assert not (here / "out" / "index.parquet").exists()
    assert not (here / "out" / "comparisons.csv").exists()
    assert list(numbers(Path("out"))["status"]).count("missing") == 1
