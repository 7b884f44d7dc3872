"""Folders that appear whole, wherever they may lie."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from filled_folders import KIND, held, make, standing_in, whole

from discosim.core.errors import UserError
from discosim.core.folders import fill
from discosim.core.places import place_of


@contextmanager
def mounted(folder: Path) -> Iterator[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_new_folder_comes_with_its_parents(tmp_path: Path) -> None:
    make(tmp_path / "x" / "y" / "out")
    assert held(tmp_path / "x" / "y" / "out") == whole()
    assert [path.name for path in (tmp_path / "x" / "y").iterdir()] == ["out"]


@pytest.mark.parametrize("is_there", [True, False])
def test_a_link_is_followed_and_kept(tmp_path: Path, is_there: bool) -> None:
    real, link = tmp_path / "deep" / "real", tmp_path / "link"
    link.symlink_to(real)
    if is_there:
        real.mkdir(parents=True)
        (real / "notes.md").write_text("mine")
        make(link, "old", judge=lambda _: True)
    make(link)
    assert link.is_symlink()
    assert held(real) == whole() | ({"notes.md": "mine"} if is_there else {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "link"]
    assert [path.name for path in real.parent.iterdir()] == ["real"]


def test_the_folder_one_stands_in_stays_the_same_folder(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    for target in (Path(), tmp_path / "here"):
        with standing_in(tmp_path / "here"):
            inode = Path().stat().st_ino
            make(target)
            assert Path().stat().st_ino == inode
            assert held(Path()) == whole()
    with standing_in(tmp_path / "here"):
        (Path() / "notes.md").write_text("mine")
        (Path() / "extra.txt").write_text("of the old one")
        make(Path(), "newer")
        assert held(Path()) == whole("newer") | {"notes.md": "mine"}


def test_a_mount_point_is_filled(tmp_path: Path) -> None:
    with mounted(tmp_path / "mnt") as mount:
        (mount / "lost+found").mkdir()
        make(mount, "old")
        make(mount)
        assert held(mount) == whole()
        assert sorted(path.name for path in mount.iterdir()) == ["a.txt", "b.txt", "last.json", "lost+found"]


def test_a_mount_that_looks_like_a_folder_is_filled_by_copying(tmp_path: Path) -> None:
    """A folder of the same file system bound to a place cannot be renamed and is told from others only by trying."""
    for name in ("source", "bound"):
        (tmp_path / name).mkdir()
    if subprocess.run(["mount", "--bind", tmp_path / "source", tmp_path / "bound"], check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        assert not place_of(tmp_path / "bound").is_inside
        make(tmp_path / "bound", "old")
        make(tmp_path / "bound")
        assert held(tmp_path / "source") == whole()
    finally:
        subprocess.run(["umount", tmp_path / "bound"], check=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bound", "source"]


def test_a_name_of_the_longest_length_is_no_problem(tmp_path: Path) -> None:
    for name in ("n" * 255, "é" * 127, "a.b.c" * 40):
        make(tmp_path / name)
        assert held(tmp_path / name) == whole()
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize(
    ("prepare", "target", "message"),
    [
        (lambda p: (p / "file").write_text("x"), "file", "exists and is not a folder"),
        (lambda p: (p / "file").write_text("x"), "file/out", r"cannot be written \(Not a directory\)"),
        (lambda p: (p / "link").symlink_to(p / "file") or (p / "file").write_text("x"), "link", "is not a folder"),
        (lambda p: (p / "loop").symlink_to(p / "loop"), "loop", r"cannot be written \(Too many levels"),
        (lambda p: None, "n" * 256, r"cannot be used \(File name too long\)"),
        (lambda p: None, "/proc/nowhere/out", "cannot be written"),
        (lambda p: None, "/dev/null/out", "cannot be written"),
        (lambda p: None, "/dev/null", "exists and is not a folder"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_computed(
    tmp_path: Path, prepare: Callable[[Path], Any], target: str, message: str
) -> None:
    prepare(tmp_path)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UserError, match=message):
        fill(place_of(tmp_path / target), KIND, lambda _: pytest.fail("computed"), lambda _: True)
    assert sorted(tmp_path.iterdir()) == before


AS_NOBODY = """\
import os, sys
sys.path[:0] = sys.argv[2:]
from pathlib import Path
from discosim.core import owners
from discosim.core.errors import UserError
from filled_folders import held, make, whole
owners.owner()  # loads what it needs
if os.geteuid() == 0:  # root may write everywhere
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
out = Path(sys.argv[1]) / "closed" / "out"
make(out)
make(out, "again")
assert held(out) == whole("again")
for place in (out.parent / "other", out.parent / "closed too"):
    try:
        make(place)
    except UserError as error:
        print(error.message)
"""


def test_a_folder_in_a_closed_one_is_filled_and_a_closed_one_is_refused() -> None:
    """As in a container whose /out belongs to the user but lies in a folder of root's."""
    with TemporaryDirectory() as name:  # not below pytest's own folder, which other sessions close to others
        root = Path(name)
        for folder in ("out", "closed too"):
            (root / "closed" / folder).mkdir(parents=True)
        if os.geteuid() == 0:
            os.chown(root / "closed" / "out", 65534, 65534)
            root.chmod(0o755)
        (root / "closed" / "closed too").chmod(0o555)
        (root / "closed").chmod(0o555)
        program = [sys.executable, "-c", AS_NOBODY, name, str(Path(__file__).parent)]
        done = subprocess.run(program, capture_output=True, text=True, check=False)
        for folder in (root / "closed", root / "closed" / "closed too"):
            folder.chmod(0o755)
        assert done.returncode == 0, done.stderr
        refused = ["cannot be written (Permission denied)", "cannot be written (the folder is read-only)"]
        assert done.stdout.splitlines() == refused
        assert held(root / "closed" / "out") == whole("again")


def test_what_others_see_of_a_folder_stays_as_it_was(tmp_path: Path) -> None:
    make(tmp_path / "out", "old")
    (tmp_path / "out").chmod(0o2750)
    make(tmp_path / "out")
    assert (tmp_path / "out").stat().st_mode & 0o7777 == 0o2750
    (tmp_path / "out").chmod(0)
    make(tmp_path / "out", "newer")
    assert (tmp_path / "out").stat().st_mode & 0o700 == 0o700
    assert held(tmp_path) == {f"out/{name}": "newer" for name in whole()}
