"""Digests as files: one JSON per digest, the same bytes for the same numbers, read back strictly."""

from __future__ import annotations

import json
import math
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from discosim.core.empirical import CorrelatedSeries
from discosim.core.errors import UserError, close_match
from discosim.core.files import write_whole
from discosim.core.json_text import read_json
from discosim.core.printable import unicode_text
from discosim.traces.kinds import KINDS, Digest, kind_of

SCHEMA_VERSION = 1
SIGNIFICANT_DIGITS = 6
_ENVELOPE = ("name", "kind", "schema_version", "card", "data")


def dump_digest(digest: Digest) -> str:
    """Return the text of a digest file: fixed key order, 6 significant digits, one array a line."""
    plain = _plain(digest)
    name, card = plain.pop("name"), plain.pop("card")
    content = {
        "name": name,
        "kind": kind_of(digest),
        "schema_version": SCHEMA_VERSION,
        "card": card,
        "data": plain,
    }
    return _layout(content, 0) + "\n"


def parse_digest(text: str | bytes, *, where: str) -> Digest:
    """Read a digest file back.

    Parameters
    ----------
    text : str or bytes
        Content of the file.
    where : str
        Name of the file, for error messages.

    Raises
    ------
    UserError
        For anything but a well-formed digest: broken JSON, another schema version, an unknown, missing or
        repeated key, a value of the wrong type or out of range.
    """
    try:
        content = read_json(text, where=where)
    except UserError as error:
        raise UserError(f"not a JSON digest: {error.message}", where=where) from None
    _check_keys(content, _ENVELOPE, _ENVELOPE, where)
    if content["schema_version"] != SCHEMA_VERSION:
        raise UserError(
            f"schema_version is {content['schema_version']!r}, this version reads {SCHEMA_VERSION}",
            where=where,
        )
    kind = content["kind"]
    if not isinstance(kind, str) or kind not in KINDS:
        raise UserError(f"unknown kind of digest {kind!r}; {close_match(str(kind), KINDS)}", where=where)
    if not isinstance(content["data"], dict):
        raise UserError("expected an object", where=f"{where} data")
    body = {"name": content["name"], "card": content["card"], **content["data"]}
    digest: Digest = _structure(KINDS[kind], body, where)
    return digest


def read_own_digest(file: str | PathLike[str], kind: str) -> Digest:
    """Read a digest that a scenario names as a file.

    Parameters
    ----------
    file : path
        The file.
    kind : {"latency", "engine", "rtt", "device", "chunks"}
        What it must hold.

    Raises
    ------
    UserError
        If it cannot be read, is no digest, or one of another kind; the message names the command that makes one.
    """
    path = Path(file)
    try:
        digest = parse_digest(path.read_bytes(), where=str(path))
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror or error})", where=str(path)) from None
    except UserError as error:
        raise UserError(f"{error.message}; {_MADE_BY[kind]}", where=error.where) from None
    if kind_of(digest) != kind:
        raise UserError(f"holds a digest of kind {kind_of(digest)}, not {kind}; {_MADE_BY[kind]}", where=str(path))
    return digest


def write_own_digest(digest: Digest, path: Path) -> None:
    """Write a digest as the file that a scenario names; whole or not at all.

    Raises
    ------
    UserError
        If the file cannot be written.
    """
    write_whole(path, dump_digest(digest))


_MADE_BY = {
    "latency": "make one with `discosim traces digest-latency`",
    "engine": "make one with `discosim traces fit-engine`",
    "rtt": "make one with `discosim traces digest-rtt`",
    "device": "make one with `discosim traces digest-device`",
    "chunks": "make one with `discosim traces digest-chunks`",
}


def _plain(value: Any) -> Any:
    """Turn dataclasses into dictionaries, leaving out fields that hold None."""
    if isinstance(value, CorrelatedSeries):
        return {"latent_rho": value.latent_rho, **_plain(value.table)}
    if is_dataclass(value) and not isinstance(value, type):
        held = ((f.name, getattr(value, f.name)) for f in fields(value))
        return {name: _plain(content) for name, content in held if content is not None}
    if isinstance(value, Mapping):
        return {unicode_text(str(key)): _plain(content) for key, content in value.items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return unicode_text(value) if isinstance(value, str) else value


def _number(value: float) -> str:
    if not math.isfinite(value):
        raise ValueError(f"a digest holds finite numbers only, not {value}")
    rounded = float(f"{value:.{SIGNIFICANT_DIGITS}g}")
    return str(int(rounded)) if rounded == int(rounded) and abs(rounded) < 1e15 else repr(rounded)


def _layout(value: Any, depth: int) -> str:
    pad, end = "  " * (depth + 1), "  " * depth
    if isinstance(value, dict):
        lines = [f"{pad}{json.dumps(key)}: {_layout(item, depth + 1)}" for key, item in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{end}}}" if lines else "{}"
    if isinstance(value, list):
        if any(isinstance(item, (dict, list, str)) for item in value):
            return "[\n" + ",\n".join(pad + _layout(item, depth + 1) for item in value) + f"\n{end}]"
        return "[" + ", ".join(_layout(item, depth) for item in value) + "]"
    return _number(value) if isinstance(value, float) else json.dumps(value, ensure_ascii=False)


def _check_keys(content: Any, known: tuple[str, ...], needed: tuple[str, ...], where: str) -> None:
    if not isinstance(content, dict):
        raise UserError("expected an object", where=where)
    for key in content:
        if key not in known:
            raise UserError(f"unknown key {key!r}; {close_match(key, known)}", where=where)
    missing = [key for key in needed if key not in content]
    if missing:
        raise UserError(f"missing key {', '.join(missing)}", where=where)


def _structure(kind: Any, content: Any, where: str) -> Any:
    """Build a value of an annotated type from parsed JSON."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in {Union, types.UnionType}:
        (held,) = (choice for choice in inner if choice is not types.NoneType)
        return _structure(held, content, where)
    if is_dataclass(kind):
        return _record(kind, content, where)
    if origin is tuple:
        if not isinstance(content, list):
            raise UserError("expected an array", where=where)
        return tuple(_structure(inner[0], item, f"{where}[{i}]") for i, item in enumerate(content))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        if not isinstance(content, dict):
            raise UserError("expected an object", where=where)
        return {key: _structure(inner[1], item, f"{where} {key}") for key, item in content.items()}
    accepted = (int, float) if kind is float else (kind,)
    if not isinstance(content, accepted) or isinstance(content, bool):
        raise UserError(f"expected {kind.__name__}, found {content!r}", where=where)
    return kind(content)


def _record(cls: Any, content: Any, where: str) -> Any:
    if cls is CorrelatedSeries and isinstance(content, dict):
        content = dict(content)
        content = {"latent_rho": content.pop("latent_rho", 0.0), "table": content}
    hints = get_type_hints(cls)
    held = fields(cls)
    optional = {
        f.name
        for f in held
        if f.default is not MISSING or f.default_factory is not MISSING or types.NoneType in get_args(hints[f.name])
    }
    names = tuple(f.name for f in held)
    _check_keys(content, names, tuple(name for name in names if name not in optional), where)
    values: dict[str, Any] = dict.fromkeys(
        name for name in names if name in optional and types.NoneType in get_args(hints[name])
    )
    values |= {key: _structure(hints[key], item, f"{where} {key}") for key, item in content.items()}
    try:
        return cls(**values)
    except ValueError as error:
        raise UserError(str(error), where=where) from error
