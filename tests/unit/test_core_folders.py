"""Folders that appear whole: wherever they may lie, whoever else writes there, and whenever Ctrl-C comes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any

import pytest

from discosim.core import folders, interrupts, owners, places, take_place
from discosim.core.errors import UserError
from discosim.core.folders import fill
from discosim.core.interrupts import listening
from discosim.core.owners import temporary
from discosim.core.places import Kind, place_of

KIND = Kind(own=frozenset({"a.txt", "b.txt", "extra.txt", "figures", "last.json"}), last="last.json")


def writer(text: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        for name in ("a.txt", "b.txt", "last.json"):
            (folder / name).write_text(text)

    return write


def make(target: Path, text: str = "new", judge: Callable[[Path], bool] = lambda _: True, spare: str = "") -> None:
    fill(place_of(target), KIND, writer(text), judge, spare=spare)


def held(folder: Path) -> dict[str, str]:
    """Return every file below a folder, the hidden ones too."""
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def whole(text: str = "new") -> dict[str, str]:
    return dict.fromkeys(("a.txt", "b.txt", "last.json"), text)


@contextmanager
def standing_in(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


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


# --- where it may lie -----------------------------------------------------------------------------------------


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
from test_core_folders import UserError, held, make, owners, whole
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


# --- Ctrl-C ---------------------------------------------------------------------------------------------------


def interrupted_at(k: int, call: Callable[[], None], *, opcodes: bool) -> bool:
    """Send Ctrl-C to this process before the k-th step of our code; tell whether there were so many."""
    files = {module.__file__ for module in (folders, interrupts, owners, places, take_place)}
    left = k

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal left
        if frame.f_code.co_filename not in files:
            return None
        frame.f_trace_opcodes = opcodes
        if event in {"line", "opcode"}:
            left -= 1
            if left == 0:
                sys.settrace(None)
                signal.raise_signal(signal.SIGINT)
        return trace

    sys.settrace(trace)
    try:
        call()
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(None)
    return left <= 0


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Let Ctrl-C be what it is in a fresh process."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def as_command(call: Callable[[], None]) -> None:
    with listening() as listener:
        try:
            listener.open()
            call()
        finally:
            listener.close()


def as_notebook(call: Callable[[], None]) -> None:
    call()


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("kind", ["new", "beside", "inside"])
@pytest.mark.parametrize("around", [as_command, pytest.param(as_notebook, marks=pytest.mark.long)])
@pytest.mark.parametrize("opcodes", [False, pytest.param(True, marks=pytest.mark.long)], ids=["lines", "opcodes"])
def test_ctrl_c_at_any_step_leaves_the_old_or_the_new(
    tmp_path: Path, opcodes: bool, around: Callable[[Callable[[], None]], None], kind: str
) -> None:
    """Interrupted before every step in turn; what stands there is whole, and there is no other trace."""
    place = tmp_path / "x" / "out"
    old = {} if kind == "new" else {f"x/out/{name}": text for name, text in whole("old").items()}
    new = {f"x/out/{name}": text for name, text in whole().items()}
    for k in range(1, 1_000_000):
        places.remove(place.parent)
        if kind != "new":
            make(place, "old")
        with standing_in(place if kind == "inside" else tmp_path):
            is_over = not interrupted_at(k, lambda: around(lambda: make(place)), opcodes=opcodes)
        if is_over:
            break
        assert held(tmp_path) in (old, new), f"step {k}"
        assert held(tmp_path) or not list(tmp_path.iterdir()), f"step {k} leaves a folder"
        assert not list(tmp_path.rglob(".*")), f"step {k} leaves a temporary"
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler, f"step {k} leaves its handler"
    assert held(tmp_path) == new
    assert k > 100


@pytest.mark.usefixtures("ctrl_c")
def test_a_second_ctrl_c_does_not_stop_the_tidying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(folder: Path) -> None:
        writer("half")(folder)
        signal.raise_signal(signal.SIGINT)

    def remove(path: Path) -> None:
        signal.raise_signal(signal.SIGINT)
        places.remove(path)

    monkeypatch.setattr(folders, "remove", remove)
    with pytest.raises(KeyboardInterrupt):
        as_command(lambda: fill(place_of(tmp_path / "x" / "out"), KIND, write, lambda _: True))
    assert list(tmp_path.iterdir()) == []
