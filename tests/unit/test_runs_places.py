"""Where results may be written: complete or not there, and never silently replaced."""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import pytest
from stored_scenario import FILES, contents, scenario

from discosim import load_results
from discosim.core.errors import InvariantError, UserError
from discosim.policies import Policy
from discosim.runs import execute_to_folder, simulate
from discosim.runs import store as store_module
from discosim.runs.store import owner
from discosim.runs.whole import NEEDED, checked_facts


def test_the_same_scenario_may_run_again_into_its_own_folder(tmp_path: Path) -> None:
    target = tmp_path / "run"
    execute_to_folder(scenario(replications=1), target)
    first = (target / "requests.parquet").read_bytes()
    execute_to_folder(scenario(replications=1), target)
    assert (target / "requests.parquet").read_bytes() == first
    assert {path.name for path in target.iterdir()} == FILES
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_another_run_is_replaced_by_force_alone(tmp_path: Path) -> None:
    target = tmp_path / "run"
    execute_to_folder(scenario(replications=1), target)
    before = contents(target)
    with pytest.raises(UserError, match=r"holds another run; .*--out .*--force"):
        execute_to_folder(scenario(replications=1, seed=4), target)
    assert contents(target) == before
    execute_to_folder(scenario(replications=1, seed=4), target, force=True)
    assert json.loads((target / "run.json").read_text())["seed"] == 4


def test_what_the_user_laid_beside_a_run_survives_the_next_one(tmp_path: Path) -> None:
    target = tmp_path / "run"
    execute_to_folder(scenario(replications=1), target, tokens=True)
    (target / "notes.md").write_text("the tail is the device's queue")
    (target / "mine").mkdir()
    (target / "mine" / "fig.svg").write_text("<svg/>")
    execute_to_folder(scenario(replications=1), target)
    assert (target / "notes.md").read_text() == "the tail is the device's queue"
    assert (target / "mine" / "fig.svg").is_file()
    assert {path.name for path in target.iterdir()} == {*FILES, "notes.md", "mine"}  # the old tokens are gone


def test_a_folder_of_something_else_is_never_touched_not_even_by_force(tmp_path: Path) -> None:
    target = tmp_path / "thesis"
    target.mkdir()
    (target / "chapter-1.txt").write_text("years of work")
    for force in (False, True):
        with pytest.raises(UserError, match="holds no run"):
            execute_to_folder(scenario(), target, force=force)
    assert contents(target) == {"chapter-1.txt": b"years of work"}
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(UserError, match="is not a folder"):
        execute_to_folder(scenario(), file, force=True)


def test_an_empty_folder_may_be_used(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    execute_to_folder(scenario(replications=1), tmp_path / "run")
    assert {path.name for path in (tmp_path / "run").iterdir()} == FILES


def test_an_unwritable_place_is_said_before_anything_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "simulate", lambda *_, **__: pytest.fail("ran before looking at the place"))
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(UserError, match="cannot be written") as raised:
        execute_to_folder(scenario(), file / "below" / "run")
    assert raised.value.where == str(file / "below" / "run")
    assert file.read_text() == "x"
    if os.geteuid() != 0:  # root may write everywhere
        closed = tmp_path / "closed"
        closed.mkdir(mode=0o500)
        with pytest.raises(UserError, match="cannot be written"):
            execute_to_folder(scenario(), closed / "run")


def test_a_disk_that_fills_up_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "run"
    execute_to_folder(scenario(replications=1), target)
    before = contents(target)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store_module, "write_parquet", full)
    for place in (target, tmp_path / "new"):
        with pytest.raises(UserError, match="No space left on device"):
            execute_to_folder(scenario(replications=1), place)
    assert contents(target) == before
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_of_two_runs_into_one_folder_the_second_is_refused_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one begins later and ends first; of the same scenario both may, for they are the same."""
    target, small = tmp_path / "run", {"replications": 1}
    plain, others = simulate, [scenario(**small, seed=4)]

    def slowly(*given: Any, **named: Any) -> Any:
        result = plain(*given, **named)
        if others:
            execute_to_folder(others.pop(), target)
        return result

    monkeypatch.setattr(store_module, "simulate", slowly)
    with pytest.raises(UserError, match=r"holds another run; .*; what was computed lies in ") as raised:
        execute_to_folder(scenario(**small), target)
    assert json.loads((target / "run.json").read_text())["seed"] == 4
    (kept,) = (path for path in tmp_path.iterdir() if path != target)
    facts = json.loads((kept / "run.json").read_text())
    assert (facts["seed"], kept.name) == (3, f"run-{facts['run_id'][:10]}")
    assert str(raised.value).endswith(str(kept))
    checked_facts(kept, needed=NEEDED)

    others.append(scenario(**small, seed=4))
    execute_to_folder(scenario(**small, seed=4), target)
    others.append(scenario(**small, seed=4))
    execute_to_folder(scenario(**small, seed=3), target, force=True)
    assert json.loads((target / "run.json").read_text())["seed"] == 3
    assert len(list(tmp_path.iterdir())) == 2


def test_what_a_dead_run_left_goes_with_the_next_one(tmp_path: Path) -> None:
    host = owner().partition("~")[0]
    dead, alive = (tmp_path / f".run.{token}.0a1b2c3d" for token in (f"{host}~999999999", owner()))
    other = tmp_path / f".run2.{host}~999999999.0a1b2c3d"
    for folder in (dead, alive, other):
        folder.mkdir()
    execute_to_folder(scenario(replications=1), tmp_path / "run")
    assert {path.name for path in tmp_path.iterdir()} == {"run", alive.name, other.name}


def test_a_run_whose_run_json_is_gone_is_known_and_made_anew(tmp_path: Path) -> None:
    target = tmp_path / "run"
    execute_to_folder(scenario(replications=1), target)
    before = {name: content for name, content in contents(target).items() if name != "run.json"}
    (target / "run.json").unlink()
    (target / "requests.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match="holds another run"):
        execute_to_folder(scenario(replications=1, seed=4), target)
    execute_to_folder(scenario(replications=1), target)
    assert {name: content for name, content in contents(target).items() if name != "run.json"} == before


def test_names_that_are_no_text_are_kept_as_escapes(tmp_path: Path) -> None:
    target = tmp_path / os.fsdecode(b"caf\xe9")
    execute_to_folder(scenario(replications=1), target, tokens=True, command=f"discosim run --out {target.name}")
    assert checked_facts(target)["command"] == "discosim run --out caf\\udce9"
    assert len(load_results(target)) == 2


@dataclass(kw_only=True)
class Forgetful(Policy):
    """End without an answer: a bug in a plug-in."""

    kind: ClassVar[str] = "forgetful"

    def serve(self, session: Any) -> Generator[Any, Any, None]:
        yield session.wait(0.1)


def test_a_run_that_breaks_an_invariant_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_module("discosim.runs.entrants"), "build_policy", lambda _: Forgetful())
    for tokens in (False, True):
        with pytest.raises(InvariantError, match="without an answer"):
            execute_to_folder(scenario(), tmp_path / "run", tokens=tokens)
    assert list(tmp_path.iterdir()) == []
