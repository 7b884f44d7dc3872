"""The shape of the JSON files that this package writes: what a person or a disk has changed is answered in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from discosim.core.errors import UserError
from discosim.core.json_text import read_json
from discosim.core.printable import printable

MOST_BYTES = 1 << 28
"""Size up to which a JSON file is read: a plan of a million runs has 150 MB."""
_SHOWN = 60

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, Field(pattern=r"^[^/\\\x00]+$", max_length=255)]


class Shape(BaseModel):
    """Base of all shapes: nothing is converted, numbers are finite, keys that are not named are let be."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)


S = TypeVar("S", bound=Shape)


def read_bounded(path: Path) -> bytes:
    """Return the content of a JSON file of ours, unless it cannot be one.

    Raises
    ------
    UserError
        If it is missing, no file, too large, or cannot be read; missing ones raise it from ``FileNotFoundError``.
    """
    try:
        if path.is_dir():
            raise UserError("is a folder; expected a JSON file", where=str(path))
        if path.exists() and not path.is_file():
            raise UserError("is no ordinary file; expected a JSON file", where=str(path))
        if path.stat().st_size > MOST_BYTES:
            raise UserError(f"is larger than {MOST_BYTES >> 20} MB; nothing writes such a file", where=str(path))
        return path.read_bytes()
    except FileNotFoundError as error:
        raise UserError("no such file", where=str(path)) from error
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror or error})", where=str(path)) from error


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Raises
    ------
    UserError
        If it is missing, cannot be read, or holds something else.
    """
    raw = read_bounded(path)
    try:
        content = read_json(raw)
    except UserError as error:
        raise UserError(f"not a readable JSON file ({error.message})", where=str(path)) from None
    if not isinstance(content, dict):
        raise UserError(f"does not hold what is written there (a {_kind(content)}, not an object)", where=str(path))
    return content


def check_shape(shape: type[S], content: object, path: Path, writer: str) -> S:
    """Return plain data as what it must be.

    Parameters
    ----------
    shape : type
        What is expected.
    content : object
        What JSON gave.
    path : Path
        The file, for messages.
    writer : str
        Who writes such files, for messages: ``a run``.

    Raises
    ------
    UserError
        If it has another shape, naming the first key that is wrong.
    """
    try:
        return shape.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        what = f"{key}: {first['msg'][:1].lower()}{first['msg'][1:]}".removeprefix(": ")
        if len(what) > _SHOWN * 2:
            what = f"{what[: _SHOWN * 2]}..."
        raise UserError(f"does not hold what {writer} writes there ({printable(what)})", where=str(path)) from None


def _kind(value: object) -> str:
    names = {list: "list", str: "text", bool: "truth value", type(None): "null"}
    return names.get(type(value), "number")
