"""Where a folder will lie, and how it can get there: found out before anything is computed for it."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from discosim.core.errors import UserError
from discosim.core.files import real_path, status_of
from discosim.core.owners import is_temporary

Judge = Callable[[Path], bool]
"""Asked of what lies in the way. True: it may be replaced. False: it stays, and the new one goes. Else it raises."""
INSIDE = "run"
"""What temporary names inside a folder are made from."""
_NOT_OURS = frozenset({"lost+found", ".DS_Store", "Thumbs.db", "desktop.ini"})
"""What systems put into folders; it stays, and a folder with nothing else counts as empty."""


@dataclass(frozen=True)
class Place:
    """Where a folder will lie.

    Parameters
    ----------
    named : Path
        As the user wrote it; messages say so.
    real : Path
        With links followed.
    is_inside : bool
        Whether the new content is moved into the folder that is there, because that cannot be renamed.
    """

    named: Path
    real: Path
    is_inside: bool

    @property
    def hidden(self) -> Path:
        """What temporary names are made from: this folder, or one inside it."""
        return self.real / INSIDE if self.is_inside else self.real


@dataclass(frozen=True)
class Kind:
    """What a kind of folder consists of.

    Parameters
    ----------
    own : frozenset of str
        Names that are replaced; everything else in the folder is the user's and stays.
    last : str
        The file that says that the folder is whole.
    """

    own: frozenset[str]
    last: str


def place_of(target: Path, *, over_files: bool = False) -> Place:
    """Say where and how a folder can be written, before any time is spent on its content.

    Raises
    ------
    UserError
        If it cannot be: a file is in the way (unless ``over_files``), a folder is closed, or the name is none.
    """
    found = status_of(target)
    real = real_path(target)
    if found is None or (over_files and not stat.S_ISDIR(found.st_mode)):
        return Place(target, real, is_inside=False)
    if not stat.S_ISDIR(found.st_mode):
        raise UserError("exists and is not a folder", where=str(target))
    here = real_path(Path())
    is_stuck = os.path.ismount(real) or real == here or real in here.parents
    if is_stuck or not os.access(real.parent, os.W_OK | os.X_OK):
        if not os.access(real, os.W_OK | os.X_OK):
            raise UserError("cannot be written (the folder is read-only)", where=str(target))
        return Place(target, real, is_inside=True)
    return Place(target, real, is_inside=False)


def is_void(folder: Path) -> bool:
    """Tell whether a folder holds nothing but temporaries and what systems put there; not of one that is closed."""
    try:
        return all(entry.name in _NOT_OURS or is_temporary(entry) for entry in folder.iterdir())
    except PermissionError:
        return False


def remove(path: Path) -> None:
    """Remove a file or a folder, also one that is closed to its owner; what cannot be removed stays."""
    if not path.is_dir() or path.is_symlink():
        with suppress(OSError):
            path.unlink(missing_ok=True)
        return
    shutil.rmtree(path, ignore_errors=True)
    if path.exists():
        with suppress(OSError):
            _open_up(path)
        shutil.rmtree(path, ignore_errors=True)


def _open_up(folder: Path) -> None:
    folder.chmod(0o700)
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            _open_up(entry)
