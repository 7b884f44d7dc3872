"""Single files: the nearest name of a missing one, and writing as a whole or not at all."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from discosim.core.errors import UserError


def near_files(path: Path) -> str:
    """Return a tail of an error sentence that names the file beside a missing one whose name is nearest, or ''."""
    try:
        alike = {beside.stem: beside.name for beside in path.parent.iterdir() if beside.suffix == path.suffix}
    except OSError:
        return ""
    near = difflib.get_close_matches(path.stem, sorted(alike), n=1, cutoff=0.6)
    return f"; did you mean '{alike[near[0]]}'?" if near else ""


def check_target(path: Path, *, source: Path | None = None) -> None:
    """Refuse a name under which no file can be written, before any time is spent on its content.

    Parameters
    ----------
    path : Path
        File to be written, replaced if it exists.
    source : Path, optional
        File that is read for it and must not be replaced.

    Raises
    ------
    UserError
        If the name is that of a folder or of ``source``, or the folder it lies in is missing or read-only.
    """
    if path.is_dir():
        raise UserError("is a folder; name a file", where=str(path))
    if source is not None and path.resolve() == source.resolve():
        raise UserError("would replace what it reads; give another name", where=str(path))
    if not path.parent.is_dir():
        raise UserError(f"cannot be written (no folder {path.parent})", where=str(path))
    if not os.access(path.parent, os.W_OK):
        raise UserError(f"cannot be written (folder {path.parent} is read-only)", where=str(path))


def write_whole(path: Path, text: str) -> None:
    """Write a text file under a temporary name, then rename it.

    Raises
    ------
    UserError
        As `check_target`, or for what the system says.
    """
    check_target(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8", newline="\n")
        part.replace(path)
    except OSError as error:
        raise UserError(f"cannot be written ({error.strerror or error})", where=str(path)) from error
    finally:
        part.unlink(missing_ok=True)
