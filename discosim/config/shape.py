"""What a section asks for: the keys of a dataclass with their types, defaults, meanings and ranges."""

from __future__ import annotations

import sys
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin

from discosim.core.bounds import bounded
from discosim.core.errors import UserError
from discosim.core.plugins import in_words
from discosim.core.source_code import is_foreign
from discosim.core.spec import SINCE, UNIT

MAPPINGS = (Mapping, dict)
LISTS = (list, Sequence)


@dataclass(frozen=True)
class Key:
    """One key of a section."""

    name: str
    type: Any
    has_default: bool
    default: Any
    description: str
    limits: Mapping[str, Any]
    is_later: bool = False
    """Whether it was added to a section that runs were stored with before."""


def keys_of(section: type) -> Mapping[str, Key]:
    """Return the keys of a dataclass in their order: the fields that its ``__init__`` takes; none of another class.

    Raises
    ------
    UserError
        If the annotation of a field names a type that its module does not know.
    """
    return _keys(section)


@cache
def _keys(section: type) -> Mapping[str, Key]:
    found = fields(section) if is_dataclass(section) else ()
    return types.MappingProxyType({f.name: _key(section, f) for f in found if f.init})


def _key(section: type, f: Field[Any]) -> Key:
    metadata = dict(f.metadata)
    metadata.pop("discriminator", None)
    is_later, unit = bool(metadata.pop(SINCE, None)), metadata.pop(UNIT, "")
    has_default = f.default is not MISSING or f.default_factory is not MISSING
    default = f.default if f.default_factory is MISSING else _made(section, f.name, f.default_factory)
    description, kind = metadata.pop("description", ""), _resolved(section, f)
    if not is_foreign(section) and {int, float} & set(members_of(kind)):
        metadata = bounded(f.name, unit, metadata)
    return Key(
        name=f.name,
        type=kind,
        has_default=has_default,
        default=default if has_default else None,
        description=description,
        limits=metadata,
        is_later=is_later,
    )


def _made(section: type, name: str, factory: Callable[[], Any]) -> Any:
    try:
        return factory()
    except Exception as error:  # a package of somebody else may do anything here
        said = f"the default of option '{name}' cannot be made ({in_words(error)})"
        raise UserError(said, where=f"class {section.__qualname__}") from error


def _resolved(section: type, f: Field[Any]) -> Any:
    """Resolve one annotation alone: other fields may name types that exist for the type checker only."""
    owner = next(base for base in section.__mro__ if f.name in vars(base).get("__annotations__", {}))
    holder = types.SimpleNamespace(__annotations__={f.name: f.type})
    names = vars(sys.modules.get(owner.__module__, typing))
    try:
        return typing.get_type_hints(holder, globalns=names)[f.name]
    except Exception as error:  # noqa: BLE001 - an annotation is code, and may be that of another package
        advice = "; import it at the top of its module" if isinstance(error, NameError) else ""
        said = f"the type of option '{f.name}' cannot be resolved ({in_words(error)}){advice}"
        raise UserError(said, where=f"class {owner.__qualname__}") from None


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


def first_kind(sections: tuple[type, ...]) -> str:
    """Return the kind that is meant where none is written, or '': that of a section which once was the only one."""
    return next((kind_of(section) for section in sections if keys_of(section)["kind"].is_later), "")


def kind_of(section: type) -> str:
    """Return the value of ``kind`` that selects a section, or '' where it has none."""
    key = keys_of(section).get("kind")
    return str(get_args(key.type)[0]) if key is not None and get_origin(key.type) is Literal else ""


def mapping_value(annotation: Any) -> Any | None:
    """Return the type of the values of ``Mapping[str, X]`` or ``dict[str, X]``, or None where it is no such mapping."""
    if annotation in MAPPINGS:
        return Any
    return get_args(annotation)[1] if get_origin(annotation) in MAPPINGS else None


def item_type(annotation: Any) -> Any | None:
    """Return the type of the items of ``tuple[X, ...]``, ``list[X]`` or ``Sequence[X]``; None where it is no list."""
    if annotation in {tuple, *LISTS}:
        return Any
    arguments = get_args(annotation)
    if get_origin(annotation) in LISTS:
        return arguments[0]
    return arguments[0] if get_origin(annotation) is tuple and arguments[1:] == (Ellipsis,) else None


def item_types(annotation: Any) -> tuple[Any, ...] | None:
    """Return the types of ``tuple[X, Y]`` one by one, or None where it is no list of a fixed length."""
    is_fixed = get_origin(annotation) is tuple and get_args(annotation)[1:] != (Ellipsis,)
    return get_args(annotation) if is_fixed else None


def is_container(annotation: Any) -> bool:
    """Tell whether a type is a section, a list or a mapping."""
    kinds = (sections_of, mapping_value, item_type, item_types)
    return any(kind(annotation) not in {None, ()} for kind in kinds)
