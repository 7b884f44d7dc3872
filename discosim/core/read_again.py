"""Small files that one process reads hundreds of times: opened once, and again when the system says they changed."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

SETTLED_NS = 2_000_000_000
"""Age from which on a file that is written once more has other times. Source: two ticks of the coarsest (FAT, 2 s)."""

_Status = tuple[int, int, int, int, int]


@dataclass(frozen=True)
class Content:
    """What a file holds.

    Parameters
    ----------
    raw : bytes
        Its content.
    sha256 : str
        Of the content.
    """

    raw: bytes
    sha256: str

    @cached_property
    def text(self) -> str:
        """The content as UTF-8 text, with the ends of lines as they stand."""
        return self.raw.decode("utf-8")


def content_of(path: Path) -> Content:
    """Return what a file holds now.

    It is known by what the system says of it: place on the disk, size and both times. Where these are so young that
    another writing could leave them as they are, the file is opened every time.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    found = path.stat()
    status = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    is_settled = time.time_ns() - max(found.st_mtime_ns, found.st_ctime_ns) > SETTLED_NS
    return (_content if is_settled else _content.__wrapped__)(path, status)


@lru_cache(maxsize=64)
def _content(path: Path, status: _Status) -> Content:  # noqa: ARG001 - part of the key
    raw = path.read_bytes()
    return Content(raw, hashlib.sha256(raw).hexdigest())
