"""Whether a run's files are still those that it wrote: every file that is read is compared with run.json first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from discosim.core.errors import UserError
from discosim.runs.facts import FACTS, file_facts, read_facts

NEEDED = ("config.yaml", "requests.parquet", "replications.parquet", "example_tokens.parquet", "summary.json")
"""Files that every run writes."""

_Status = tuple[int, int, int, int, int]


@dataclass(frozen=True)
class Seen:
    """Files whose content is known, by what the system says of them.

    A sweep is asked many times where it stands. Each file is read once, and again when its size, its times or its
    place on the disk have changed. Nothing is kept beyond the life of the object, so a disk that rots is found when
    somebody begins anew. Source: our choice; hashing goes at the speed of the disk, and parsing run.json takes
    longer than hashing the files of a small run.
    """

    _content: dict[Path, tuple[_Status, dict[str, Any]]] = field(default_factory=dict)
    _facts: dict[Path, tuple[_Status, dict[str, Any]]] = field(default_factory=dict)

    def content(self, path: Path) -> dict[str, Any]:
        """Return size and sha256 of a file."""
        status = _status(path)
        known = self._content.get(path)
        if known is None or known[0] != status:
            known = self._content[path] = (status, file_facts(path))
        return known[1]

    def facts(self, folder: Path) -> dict[str, Any]:
        """Return run.json of a folder; errors as in `read_facts`."""
        path = folder / FACTS
        try:
            status = _status(path)
        except OSError:
            return read_facts(folder)
        known = self._facts.get(path)
        if known is None or known[0] != status:
            known = self._facts[path] = (status, read_facts(folder))
        return known[1]


def damage(
    folder: Path, files: Mapping[str, Mapping[str, Any]], seen: Seen, *, may_lack: bool = False
) -> tuple[str, str] | None:
    """Return the first file that is not what was written, and what it is instead; None where all are.

    Parameters
    ----------
    folder : Path
        A folder.
    files : mapping of str to mapping
        Name -> size and sha256 as they were written.
    seen : Seen
        What has been read already.
    may_lack : bool
        Let files be that are not there any more.
    """
    for name, wanted in files.items():
        path = folder / name
        try:
            if path.exists() and not path.is_file():
                return name, "is a folder" if path.is_dir() else "is no ordinary file"
            if path.stat().st_size != wanted["bytes"]:
                return name, f"has {path.stat().st_size:,} bytes, {wanted['bytes']:,} were written"
            if seen.content(path)["sha256"] != wanted["sha256"]:
                return name, "has changed since it was written (its sha256 is not the recorded one)"
        except FileNotFoundError:
            if not may_lack:
                return name, "is missing"
        except OSError as error:
            return name, f"cannot be read ({error.strerror or error})"
    return None


def whole_run(folder: Path, seen: Seen) -> tuple[dict[str, Any] | None, str]:
    """Return run.json of a folder whose files are all as the run wrote them; else None and what is wrong."""
    try:
        facts = seen.facts(folder)
    except UserError as error:
        return None, f"{Path(error.where).name} {error.message}"
    lacking = [name for name in NEEDED if name not in facts["files"]]
    if lacking:
        return None, f"{FACTS} does not list {lacking[0]}"
    found = damage(folder, facts["files"], seen)
    return (None, " ".join(found)) if found else (facts, "")


def checked_facts(folder: Path, needed: Iterable[str] = ()) -> dict[str, Any]:
    """Return run.json of a result folder after comparing every file with it that is there.

    Parameters
    ----------
    folder : Path
        A result folder.
    needed : iterable of str
        Files that must be there.

    Raises
    ------
    UserError
        Naming the file that is missing or not what the run wrote.
    """
    facts = read_facts(folder)
    for name in needed:
        if name not in facts["files"]:
            raise UserError(f"does not list {name}, which every run writes", where=str(folder / FACTS))
        if not (folder / name).exists():
            raise UserError("is missing", where=str(folder / name))
    if found := damage(folder, facts["files"], Seen(), may_lack=True):
        raise UserError(f"is damaged: it {found[1]}; make the run again", where=str(folder / found[0]))
    return facts


def _status(path: Path) -> _Status:
    found = path.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
