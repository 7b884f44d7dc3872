"""Files that a scenario names, as they travel to a node that has not got them: by their content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from discosim.core.errors import UserError
from discosim.core.own_code import is_own, split_kind
from discosim.core.scenario import EngineServer, PluginIterations, Scenario
from discosim.core.source_code import source_of_file
from discosim.runs.provenance import inputs_of

MOST_BYTES = 256 << 20
"""Size of the largest file that travels: what is larger takes longer to send than to put in place once."""


@dataclass(frozen=True)
class Carried:
    """A file that a scenario names, with what belongs to it.

    Parameters
    ----------
    path : str
        The file, as the scenario names it.
    files : mapping of str to (Path, sha256, bytes)
        Name below the folder of the file -> what lies there: the file itself, and what it reads beside it.
    """

    path: str
    files: Mapping[str, tuple[Path, str, int]]

    @property
    def key(self) -> str:
        """The sha256 of names and content, under which a node keeps it."""
        about = "".join(f"{name}\0{sha256}\n" for name, (_, sha256, _) in sorted(self.files.items()))
        return hashlib.sha256(about.encode("utf-8", "surrogatepass")).hexdigest()

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(size for _, _, size in self.files.values())

    def to_plain(self) -> dict[str, Any]:
        """Return what a node must know to tell whether it has it."""
        files = {name: [sha256, size] for name, (_, sha256, size) in self.files.items()}
        return {"path": self.path, "key": self.key, "files": files}

    def blobs(self) -> dict[str, bytes]:
        """Return its files as they travel.

        Raises
        ------
        UserError
            If one has changed since the sweep was planned.
        """
        found = {}
        for name, (path, sha256, _) in self.files.items():
            body = path.read_bytes()
            if hashlib.sha256(body).hexdigest() != sha256:
                raise UserError("has changed while the sweep ran", where=str(path))
            found[f"{self.key}/{name}"] = body
        return found


@dataclass
class Luggage:
    """What the scenarios of a sweep name; each file is read once."""

    _known: dict[str, Carried] = field(default_factory=dict)

    def of(self, scenario: Scenario) -> list[Carried]:
        """Return the files of a scenario."""
        for name in _named(scenario):
            if name not in self._known:
                self._known[name] = _carried(name)
        return [self._known[name] for name in dict.fromkeys(_named(scenario))]


def _named(scenario: Scenario) -> Iterable[str]:
    yield from (name for _, name, kind in inputs_of(scenario) if kind == "file")
    kinds = [spec.kind for spec in scenario.policies]
    for server in (scenario.server, *scenario.services.values()):
        if isinstance(server, EngineServer):
            kinds.append(server.scheduler.kind)
            kinds += [server.iterations.cost] if isinstance(server.iterations, PluginIterations) else []
    yield from (named[0] for kind in kinds if is_own(kind) and (named := split_kind(kind)))


def _carried(name: str) -> Carried:
    """Return a file; of the user's code also what it imports from beside it."""
    path = Path(name)
    if path.suffix != ".py":
        return Carried(name, {path.name: _facts(path)})
    _, places = source_of_file(path, path.read_bytes())
    files = {}
    for place in places:
        for part in sorted(place.rglob("*")) if place.is_dir() else [place]:
            is_code = part.is_file() and part.suffix != ".pyc" and "__pycache__" not in part.parts
            if is_code and part.is_relative_to(path.parent):
                files[part.relative_to(path.parent).as_posix()] = _facts(part)
    return Carried(name, files)


def _facts(path: Path) -> tuple[Path, str, int]:
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return path, sha256, path.stat().st_size
