"""Single files: the nearest name of a missing one, and writing as a whole or not at all."""

from __future__ import annotations

import difflib
import errno
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from discosim.core.errors import UserError
from discosim.core.interrupts import uninterrupted
from discosim.core.owners import abandoned, hold, let_go, temporary

_SHOWN = 80
_FORBIDDEN = re.compile(r'[<>:"|?*\x00-\x1f]|[. ]$')
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def near_files(path: Path) -> str:
    """Return a tail of an error sentence that names the file beside a missing one whose name is nearest, or ''."""
    try:
        alike = {beside.stem: beside.name for beside in path.parent.iterdir() if beside.suffix == path.suffix}
    except OSError:
        return ""
    near = difflib.get_close_matches(path.stem, sorted(alike), n=1, cutoff=0.6)
    return f"; did you mean '{alike[near[0]]}'?" if near else ""


def unwritable(path: Path, error: OSError) -> UserError:
    """Return the error of a place that cannot be written, with what the system says."""
    return UserError(f"cannot be written ({error.strerror or error})", where=str(path))


def status_of(path: Path) -> os.stat_result | None:
    """Return what lies at a place that is to be written, links followed; None where there is nothing yet.

    Raises
    ------
    UserError
        If nothing can ever lie there: the way leads through a file, in circles or nowhere, or the name is none.
    """
    check_name(path)
    try:
        path.lstat()
        return path.stat()
    except FileNotFoundError:
        return None
    except ValueError as error:  # a zero in the name, or characters that this system cannot take
        raise UserError(f"cannot be a file name here ({error})", where=str(path)) from None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise UserError(f"cannot be used ({error.strerror})", where=f"{str(path)[:_SHOWN]}...") from error
        raise unwritable(path, error) from error


def check_name(path: Path, *, system: str = os.name) -> None:
    """Refuse names that Windows cannot have, where this is Windows (``nt``); others say what they mind themselves."""
    for part in path.parts[1 if path.anchor else 0 :] if system == "nt" else ():
        if _FORBIDDEN.search(part) or _RESERVED.fullmatch(part):
            raise UserError(f"cannot be written (Windows allows no '{part}' as a name)", where=str(path))


def check_folder(path: Path) -> None:
    """Refuse a name under which no folder can be made or used, before any time is spent on its content.

    Raises
    ------
    UserError
        If it is that of a file, or the folder, or the first one on the way to it that is there, is read-only.
    """
    found = status_of(path)
    if found is not None and not stat.S_ISDIR(found.st_mode):
        raise UserError("exists and is not a folder", where=str(path))
    real = real_path(path)
    there = real if found is not None else next(parent for parent in real.parents if parent.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"cannot be written (folder {there} is read-only)", where=str(path))


def check_target(path: Path, *, source: Path | None = None) -> None:
    """Refuse a name under which no file can be written, before any time is spent on its content.

    What processes left there that died while they wrote this file is removed.

    Parameters
    ----------
    path : Path
        File to be written, replaced if it exists; where it is a link, the file that it leads to.
    source : Path, optional
        File that is read for it and must not be replaced.

    Raises
    ------
    UserError
        If the name is that of a folder, of a device or of ``source``, or the folder it lies in is missing or
        read-only.
    """
    real = _checked(path)
    if source is not None and real == real_path(source):
        raise UserError("would replace what it reads; give another name", where=str(path))
    for lefts in abandoned(real).values():
        for left in lefts:
            if left.is_file():
                left.unlink(missing_ok=True)


def real_path(path: Path) -> Path:
    """Return a place with all links followed, also one where nothing lies yet."""
    try:
        return Path(os.path.realpath(path))
    except OSError as error:  # the folder that this process was started in is gone
        raise unwritable(path, error) from error


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file under a temporary name, then rename it; text as UTF-8.

    Raises
    ------
    UserError
        As `check_target`, or for what the system says.
    """
    replace_all({path: content.encode("utf-8") if isinstance(content, str) else content})


def replace_all(contents: Mapping[Path, bytes]) -> None:
    """Write files beside their places, flush them, and only then let them take their places.

    Raises
    ------
    UserError
        If one cannot be written; then none is changed, unless the system refuses a rename half-way.
    """
    with uninterrupted(), ExitStack() as parts:
        for path, content in contents.items():
            part = parts.enter_context(replacing(_checked(path), named=path))
            try:
                part.write_bytes(content)
            except OSError as error:
                raise unwritable(path, error) from error


@contextmanager
def replacing(path: Path, *, named: Path | None = None, is_flushed: bool = True) -> Iterator[Path]:
    """Give an empty temporary file, which takes the place of ``path`` if all goes well; an interrupt waits until then.

    It is pushed to the disk before, but where ``is_flushed`` is false: a power cut may then leave an empty file, which
    whoever reads it has to notice.

    Raises
    ------
    UserError
        For what the system says; ``named`` is how the user calls the file.
    """
    named = path if named is None else named
    with uninterrupted():
        part = temporary(path)
        lock: int | None = None
        try:
            part.touch()
            lock = hold(part)
            yield part
            if is_flushed:
                with part.open("r+b") as file:
                    os.fsync(file.fileno())
            part.replace(path)
        except OSError as error:
            raise unwritable(named, error) from error
        finally:
            let_go(lock)
            with suppress(OSError):
                part.unlink(missing_ok=True)


def _checked(path: Path) -> Path:
    """Return where a file will really lie, or refuse its name."""
    found = status_of(path)
    if found is not None and stat.S_ISDIR(found.st_mode):
        raise UserError("is a folder; name a file", where=str(path))
    if found is not None and not stat.S_ISREG(found.st_mode):
        raise UserError("is no ordinary file and cannot be replaced by one", where=str(path))
    real = real_path(path)
    folder = real.parent if path.is_symlink() else path.parent
    if not folder.is_dir():
        raise UserError(f"cannot be written (no folder {folder})", where=str(path))
    if not os.access(folder, os.W_OK):
        raise UserError(f"cannot be written (folder {folder} is read-only)", where=str(path))
    return real
