"""Folders that appear whole though somebody else writes there, or died while he did."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from filled_folders import KIND, held, make, standing_in, whole, writer

from discosim.core import owners
from discosim.core.errors import UserError
from discosim.core.folders import fill
from discosim.core.owners import temporary
from discosim.core.places import place_of

# --- somebody else writes there -------------------------------------------------------------------------------


def refuses(folder: Path) -> bool:
    raise UserError("holds another run", where="out")


@pytest.mark.parametrize("is_inside", [False, True])
def test_who_comes_second_is_refused_and_kept(tmp_path: Path, is_inside: bool) -> None:
    """The other one appears while this one computes."""
    out = tmp_path / "out"
    out.mkdir()

    def write(folder: Path) -> None:
        writer("mine")(folder)
        make(out, "theirs")

    refused = pytest.raises(UserError, match="holds another run; what was computed lies in")
    with standing_in(out if is_inside else tmp_path), refused as raised:
        fill(place_of(out), KIND, write, refuses, spare="1a2b")
    kept = tmp_path / "out-1a2b"
    assert str(kept) in str(raised.value)
    assert held(out) == whole("theirs")
    assert held(kept) == whole("mine")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "out-1a2b"]


def test_who_is_not_needed_any_more_goes(tmp_path: Path) -> None:
    make(tmp_path / "out", "theirs")
    make(tmp_path / "out", "mine", judge=lambda _: False)
    assert held(tmp_path) == {f"out/{name}": "theirs" for name in whole()}


def test_what_comes_between_the_look_and_the_rename_is_put_back(tmp_path: Path) -> None:
    """The judge is asked again about what was taken away: nobody can change that."""
    out = tmp_path / "out"
    make(out, "same")
    asked: list[Path] = []

    def judge(folder: Path) -> bool:
        asked.append(folder)
        if len(asked) == 1:  # right after this look, somebody else takes the place
            make(out, "theirs")
            return True
        return refuses(folder)

    with pytest.raises(UserError, match="lies in"):
        make(out, "mine", judge=judge, spare="1a2b")
    assert len(asked) == 2
    assert asked[1] != out
    assert held(out) == whole("theirs")
    assert held(tmp_path / "out-1a2b") == whole("mine")


def test_a_run_inside_survives_a_swap_from_outside(tmp_path: Path) -> None:
    """One process stands in the folder, another one names it from elsewhere."""
    out = tmp_path / "out"
    out.mkdir()

    def write(folder: Path) -> None:
        with standing_in(tmp_path):
            make(out, "theirs")
        writer("mine")(folder)

    with standing_in(out):
        fill(place_of(Path()), KIND, write, lambda _: True)
    assert held(out) == whole("mine")


# --- what the dead leave --------------------------------------------------------------------------------------


@pytest.fixture
def dead(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, str], Path]:
    """Return a function that names temporaries as a process would that is no more."""
    name = owners.owner()
    host, _, start, world = name.split("~")

    def named(path: Path, kind: str = "") -> Path:
        found = temporary(path, kind)
        return found.with_name(found.name.replace(name, f"{host}~4194304~{start}~{world}"))

    return named


def test_leftovers_of_this_target_are_removed_and_no_others(tmp_path: Path, dead: Callable[[Path, str], Path]) -> None:
    mine, theirs = dead(tmp_path / "out", ""), dead(tmp_path / "out.b", "")
    alive = temporary(tmp_path / "out")
    for folder in (mine, theirs, alive):
        folder.mkdir()
        writer("half")(folder)
    make(tmp_path / "out")
    assert not mine.exists()
    assert theirs.exists()
    assert alive.exists()


def test_a_death_between_two_renames_loses_nothing(tmp_path: Path, dead: Callable[[Path, str], Path]) -> None:
    """The old folder is away and the new one not yet there."""
    out, old = tmp_path / "out", dead(tmp_path / "out", "old")
    make(old, "old")
    (old / "notes.md").write_text("mine")
    make(out)
    assert held(out) == whole() | {"notes.md": "mine"}
    make(dead(tmp_path / "out", "old"), "old")  # and right after the second rename
    make(out, "newer")
    assert held(tmp_path) == {f"out/{name}": text for name, text in (whole("newer") | {"notes.md": "mine"}).items()}


@pytest.mark.parametrize("moved", [0, 1, 2])
def test_a_death_in_the_middle_of_a_move_is_undone_or_finished(
    tmp_path: Path, dead: Callable[[Path, str], Path], moved: int
) -> None:
    names = ["last.json", "a.txt", "b.txt"]
    seen: list[dict[str, str]] = []

    def judge(folder: Path) -> bool:
        seen.append({name: text for name, text in held(folder).items() if not name.startswith(".")})
        return True

    with standing_in(tmp_path):
        make(Path(), "old")
        old, new = (dead(tmp_path / "run", kind) for kind in ("old", "new"))
        old.mkdir()
        for name in names[: moved + 1]:  # taken away, the file that says "whole" first
            (tmp_path / name).rename(old / name)
        make(Path(), "next", judge=judge)
        assert seen.pop() == whole("old")
        assert held(Path()) == whole("next")

        old.mkdir()
        for name in names:
            (tmp_path / name).rename(old / name)
        new.mkdir()
        writer("second")(new)
        for name in ["a.txt", "b.txt"][:moved]:  # brought, that file last
            (new / name).rename(tmp_path / name)
        make(Path(), "third", judge=judge)
        assert seen.pop() == whole("second")
        assert held(Path()) == whole("third")
