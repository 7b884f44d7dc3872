"""The source of a user's code is part of what a run is: what counts, what has changed, and what is kept of it."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from own_policies import POLICY, SMALL, Cell, as_other, code_of, scenario, written

from discosim import Policy, load_scenario, simulate
from discosim.cli import main
from discosim.core.errors import UserError
from discosim.core.own_code import load_own
from discosim.core.scenario import Scenario
from discosim.runs.basis import changed_since
from discosim.runs.identity import policy_id, run_id
from discosim.runs.provenance import fingerprints


def test_what_counts_is_the_source_and_what_lies_beside_it_and_not_the_folder(tmp_path: Path) -> None:
    text = POLICY.replace("import dataclass\n", "import dataclass\nfrom helper import SHARE\nimport lib.deep\n", 1)
    written(tmp_path / "a", text)
    written(tmp_path / "a", "SHARE = 1\n", "helper.py")
    written(tmp_path / "a" / "lib", "", "__init__.py")
    written(tmp_path / "a" / "lib", "from . import deeper\n", "deep.py")
    written(tmp_path / "a" / "lib", "X = 1\n", "deeper.py")
    written(tmp_path / "a", "X = 1\n", "unused.py")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    first = scenario(tmp_path / "a")
    assert run_id(first) == run_id(scenario(tmp_path / "b"))
    written(tmp_path / "b", "X = 2\n", "unused.py")
    assert code_of(scenario(tmp_path / "b")) == code_of(first)
    seen = {code_of(first)}
    for folder, content, name in (
        ("b", "SHARE = 2\n", "helper.py"),
        ("b/lib", "X = 2\n", "deeper.py"),
        ("b", f"{text}\n", "mine.py"),
    ):
        written(tmp_path / folder, content, name)
        seen.add(code_of(scenario(tmp_path / "b")))
    assert len(seen) == 4
    assert "own file (mine.py, helper, lib)" in " ".join(simulate(first).notes)


def test_an_edited_file_is_run_as_it_is_now_its_helpers_too(tmp_path: Path) -> None:
    text = POLICY.replace("import dataclass\n", "import dataclass\nfrom helper import SHARE\n", 1)
    text = text.replace("session.wait(self.wait_s)", "session.wait(SHARE)")

    def mean_s(held: Scenario) -> float:
        return float(simulate(held).summary.value("mine", "ttft_mean_s").mean)

    written(tmp_path / "a", text)
    written(tmp_path / "a", "SHARE = 1\n", "helper.py")
    written(tmp_path / "b", text)
    written(tmp_path / "b", "SHARE = 5\n", "helper.py")  # of the same name, in another folder
    first, other = scenario(tmp_path / "a"), scenario(tmp_path / "b")
    assert mean_s(other) - mean_s(first) == pytest.approx(4.0, abs=0.02)
    before, identity = mean_s(first), run_id(first)
    written(tmp_path / "a", "SHARE = 3\n", "helper.py")  # of the same size, within the same second
    assert mean_s(first) - before == pytest.approx(2.0, abs=0.02)
    assert run_id(first) != identity


def test_the_identity_of_a_policy_knows_nothing_of_those_beside_it(tmp_path: Path) -> None:
    written(tmp_path)
    one, other = scenario(tmp_path), scenario(tmp_path, wait_s=1)
    assert policy_id(one, "server_only") == policy_id(other, "server_only")
    assert policy_id(one, "mine") != policy_id(other, "mine")
    assert policy_id(one, "mine", fingerprints(one)) == policy_id(one, "mine")
    written(tmp_path, POLICY + "\n")
    edited = scenario(tmp_path)
    assert policy_id(edited, "mine") != policy_id(load_scenario(as_other(tmp_path)), "mine")
    assert policy_id(edited, "server_only") == policy_id(other, "server_only")


def test_the_folder_of_a_run_with_objects_holds_their_text_and_can_be_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"Cell": Cell, "Policy": Policy, "dataclass": dataclass}.items():  # as in a notebook
        monkeypatch.setattr("__main__." + name, value, raising=False)
    monkeypatch.setattr(Cell, "__module__", "__main__")
    written(tmp_path)
    first = load_scenario("quickstart", overrides=SMALL)
    held = load_own(f"{tmp_path / 'mine.py'}:Mine", Policy)
    of_file = simulate(first, policies={"mine": held(wait_s=0.5)}).write(tmp_path / "file", figures=False)
    of_cell = simulate(first, policies={"cell": Cell(wait_s=0.5)}).write(tmp_path / "cell", figures=False)
    (text,) = (of_cell / "code").iterdir()
    assert "class Cell(Policy)" in text.read_text()
    assert (of_file / "code" / "mine.py").read_text() == POLICY
    again = simulate(load_scenario(of_cell / "config.yaml")).write(tmp_path / "again", figures=False)
    for name in ("requests.parquet", "replications.parquet", "example_tokens.parquet"):
        assert (again / name).read_bytes() == (of_cell / name).read_bytes()
    ids = {json.loads((folder / "run.json").read_text())["run_id"] for folder in (of_file, of_cell, again)}
    assert len(ids) == 2
    assert simulate(first, policies={"cell": Cell(wait_s=0.5)}).write(of_cell, figures=False) == of_cell


def test_what_was_simulated_is_not_written_beside_other_code_or_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Source: a user who edited a file, or a number that a class of the notebook uses, before writing the result."""
    written(tmp_path)
    (tmp_path / "s.yaml").write_text("base: quickstart\npolicies: {mine: {kind: 'mine.py:Mine', wait_s: 0.5}}\n")
    of_file = simulate(load_scenario(tmp_path / "s.yaml", overrides=SMALL))
    path = tmp_path / "mine.py"
    path.write_text(path.read_text() + "\nMORE = 1\n")
    load_scenario(tmp_path / "s.yaml", overrides=SMALL)
    with pytest.raises(UserError, match=r"policy code: mine\.py:Mine: has changed since this was simulated"):
        of_file.write(tmp_path / "file", figures=False)
    for name, value in {"Cell": Cell, "Policy": Policy, "dataclass": dataclass}.items():
        monkeypatch.setattr("__main__." + name, value, raising=False)
    monkeypatch.setattr(Cell, "__module__", "__main__")
    object_ = Cell(wait_s=0.5)
    of_cell = simulate(load_scenario("quickstart", overrides=SMALL), policies={"cell": object_})
    object_.wait_s = 0.25
    with pytest.raises(UserError, match=r"policy cell: has changed since this was simulated"):
        of_cell.write(tmp_path / "cell", figures=False)
    object_.wait_s = 0.5
    assert of_cell.write(tmp_path / "cell", figures=False).is_dir()
    assert not (tmp_path / "file").exists()


def test_who_runs_a_configuration_again_is_told_that_its_code_has_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path)
    (tmp_path / "s.yaml").write_text("base: quickstart\npolicies: {mine: {kind: 'mine.py:Mine', wait_s: 0.5}}\n")
    folder = simulate(load_scenario(tmp_path / "s.yaml", overrides=SMALL)).write(tmp_path / "run", figures=False)
    assert changed_since(folder / "config.yaml", load_scenario(folder / "config.yaml")) == []
    assert changed_since(tmp_path / "s.yaml", load_scenario(tmp_path / "s.yaml")) == []
    path = tmp_path / "mine.py"
    path.write_text(path.read_text() + "\nMORE = 1\n")
    assert main(["run", str(folder / "config.yaml"), "--no-figures", "--out", str(tmp_path / "again")]) == 0
    assert "note: policy code: mine.py:Mine has changed since the run beside this" in capsys.readouterr().err
