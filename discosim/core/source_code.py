"""The source of code that is not ours: one fingerprint of everything in it that decides what it does."""

from __future__ import annotations

import hashlib
import inspect
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any

from discosim.core.source_files import fingerprints, imports_in, imports_of, is_installed, locate, locate_beside

OWN = "discosim"
LIBRARIES = ("numpy", "scipy", "pandas", "simpy", "pyarrow")
"""Libraries whose versions are recorded and compared for every run, so that they are no part of a fingerprint here."""


@dataclass(frozen=True)
class SourceCode:
    """What is known about the code of a class.

    Parameters
    ----------
    module : str
        Where the class stands.
    sha256 : str
        Fingerprint; '' where no source can be had.
    parts : tuple of str
        The packages and modules whose files are in it, sorted.
    libraries : tuple of str
        Name and version of each installed distribution that it imports, sorted.
    """

    module: str
    sha256: str
    parts: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()


def is_foreign(value: Any) -> bool:
    """Tell whether a class or function comes from another package than this one."""
    return _top(_module_of(value)) != OWN


@cache
def source_of(value: Any, named_in: str = "") -> SourceCode:
    """Return the fingerprint of the code behind a class or function.

    It covers the whole package (or the module) that the class comes from, the packages of its base classes, and what
    these import that is no installed library, file by file; installed libraries by name and version. Places on the
    disk do not count, so that two machines agree. It is taken once, when the class is first asked for, and kept: a file
    that is edited while this process goes on does not change what runs here.

    Parameters
    ----------
    value : type or callable
        Of another package.
    named_in : str
        Module through which it was found, where that may be another one.

    Notes
    -----
    Source: our choice. Imports are read off the source, without running it: those in functions count, those by a
    computed name do not, unless they stay inside the package. Files that the code reads from elsewhere are not seen.
    Code without files is fingerprinted by what there is: a zip archive as a whole, a class of a notebook by its text.
    """
    module = _module_of(value)
    bases = value.__mro__ if isinstance(value, type) else ()
    roots = dict.fromkeys(filter(None, [module, named_in, *(str(base.__module__) for base in bases)]))
    closure = _Closure([root for root in roots if not is_known(root)])
    if not closure.places:
        return SourceCode(module, _text_of(value))
    text = "\n".join([f"{module}:{getattr(value, '__qualname__', '')}", *sorted(closure.lines)])
    sha256 = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
    return SourceCode(module, sha256, tuple(sorted(closure.places)), tuple(sorted(closure.libraries)))


def source_of_file(file: Path, content: bytes) -> tuple[SourceCode, tuple[Path, ...]]:
    """Return the fingerprint of a file of the user's, and the places of all code in it; nothing is run.

    It covers the file, what it imports from beside it (a module, or a whole package), and so on from there; what these
    import from elsewhere as `source_of` does. Folders do not count, so that two machines agree.

    Parameters
    ----------
    file : Path
        Where it lies.
    content : bytes
        What it holds.
    """
    closure = _Closure([], imports_in(content), file.parent)
    lines = [f"{file.name} {hashlib.sha256(content).hexdigest()}", *sorted(closure.lines)]
    sha256 = hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()
    parts = (file.name, *sorted(closure.places))
    code = SourceCode(file.stem, sha256, parts, tuple(sorted(closure.libraries)))
    return code, (file, *closure.places.values())


def _module_of(value: Any) -> str:
    return str(getattr(value, "__module__", None) or type(value).__module__)


def _top(module: str) -> str:
    return module.partition(".")[0]


def is_known(module: str) -> bool:
    """Tell whether a module needs no fingerprint: of this package, of Python, or compared for every run."""
    return _top(module) in {OWN, *LIBRARIES} or _top(module) in sys.stdlib_module_names


def _text_of(value: Any) -> str:
    """Return the hash of the text of a class that stands in no file, '' where there is none."""
    try:
        text = inspect.getsource(value)
    except (OSError, TypeError):
        return ""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


@cache
def _packages() -> dict[str, list[str]]:
    """Return which distributions each importable name comes from."""
    with suppress(Exception):  # the metadata of any package may be damaged
        return {name: sorted(set(held)) for name, held in packages_distributions().items()}
    return {}


@dataclass
class _Closure:
    """All code that is reached from some modules, and from what a file in a folder imports."""

    roots: list[str]
    start: list[str] = field(default_factory=list)
    beside: Path | None = None
    places: dict[str, Path] = field(default_factory=dict)
    libraries: set[str] = field(default_factory=set)
    lines: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        waiting = [*self.roots, *dict.fromkeys(name for name in self.start if not is_known(name))]
        seen = set(waiting)
        while waiting:
            for name in self._read(waiting.pop()):
                if name not in seen and not is_known(name):
                    seen.add(name)
                    waiting.append(name)

    def _read(self, module: str) -> list[str]:
        """Take in the package around a module, and return what the module and the packages above it import."""
        found = locate(module) if self.beside is None else locate_beside(module, self.beside)
        if found is None:
            self.lines.add(f"missing {_top(module)}")  # what comes to be there later is another code
            return []
        name, place = found
        if name not in self.places and self._is_library(module, name, place):
            return []
        if name not in self.places:
            self.places[name] = place
            self.lines.update(fingerprints(name, place))
        return imports_of(module, name, place)

    def _is_library(self, module: str, name: str, place: Path) -> bool:
        """Tell whether a package is an installed library rather than code beside a root, and note its version."""
        if module in self.roots or not is_installed(place):
            return False
        own = {package for root in self.roots for package in _packages().get(_top(root), ())}
        held = [package for package in _packages().get(_top(name), ()) if package not in own]
        for package in held:
            with suppress(Exception):
                self.libraries.add(f"{package} {version(package)}")
        self.lines.update(f"library {library}" for library in self.libraries)
        return bool(held)
