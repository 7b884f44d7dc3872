"""Code in files of the user's lies beside the results that it made."""

from __future__ import annotations

from pathlib import Path

import pytest
from own_policies import POLICY, SMALL, written

from discosim import load_scenario
from discosim.cli import main
from discosim.core.errors import UserError
from discosim.runs.store import execute_to_folder

SETS = [word for text in SMALL for word in ("--set", text)]


def texts(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_a_run_keeps_file_and_what_it_imports_from_beside_it(tmp_path: Path, capsys) -> None:
    """And whoever runs its configuration where the file is no more is told where the copy lies."""
    place = tmp_path / "a folder, ü"
    text = POLICY.replace("from dataclasses", "import helper\nimport pack.part\nfrom dataclasses")
    written(place, text)
    written(place, "H = 1\n", "helper.py")
    written(place / "pack", "", "__init__.py")
    written(place / "pack", "P = 1\n", "part.py")
    written(place, "U = 1\n", "unused.py")
    (place / "s.yaml").write_text("base: quickstart\npolicies: {mine: {kind: 'mine.py:Mine'}}\nbaseline: null\n")
    out = tmp_path / "out"
    assert main(["run", str(place / "s.yaml"), *SETS, "--no-figures", "--out", str(out)]) == 0
    kept = {"mine.py": text, "helper.py": "H = 1\n", "pack/__init__.py": "", "pack/part.py": "P = 1\n"}
    assert texts(out / "code") == kept
    (place / "mine.py").unlink()
    capsys.readouterr()
    assert main(["run", str(out / "config.yaml"), "--out", str(tmp_path / "again")]) == 2
    said = capsys.readouterr().err
    assert f"as it was when these results were made it lies in {out / 'code' / 'mine.py'}" in said
    assert said.count("\n") == 1


def test_two_files_of_one_name_are_both_kept(tmp_path: Path) -> None:
    written(tmp_path / "a")
    written(tmp_path / "b", POLICY + "\nMORE = 1\n")
    policies = [{"kind": f"{tmp_path / name / 'mine.py'}:Mine", "name": name} for name in "ab"]
    scenario = load_scenario({"base": "quickstart", "policies": policies, "baseline": None}, overrides=SMALL)
    execute_to_folder(scenario, tmp_path / "out")
    kept = texts(tmp_path / "out" / "code")
    assert sorted(kept.values()) == sorted([POLICY, POLICY + "\nMORE = 1\n"])
    assert kept["mine.py"] == POLICY


def test_a_run_of_shipped_policies_keeps_none(tmp_path: Path) -> None:
    execute_to_folder(load_scenario("quickstart", overrides=SMALL), tmp_path / "out")
    assert not (tmp_path / "out" / "code").exists()


def test_a_sweep_keeps_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path)
    Path("s.yaml").write_text(
        "name: s\nbase: quickstart\n"
        "set: {workload.n_requests: 20, policies: [{kind: 'mine.py:Mine', name: m}], baseline: null}\n"
        "sweep: {grid: {policies.m.wait_s: [0, 1]}, seeds: {root: 3, n: 2}}\n"
    )
    assert main(["sweep", "s.yaml", "--executor", "serial", "--out", "out"]) == 0
    assert texts(Path("out/code")) == {"mine.py": POLICY}
    assert not list(Path("out/runs").glob("*/code"))
    Path("mine.py").unlink()
    with pytest.raises(UserError, match=r"results were made it lies in .*/out/code/mine\.py"):
        load_scenario(next(Path("out/runs").glob("*/config.yaml")))
