"""A folder of three files that is filled as results are, what is in it, and standing in it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from discosim.core.folders import fill
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
