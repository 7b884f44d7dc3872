"""Whether an object says more than is known of its class; so lists of what is known stay true as classes grow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from typing import Any

Known = Mapping[type, frozenset[str]]
"""Of each class, the fields whose every value is known; any other has to hold its default."""


def says_only(part: Any, known: Known) -> bool:
    """Tell whether a part is of a known class, no subclass, and says nothing beyond the fields that are known of it."""
    names = known.get(type(part))
    if names is None:
        return False
    return all(field.name in names or _holds_default(part, field) for field in fields(part))


def _holds_default(part: Any, field: Field[Any]) -> bool:
    default = field.default_factory() if field.default_factory is not MISSING else field.default
    value = getattr(part, field.name)
    return default is not MISSING and type(value) is type(default) and bool(value == default)
