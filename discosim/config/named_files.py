"""Files that a configuration names: relative to what wrote the name."""

from __future__ import annotations

import filecmp
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from discosim.config.plain import check_scalar
from discosim.core.errors import UserError
from discosim.core.files import near_files


def find_file(name: str, folders: tuple[Path, ...]) -> str:
    """Return the absolute path of the file that a name means.

    Parameters
    ----------
    name : str
        As it was written.
    folders : tuple of Path
        Where it may lie, at least one. A file has one folder: its own. The command line has two: the working directory,
        where a shell completes names, and the folder of the configuration.

    Raises
    ------
    UserError
        If there is none, or if two of the folders hold different ones; without a place.
    """
    try:
        if any(
            (folder / name).is_fifo() for folder in folders
        ):  # before its name is resolved, which a pipe of a shell loses
            raise UserError(f"{name} is a pipe, which can be read only once; save it to a file")
        paths = list(dict.fromkeys((folder / name).resolve() for folder in folders))
        found = [path for path in paths if path.is_file()]
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(f"is no file name ({getattr(error, 'strerror', None) or error})") from None
    if not found:
        raise UserError(_is_nowhere(paths) + _kept(name, folders))
    if len(found) > 1 and not filecmp.cmp(found[0], found[1], shallow=False):
        raise UserError(
            f"may mean two files that differ: {found[0]} in the working directory and {found[1]} beside the "
            "configuration; write out which"
        )
    check_scalar(str(found[0]))
    return str(found[0])


def with_places(data: Any, places: Mapping[str, str]) -> Any:
    """Return plain data in which files have other places, also where a text goes on behind a file's name with a colon.

    Examples
    --------
    >>> with_places({"file": "/a/x.csv", "kind": "/a/p.py:Mine"}, {"/a/x.csv": "/b/x.csv", "/a/p.py": "/b/p.py"})
    {'file': '/b/x.csv', 'kind': '/b/p.py:Mine'}
    """
    if not places:
        return data
    if isinstance(data, Mapping):
        return {key: with_places(item, places) for key, item in data.items()}
    if isinstance(data, list | tuple):
        return [with_places(item, places) for item in data]
    if isinstance(data, str):
        file, colon, rest = data.rpartition(":")
        if data in places:
            return places[data]
        return f"{places[file]}:{rest}" if colon and file in places else data
    return data


def _kept(name: str, folders: tuple[Path, ...]) -> str:
    """Say where a copy of the user's code lies that a run or a sweep has left beside its configuration."""
    for folder in (*folders, *(folder.parent.parent for folder in folders)):
        copy = folder / "code" / Path(name).name
        if copy.suffix == ".py" and copy.is_file():
            return f"; as it was when these results were made it lies in {copy}"
    return ""


def _is_nowhere(paths: list[Path]) -> str:
    if folder := next((path for path in paths if path.is_dir()), None):
        return f"{folder} is a folder, not a file"
    if other := next((path for path in paths if path.exists()), None):
        return f"{other} is a device or a socket, not a file"
    hint = next(filter(None, map(near_files, paths)), "")
    return f"no such file: {' or '.join(map(str, paths))}{hint}"
