"""Python packages as files: where a module lies, what it imports, and the fingerprint of all of it; nothing is run."""

from __future__ import annotations

import ast
import hashlib
import site
import sys
import sysconfig
from collections.abc import Iterator
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec
from importlib.util import find_spec, resolve_name
from pathlib import Path

CODE = (".py", ".pyc", ".pyx", ".pxd", ".c", ".cpp", ".h", *EXTENSION_SUFFIXES)
DATA = (
    *(".json", ".jsonl", ".yaml", ".yml", ".toml", ".ini", ".csv", ".tsv", ".txt", ".npy", ".npz", ".parquet"),
    *(".feather", ".pkl", ".pickle", ".joblib", ".pt", ".pth", ".onnx", ".safetensors", ".h5", ".bin", ".dat"),
    *(".db", ".sqlite", ".gz", ".bz2", ".xz", ".zst", ".zip"),
)
"""Files inside a package that its code may read: a table of thresholds decides as much as a line of code."""

RESULTS = ("run.json", "plan.json")
"""What a folder of results holds: it may lie inside the package that somebody works in, and decides nothing."""

WHOLE_BYTES = 2**24
SAMPLE_BYTES = 2**20
"""Of a larger file, size, beginning and end count, so that a package with weights of gigabytes costs no minute."""


def is_installed(place: Path) -> bool:
    """Tell whether a place lies where packages are installed: of this environment, or of one that it stands on."""
    if {"site-packages", "dist-packages"} & set(place.parts):
        return True
    return any(place.is_relative_to(folder) for folder in _library_folders())


@cache
def _library_folders() -> tuple[Path, ...]:
    named = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), site.getusersitepackages()}
    return tuple(sorted(Path(folder).resolve() for folder in {*named, *site.getsitepackages()}))


def locate(module: str) -> tuple[str, Path] | None:
    """Return the outermost package around a module, and its place.

    Parameters
    ----------
    module : str
        Absolute dotted name; what is not a module at its end, such as a function, is ignored.

    Returns
    -------
    (str, Path) or None
        Name and folder of a package, or name and file of a module that stands alone, or of a zip archive. None where
        nothing of that name has a file; a bare folder of that name, which Python takes for a namespace, is nothing.
    """
    top, *rest = module.split(".")
    spec = _spec(top)
    if spec is None:
        file = getattr(sys.modules.get(top), "__file__", None)
        return (top, Path(file).resolve()) if file and Path(file).is_file() else None
    if spec.origin in {None, "namespace"} and spec.submodule_search_locations:
        return _inside_namespace(top, rest, [Path(folder) for folder in spec.submodule_search_locations])
    origin = Path(spec.origin or "")
    place = origin.parent if spec.submodule_search_locations is not None else origin
    if not origin.is_file():
        place = Path(getattr(spec.loader, "archive", ""))
    return (top, place.resolve()) if place.is_file() or (place.is_dir() and origin.is_file()) else None


def locate_beside(module: str, folder: Path) -> tuple[str, Path] | None:
    """Return what :func:`locate` does, looking into a folder first."""
    top, *rest = module.split(".")
    if (folder / top / "__init__.py").is_file():
        return top, folder / top
    if (folder / f"{top}.py").is_file():
        return top, folder / f"{top}.py"
    found = locate(module)
    return found if found or not (folder / top).is_dir() else _inside_namespace(top, rest, [folder / top])


def _spec(top: str) -> ModuleSpec | None:
    try:
        return find_spec(top)
    except (ImportError, ValueError, AttributeError):
        return None


def _inside_namespace(name: str, rest: list[str], folders: list[Path]) -> tuple[str, Path] | None:
    """Go down a namespace, which has no files of its own, to the first package or module."""
    for part in rest:
        name = f"{name}.{part}"
        for folder in folders:
            if (folder / part / "__init__.py").is_file():
                return name, (folder / part).resolve()
            if (folder / f"{part}.py").is_file():
                return name, (folder / f"{part}.py").resolve()
        folders = [folder / part for folder in folders if (folder / part).is_dir()]
    return None


def fingerprints(name: str, place: Path) -> Iterator[str]:
    """Yield a line for each file of a package or module: where it lies in the package, and the hash of its content."""
    if not place.is_dir():
        yield f"{name} {_sha256(place)}"
        return
    for path in sorted(place.rglob("*")):
        parts = path.relative_to(place).parts
        is_hidden = any(part.startswith(".") or part == "__pycache__" for part in parts)
        if path.name.endswith((*CODE, *DATA)) and not is_hidden and path.is_file() and not _is_result(path, place):
            yield f"{name}/{'/'.join(parts)} {_sha256(path)}"


def _is_result(path: Path, place: Path) -> bool:
    inside = [parent for parent in path.parents if parent != place and parent.is_relative_to(place)]
    return any((folder / file).is_file() for folder in inside for file in RESULTS)


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            if size <= WHOLE_BYTES:
                return hashlib.file_digest(file, "sha256").hexdigest()
            sample = hashlib.sha256(f"{size}\n".encode() + file.read(SAMPLE_BYTES))
            file.seek(-SAMPLE_BYTES, 2)
            sample.update(file.read())
            return sample.hexdigest()
    except OSError as error:
        return f"unreadable: {error.strerror}"


def imports_of(module: str, name: str, place: Path) -> list[str]:
    """Return what a module of a package imports, and what the packages above it inside that one do, by absolute name.

    Parameters
    ----------
    module : str
        The module.
    name, place : str, Path
        The package around it, as :func:`locate` gives it.
    """
    found: list[str] = []
    for file, package in _on_the_way(module, name, place):
        found += _imports(file, package)
    return found


def _on_the_way(module: str, name: str, place: Path) -> Iterator[tuple[Path, str]]:
    """Yield the files that Python runs to import a module, each with the package its relative imports start from."""
    if not place.is_dir():
        if place.suffix == ".py":
            yield place, name.rpartition(".")[0]
        return
    yield place / "__init__.py", name
    for part in module.split(".")[name.count(".") + 1 :]:
        if (place / f"{part}.py").is_file() and not (place / part / "__init__.py").is_file():
            yield place / f"{part}.py", name
            return
        place, name = place / part, f"{name}.{part}"
        yield place / "__init__.py", name


def _imports(file: Path, package: str) -> list[str]:
    try:
        content = file.read_bytes()
    except OSError:
        return []
    return imports_in(content, package)


def imports_in(content: bytes, package: str = "") -> list[str]:
    """Return what the text of a module imports, by absolute name; nothing where it is no Python."""
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = _absolute(node, package)
            found += [start, *(f"{start}.{alias.name}" for alias in node.names)] if start else []
        elif isinstance(node, ast.Call) and node.args and _called(node.func) in {"import_module", "__import__"}:
            match node.args[0]:
                case ast.Constant(value=str() as name):
                    found.append(name)
    return [name for name in found if all(part.isidentifier() for part in name.split("."))]


def _called(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _absolute(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    try:
        return resolve_name("." * node.level + (node.module or ""), package)
    except ImportError:
        return ""
