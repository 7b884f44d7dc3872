"""Folders that appear as a whole: written under a temporary name, renamed when complete, never silently replaced."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from discosim.core.files import unwritable
from discosim.core.interrupts import uninterrupted
from discosim.core.owners import hold, let_go, temporary
from discosim.core.places import Judge, Kind, Place, remove
from discosim.core.take_place import land, tidy


def fill(place: Place, kind: Kind, write: Callable[[Path], None], judge: Judge, *, spare: str = "") -> None:
    """Let somebody write a folder, and let that take its place when all went well.

    An interrupt or an error leaves nothing new, not even a parent. What processes left here that died on the way is
    tidied first.

    Parameters
    ----------
    place : Place
        From `place_of`.
    kind : Kind
        What it consists of.
    write : callable
        Given an empty folder, it writes the content, ``kind.last`` at the end.
    judge : callable
        Asked, at the moment when the new folder is to take its place, about what lies there.
    spare : str
        Ending of the name under which the finished folder is kept where it may not or cannot take its place.

    Raises
    ------
    UserError
        If the folder cannot be written, or ``judge`` refuses; its cause is the ``OSError``, if there is one.
    """
    with uninterrupted() as step:
        lock: int | None = None
        made: list[Path] = []
        temp = temporary(place.hidden)
        try:
            made = [parent for parent in place.real.parents if not parent.exists()]
            tidy(place, kind)
            _make(temp)
            lock = hold(temp)
            probe = temp / max(kind.own, key=len)  # the longest name that will be written
            probe.touch()
            probe.unlink()
            with step.opened():
                write(temp)
            land(temp, place, kind, judge, spare)
        except OSError as error:
            raise unwritable(place.named, error) from error
        finally:
            remove(temp)
            let_go(lock)
            with suppress(OSError):
                for parent in made:
                    parent.rmdir()


def _make(folder: Path) -> None:
    """Make a folder with its parents, also while somebody else tidies away the same parents."""
    for is_last in (False, False, True):
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            folder.mkdir()
        except FileNotFoundError:
            if is_last:
                raise
        else:
            return
