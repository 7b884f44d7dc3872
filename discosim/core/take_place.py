"""The moment at which a finished folder takes its place, and what is made up for when a process died in it.

Where it can be renamed, it is. A mount point, the folder somebody stands in, and a folder in one that is closed cannot
be: there the content is moved out of a hidden folder inside, file by file, what says that it is whole last.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from discosim.core.errors import UserError
from discosim.core.files import real_path
from discosim.core.owners import abandoned, hold, is_abandoned, is_temporary, let_go, short, temporary
from discosim.core.places import INSIDE, Judge, Kind, Place, is_void, remove

_TRIES = 20
_WAIT_S = 10.0


def land(temp: Path, place: Place, kind: Kind, judge: Judge, spare: str) -> None:
    """Bring a finished folder to its place; where that fails, keep it and say where."""
    try:
        if not place.is_inside:
            try:
                _swap(temp, place.real, kind, judge)
            except OSError:
                if not place.real.is_dir():
                    raise
            else:
                return
            # a mount that cannot be told from a folder: what lies beside it has to be copied
            inside = temporary(place.real / INSIDE)
            try:
                shutil.copytree(temp, inside)
                flush(inside)
                _move_in(inside, place.real, kind, judge)
            finally:
                remove(inside)
            return
        _move_in(temp, place.real, kind, judge)
    except (OSError, UserError) as error:
        kept = _keep(temp, place, spare) if spare else None
        if kept is None:
            raise
        what = error.message if isinstance(error, UserError) else f"cannot be written ({error.strerror or error})"
        raise UserError(f"{what}; what was computed lies in {kept}", where=str(place.named)) from error


def _swap(temp: Path, real: Path, kind: Kind, judge: Judge) -> None:
    """Rename; where something is in the way, take it away first, and look at it once more when nobody can change it."""
    for _ in range(_TRIES):
        if real.is_dir() and not real.is_symlink():
            with suppress(OSError):
                real.rmdir()  # if it is empty: Windows renames onto nothing
        try:
            if not os.path.lexists(real):
                temp.rename(real)
                return
        except OSError:
            if not os.path.lexists(real):
                raise
            continue  # somebody was faster
        is_free = real.is_dir() and is_void(real)
        if not is_free and not judge(real):
            return
        old = temporary(real, "old")
        real.rename(old)
        try:
            if not is_free and not judge(old):
                old.rename(real)
                return
        except UserError:
            old.rename(real)
            raise
        _inherit_mode(old, temp)
        try:
            temp.rename(real)
        except OSError:
            if not os.path.lexists(real):
                old.rename(real)
                raise
            continue  # somebody took the place in between; what was taken away is tidied with the next one
        finally:
            _hand_over(old, real, kind)
        return
    raise UserError("is changed by somebody else all the time", where=str(real))


def _inherit_mode(old: Path, new: Path) -> None:
    """Let others see of the new folder what they saw of the old one; one that its owner cannot use is opened."""
    with suppress(OSError):
        mode = stat.S_IMODE(old.stat().st_mode)
        if old.is_dir() and mode & stat.S_IRWXU == stat.S_IRWXU:
            new.chmod(mode)
        else:
            old.chmod(mode | stat.S_IRWXU)


def _hand_over(old: Path, real: Path, kind: Kind) -> None:
    """Give the new folder what the user had laid into the old one, and remove the rest; what fits nowhere stays."""
    is_empty = True
    for entry in old.iterdir() if old.is_dir() and real.is_dir() else ():
        if entry.name in kind.own or (is_temporary(entry) and is_abandoned(entry)):
            continue
        try:
            if os.path.lexists(real / entry.name):
                is_empty = False
            else:
                entry.rename(real / entry.name)
        except OSError:
            is_empty = False
    if is_empty:
        remove(old)


def _move_in(temp: Path, real: Path, kind: Kind, judge: Judge) -> None:
    """Move the content of a folder inside ``real`` into it; one at a time, where the system has locks."""
    lock = hold(real, wait_s=_WAIT_S)
    try:
        if not is_void(real) and not judge(real):
            return
        old = temporary(real / INSIDE, "old")
        old.mkdir()
        _move([kind.last, *(kind.own - {kind.last})], real, old)
        new = temporary(real / INSIDE, "new")
        temp.rename(new)  # from here on it is finished by whoever finds it, up to here it is undone
        _finish_move(new, real, kind)
        remove(old)
    finally:
        let_go(lock)


def _finish_move(new: Path, real: Path, kind: Kind) -> None:
    names = [entry.name for entry in new.iterdir() if entry.name != kind.last]
    _move([*names, kind.last], new, real)
    remove(new)


def _move(names: Iterable[str], source: Path, target: Path) -> None:
    for name in names:
        if os.path.lexists(source / name):
            (source / name).rename(target / name)


def tidy(place: Place, kind: Kind) -> None:
    """Remove what processes left here that died while they wrote this folder, and end a change that was half made."""
    left = abandoned(place.hidden)
    new, old = left.get("new", []), left.get("old", [])
    if place.is_inside and new:
        _finish_move(new[0], place.real, kind)
    elif place.is_inside and old:
        _move([*(kind.own - {kind.last}), kind.last], old[0], place.real)
    elif old and not os.path.lexists(place.real):
        old[0].rename(place.real)
    for path in old if not place.is_inside else ():
        _hand_over(path, place.real, kind)
    for path in (path for paths in left.values() for path in paths):
        remove(path)


def _keep(temp: Path, place: Place, spare: str) -> Path | None:
    """Give a finished folder a name that can be seen; beside its place, or inside where that is closed."""
    if not temp.is_dir():
        return None
    name = place.real.name or "run"
    for folder in (place.real.parent, temp.parent):
        for number in ("", *(f".{i}" for i in range(2, 100))):
            kept = folder / f"{short(name)}-{spare}{number}"
            if os.path.lexists(kept):
                continue
            with suppress(OSError):
                temp.rename(kept)
                is_beside = kept.parent == real_path(place.named.parent)
                return place.named.parent / kept.name if is_beside else kept
    return None


def flush(folder: Path) -> None:
    """Push every file to the disk before the folder gets its name, so that a power cut leaves no empty file behind."""
    for path in (*folder.rglob("*"), folder):
        try:
            handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)  # Windows flushes what may be written
        except OSError:
            if path.is_dir():  # Windows opens no folders
                continue
            raise
        try:
            os.fsync(handle)
        except OSError:
            if not path.is_dir():  # some file systems flush none
                raise
        finally:
            os.close(handle)
