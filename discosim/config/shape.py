"""What a section asks for: the keys of a dataclass with their types, defaults, meanings and ranges."""

from __future__ import annotations

import sys
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from typing import Any, Literal, Union, get_args, get_origin

from discosim.core.errors import UserError
from discosim.core.spec import SINCE


@dataclass(frozen=True)
class Key:
    """One key of a section."""

    name: str
    type: Any
    has_default: bool
    default: Any
    description: str
    limits: Mapping[str, Any]


def keys_of(section: type) -> dict[str, Key]:
    """Return the keys of a dataclass in their order: the fields that its ``__init__`` takes.

    Raises
    ------
    UserError
        If the annotation of a field names a type that its module does not know.
    """
    return {f.name: _key(section, f) for f in fields(section) if f.init}


def _key(section: type, f: Field[Any]) -> Key:
    metadata = dict(f.metadata)
    metadata.pop("discriminator", None)
    metadata.pop(SINCE, None)
    has_default = f.default is not MISSING or f.default_factory is not MISSING
    default = f.default if f.default_factory is MISSING else f.default_factory()
    return Key(
        name=f.name,
        type=_resolved(section, f),
        has_default=has_default,
        default=default if has_default else None,
        description=metadata.pop("description", ""),
        limits=metadata,
    )


def _resolved(section: type, f: Field[Any]) -> Any:
    """Resolve one annotation alone: other fields may name types that exist for the type checker only."""
    owner = next(base for base in section.__mro__ if f.name in vars(base).get("__annotations__", {}))
    holder = types.SimpleNamespace(__annotations__={f.name: f.type})
    names = vars(sys.modules.get(owner.__module__, typing))
    try:
        return typing.get_type_hints(holder, globalns=names)[f.name]
    except NameError as error:
        raise UserError(
            f"the type of option '{f.name}' cannot be resolved ({error}); import it at the top of its module",
            where=f"class {owner.__qualname__}",
        ) from None


def without_none(annotation: Any) -> tuple[Any, bool]:
    """Return a type without its ``None``, and whether it had one."""
    if get_origin(annotation) not in {Union, types.UnionType}:
        return annotation, False
    members = get_args(annotation)
    rest = tuple(member for member in members if member is not type(None))
    return (Union[rest] if len(rest) > 1 else rest[0]), len(rest) < len(members)  # noqa: UP007 - built at run time


def members_of(annotation: Any) -> tuple[Any, ...]:
    """Return the members of a union, or the type alone."""
    return get_args(annotation) if get_origin(annotation) in {Union, types.UnionType} else (annotation,)


def sections_of(annotation: Any) -> tuple[type, ...]:
    """Return the dataclasses among which ``kind`` chooses, or nothing where the type is no section."""
    members = members_of(annotation)
    return members if all(isinstance(m, type) and is_dataclass(m) for m in members) else ()


def kind_of(section: type) -> str:
    """Return the value of ``kind`` that selects a section, or '' where it has none."""
    key = keys_of(section).get("kind")
    return str(get_args(key.type)[0]) if key is not None and get_origin(key.type) is Literal else ""


def mapping_value(annotation: Any) -> Any | None:
    """Return the type of the values of ``Mapping[str, X]``, or None where the type is no such mapping."""
    return get_args(annotation)[1] if get_origin(annotation) is Mapping else None


def item_type(annotation: Any) -> Any | None:
    """Return the type of the items of ``tuple[X, ...]``, or None where the type is no such list."""
    arguments = get_args(annotation)
    if get_origin(annotation) is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return arguments[0]
    return None
