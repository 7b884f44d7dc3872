"""Single files: written as a whole or not at all, and refused before any work is done."""

from __future__ import annotations

from pathlib import Path

import pytest

from discosim.core.errors import UserError
from discosim.core.files import check_target, near_files, write_whole


def test_a_write_that_fails_keeps_what_was_there_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json"
    write_whole(path, "old\n")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(UserError, match=r"a\.json: cannot be written \(No space left on device\)"):
        write_whole(path, "new\n")
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {"a.json": "old\n"}


def test_a_target_is_refused_before_anything_is_computed(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text("x\n")
    with pytest.raises(UserError, match="is a folder; name a file"):
        check_target(tmp_path)
    with pytest.raises(UserError, match="would replace what it reads"):
        check_target(tmp_path / "." / "in.csv", source=source)
    with pytest.raises(UserError, match="no folder"):
        check_target(tmp_path / "nowhere" / "out.csv", source=source)
    check_target(tmp_path / "out.csv", source=source)


def test_the_nearest_name_is_one_of_the_same_kind(tmp_path: Path) -> None:
    for name in ("quickstart.yaml", "quickstar.csv"):
        (tmp_path / name).write_text("")
    assert near_files(tmp_path / "quikstart.yaml") == "; did you mean 'quickstart.yaml'?"
    assert near_files(tmp_path / "other.yaml") == ""
