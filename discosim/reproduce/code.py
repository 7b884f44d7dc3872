"""The Python files of a paper's folder, as one package per folder."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from discosim.core.beside import FreshSource
from discosim.core.errors import UserError, close_match

ROOT = "discosim_experiments"
INPUT_SUFFIXES = (".py", ".yaml", ".json", ".csv")
STEMS = ("tables", "figures", "estimators")
NO_INPUTS = ("experiment.yaml", "claims.yaml", "figures.py", "estimators.py")
"""Files that decide no number of a table."""


def load_module(folder: Path, stem: str) -> ModuleType:
    """Import ``<folder>/<stem>.py``, as a module of a package so that it can import its neighbours.

    Raises
    ------
    UserError
        If there is no such file. What goes wrong inside it is a bug there and raises as it is.
    """
    if not (folder / f"{stem}.py").is_file():
        raise UserError("no such file", where=str(folder / f"{stem}.py"))
    package = f"{ROOT}.p{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:8]}_{folder.name}"
    for name, places in ((ROOT, []), (package, [str(folder.resolve())])):
        if name not in sys.modules:
            module = ModuleType(name)
            module.__path__ = places
            sys.modules[name] = module
    name = f"{package}.{stem}"
    if name not in sys.modules:
        path = folder.resolve() / f"{stem}.py"
        spec = spec_from_file_location(name, path, loader=FreshSource(name, str(path), {}))
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = module_from_spec(spec)
        try:
            spec.loader.exec_module(sys.modules[name])
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]


@dataclass(frozen=True)
class Modules(Mapping[str, ModuleType]):
    """The Python files of a paper's folder by their stems; each is imported when it is asked for.

    Who judges claims needs no module that draws, and matplotlib takes as long to import as all claims of a paper take.
    """

    folder: Path

    def __getitem__(self, stem: str) -> ModuleType:
        if stem not in self:
            raise KeyError(stem)
        return load_module(self.folder, stem)

    def __contains__(self, stem: object) -> bool:
        return stem in STEMS and (self.folder / f"{stem}.py").is_file()

    def __iter__(self) -> Iterator[str]:
        return (stem for stem in STEMS if stem in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def function_of(module: ModuleType | None, name: str, where: str) -> Callable[..., Any]:
    """Return a function of a module, or say which are there."""
    known = [] if module is None else [k for k, v in vars(module).items() if callable(v) and not k.startswith("_")]
    if module is None or name not in known:
        raise UserError(f"no function '{name}'; {close_match(name, known)}", where=where)
    found: Callable[..., Any] = getattr(module, name)
    return found


def call(folder: str, stem: str, name: str, argument: Any) -> Any:
    """Call a function of a paper's folder; what a worker process is handed instead of a function of its own."""
    path = Path(folder)
    return function_of(load_module(path, stem), name, str(path / f"{stem}.py"))(argument)


def inputs_sha256(folder: Path) -> str:
    """Return the hash of what decides a folder's numbers: its code, scenarios and data, without figures and claims."""
    text = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if path.suffix in INPUT_SUFFIXES and path.name not in NO_INPUTS and relative.parts[0] != "expected":
            text.update(relative.as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return text.hexdigest()
