"""Classes in the user's own files, `file.py:Class`: imported when a configuration asks for them, never before."""

from __future__ import annotations

import hashlib
import linecache
import re
import traceback
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from discosim.core.beside import Texts, module_of
from discosim.core.errors import UserError, close_match
from discosim.core.plugins import in_words
from discosim.core.source_code import SourceCode, source_of_file

PACKAGE = "own file"
"""Stands for the distribution of a class in a file of the user's."""

_NAMED = re.compile(r"(.+\.py):([^\W\d]\w*)", re.DOTALL)
_MEANT = re.compile(r"(.+\.py)(:.*)?", re.DOTALL)
_Status = tuple[tuple[str, int, int, int], ...]


def split_kind(kind: str) -> tuple[str, str] | None:
    """Return file and class of a kind; None where it names no file.

    Examples
    --------
    >>> split_kind("mine.py:Patient"), split_kind("disco")
    (('mine.py', 'Patient'), None)

    Raises
    ------
    UserError
        If it names a file and no class of it; without a place.
    """
    if found := _NAMED.fullmatch(kind):
        return found[1], found[2]
    if found := _MEANT.fullmatch(kind):
        raise UserError(f"names a file and no class of it; write {found[1]}:Class")
    return None


def is_own(kind: str) -> bool:
    """Tell whether a kind is a class in a file."""
    return _NAMED.fullmatch(kind) is not None


def usual_name(kind: object) -> str:
    """Return the name of a policy that is given none: its kind, or its class.

    Examples
    --------
    >>> usual_name("below/mine.py:Patient"), usual_name("disco")
    ('Patient', 'disco')
    """
    found = _NAMED.fullmatch(str(kind))
    return found[2] if found else str(kind)


def without_folder(kind: str) -> str:
    """Return a kind as two machines write it alike.

    Examples
    --------
    >>> without_folder("/data/mine.py:Patient"), without_folder("disco")
    ('mine.py:Patient', 'disco')
    """
    found = _NAMED.fullmatch(kind)
    return f"{Path(found[1]).name}:{found[2]}" if found else kind


@dataclass(frozen=True)
class _Held:
    """What a file gave: its module, or why it has none; and what of its code was there then."""

    module: ModuleType | None
    why_not: str
    code: SourceCode
    places: tuple[Path, ...]
    status: _Status
    content: bytes = b""
    texts: Texts = field(default_factory=dict)
    """Of what lies beside it and was imported, so that it can be run again as it was."""


_held: dict[str, _Held] = {}
_busy: dict[str, str] = {}
"""Files that are being imported -> why that goes wrong, once it does."""


def load_own(kind: str, base: type) -> type[Any]:
    """Import a class of the user's, anew where its code has changed since.

    Parameters
    ----------
    kind : str
        ``/absolute/file.py:Class``.
    base : type
        What it must be a subclass of.

    Raises
    ------
    UserError
        If there is no such class, it is none of these, or the file cannot be imported; without a place. The line of
        the user's file is named.
    """
    file, name = _split(kind)
    held = _held.get(file)
    if held is None or held.status != _status(held.places):
        _held[file] = held = _looked_at(Path(file), held)
    if held.module is None:
        raise UserError(held.why_not)
    return _class_of(held.module, file, name, base)


def own_class(kind: str, base: type) -> type[Any]:
    """Return a class of the user's that was imported already.

    Raises
    ------
    UserError
        If nobody asked for it: what stands in somebody's results is not run.
    """
    file, name = _split(kind)
    held = _held.get(file)
    if held is None or held.module is None:
        raise UserError(f"{without_folder(kind)} was not imported; load the scenario that names it")
    return _class_of(held.module, file, name, base)


def anew(value: type[Any]) -> type[Any]:
    """Return a class of the user's as its file defines it when it is run again, so that nothing is left of before.

    It is run as it was when it was imported, whatever has become of it since; what it prints is not shown twice. A
    class of any other origin comes back as it is, and so does one whose file cannot be run a second time.
    """
    file = file_behind(value)
    held = None if file is None else _held[str(file)]
    if file is None or held is None or value.__qualname__ != value.__name__:
        return value
    try:
        with redirect_stdout(None):
            module = module_of(file, held.content, held.texts)
    except Exception:  # noqa: BLE001 - it did run once; a registry may refuse to be told the same again
        return value
    found = vars(module).get(value.__name__)
    return found if isinstance(found, type) and found.__module__ == value.__module__ else value


def is_left(kind: str) -> bool:
    """Tell whether a kind is a class in a file that nobody imported, so that nothing can be asked of it."""
    found = _NAMED.fullmatch(kind)
    return found is not None and (found[1] not in _held or _held[found[1]].module is None)


def file_behind(value: type) -> Path | None:
    """Return the file of the user's that a class was imported from by its kind; None for any other class."""
    for file, held in _held.items():
        if held.module is not None and held.module.__name__ == value.__module__:
            return Path(file)
    return None


def own_source(kind: str) -> SourceCode:
    """Return the fingerprint of a class of the user's: as it was imported, else as its file lies; nothing is run."""
    file, name = _split(kind)
    held = _held.get(file)
    if held is not None and held.module is not None:
        return _of_class(held.code, name)
    try:
        content = Path(file).read_bytes()
    except OSError:
        return SourceCode(Path(file).stem, "")
    return _of_class(source_of_file(Path(file), content)[0], name)


def own_texts(kind: str) -> dict[str, bytes]:
    """Return the code behind a class of the user's by name below its folder: the file, and what it has beside it.

    As it was imported where it was; nothing is run. A file that cannot be read is left out.
    """
    file = Path(_split(kind)[0])
    held = _held.get(str(file))
    found: dict[str, bytes] = {}
    try:
        content = held.content if held is not None and held.module is not None else file.read_bytes()
        places = held.places if held is not None else source_of_file(file, content)[1]
    except OSError:
        return found
    texts = {} if held is None else held.texts
    found[file.name] = content
    for place in places:
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            if path != file and path.is_relative_to(file.parent):
                with suppress(OSError):
                    found[path.relative_to(file.parent).as_posix()] = texts.get(str(path)) or path.read_bytes()
    return found


def _of_class(code: SourceCode, name: str) -> SourceCode:
    return replace(code, sha256=hashlib.sha256(f"{code.sha256}:{name}".encode()).hexdigest())


def _split(kind: str) -> tuple[str, str]:
    found = split_kind(kind)
    if found is None:
        raise UserError(f"'{kind}' names no file")
    return found


def _looked_at(file: Path, old: _Held | None) -> _Held:
    """Read a file and what lies beside it, and import it if that is other code than before."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise UserError(f"{file} cannot be read ({error.strerror or error})") from error
    code, places = source_of_file(file, content)
    status = _status(places)
    if old is not None and old.module is not None and old.code == code:
        return replace(old, status=status)
    if str(file) in _busy:
        _busy[str(file)] = f"{file} runs a scenario while it is imported; put that under `if __name__ == '__main__':`"
        raise UserError(_busy[str(file)])
    _busy[str(file)] = ""
    try:
        linecache.checkcache(str(file))
        texts: Texts = {}
        return _Held(module_of(file, content, texts), "", code, places, status, content, texts)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - a file of the user's may do anything, an attempt to exit included
        reason = _busy[str(file)] or f"{_where(error, file)}: {in_words(error)}"
        return _Held(None, reason, code, places, status)
    finally:
        del _busy[str(file)]


def _where(error: BaseException, file: Path) -> str:
    """Return file and line of the user's own code where an error came about."""
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return f"{error.filename}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(file.parent)]
    return f"{own[-1].filename}:{own[-1].lineno}" if own else str(file)


def _class_of(module: ModuleType, file: str, name: str, base: type) -> type[Any]:
    here = Path(file).name
    value = vars(module).get(name)
    if value is None:
        known = [n for n, v in vars(module).items() if isinstance(v, type) and issubclass(v, base) and v is not base]
        own = [n for n in known if vars(module)[n].__module__ == module.__name__] or known
        raise UserError(f"{here} has no class '{name}'; {close_match(name, own)}")
    if not isinstance(value, type) or not issubclass(value, base):
        what = f"derives from no {base.__name__}" if isinstance(value, type) else f"is no class but {_a(value)}"
        raise UserError(f"'{name}' of {here} {what}; write `class {name}({base.__name__}):`")
    if is_dataclass(value) and (taken := sorted({"kind", "name"} & {f.name for f in fields(value)})):
        raise UserError(f"'{name}' of {here} has an option named {taken[0]}, which a scenario needs for itself")
    return value


def _a(value: object) -> str:
    kind = type(value).__name__
    return f"{'an' if kind[:1] in 'aeiou' else 'a'} {kind}"


def _status(places: tuple[Path, ...]) -> _Status:
    """Return what the system says of files and packages, by which a change is seen."""
    found: list[tuple[str, int, int, int]] = []
    for place in places:
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            try:
                status = path.stat()
            except OSError:
                found.append((str(path), 0, 0, 0))
                continue
            if path.suffix != ".pyc" and path.name != "__pycache__":
                found.append((str(path), status.st_size, status.st_mtime_ns, status.st_ino))
    return tuple(found)
