"""What every recipe is: a name, a kind, the raw file it reads, and the function that computes the digest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from discosim.core.errors import UserError
from discosim.traces.kinds import Digest
from discosim.traces.readers.source import fingerprint

Build = Callable[[Path, str], Digest]


@dataclass(frozen=True)
class Recipe:
    """How one shipped digest is made.

    Parameters
    ----------
    name, kind : str
        Name and kind of the digest.
    raw_file : str
        Raw file under the folder of raw traces, ``<data set>/<file>``; empty where no file is read.
    build : callable
        ``build(path, sha256)`` computes the digest from the raw file and the sha256 of its uncompressed
        bytes.
    """

    name: str
    kind: str
    raw_file: str
    build: Build

    def run(self, raw_folder: Path) -> Digest:
        """Compute the digest from the raw file under ``raw_folder``."""
        if not self.raw_file:
            return self.build(raw_folder, "")
        path = raw_folder / self.raw_file
        if not path.is_file():
            raise UserError(f"digest '{self.name}' needs the raw file {self.raw_file}", where=str(raw_folder))
        return self.build(path, fingerprint(path).raw_sha256)
