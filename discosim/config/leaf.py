"""Validation of single values: strict types and ranges, in words a user can act on."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

from discosim.config.keypath import shown
from discosim.config.plain import check_scalar, plain
from discosim.config.shape import item_type, members_of
from discosim.core.errors import UserError, close_match

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_WORDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false", type(None): "null"}
_SIGNS = {"gt": ">", "ge": ">=", "le": "<=", "lt": "<"}
_IMPLIED = {"most": "le", "least": "ge"}
"""Bounds that go by unit, and are not said at every key."""
_RANGE_ERRORS = {"greater_than_equal": "ge", "greater_than": "gt", "less_than_equal": "le", "less_than": "lt"}


def adapter(annotation: Any, limits: Mapping[str, Any]) -> TypeAdapter[Any]:
    """Return the strict pydantic adapter of one value: no coercion of text, no NaN or infinity."""
    return _adapter(annotation, tuple(sorted(limits.items())))


@cache
def _adapter(annotation: Any, limits: tuple[tuple[str, Any], ...]) -> TypeAdapter[Any]:
    from typing import Annotated

    from pydantic import ConfigDict, Field, TypeAdapter

    declared = dict(limits)
    for implied, name in _IMPLIED.items():
        if implied in declared:
            declared.setdefault(name, declared.pop(implied))
    bounded: Any = annotation
    if declared and Literal in {get_origin(member) for member in members_of(annotation)}:
        parts = (Annotated[m, Field(**declared)] if m in {int, float} else m for m in members_of(annotation))
        bounded = Union[tuple(parts)]  # noqa: UP007 - built at run time; a word has no range
    elif declared:
        bounded = Annotated[annotation, Field(**declared)]
    return TypeAdapter(bounded, config=ConfigDict(strict=True, allow_inf_nan=False))


def read_leaf(annotation: Any, limits: Mapping[str, Any], raw: Any) -> Any:
    """Return the validated value.

    A whole number may be written as ``1e5``; nothing else is converted.

    Raises
    ------
    UserError
        With the expectation and the value got, without a place.
    """
    from pydantic import ValidationError
    from pydantic.errors import PydanticUserError

    value = plain(raw)
    members = members_of(annotation)
    if isinstance(value, float) and value.is_integer() and int in members and float not in members:
        value = int(value)
    if isinstance(value, list) and tuple in {get_origin(member) for member in members}:
        value = tuple(value)
    try:
        result = adapter(annotation, limits).validate_python(value)
    except ValidationError as error:
        raise UserError(_message(annotation, limits, value, error.errors(include_url=False))) from None
    except PydanticUserError:
        raise UserError(f"has a type that no file can hold ({_type_name(annotation)})") from None
    check_scalar(result)
    if type(result) not in _WORDS:
        raise UserError(f"has a type that no file can hold ({_type_name(annotation)})")
    return result


def expectation(annotation: Any, limits: Mapping[str, Any]) -> str:
    """Say what a value must be, for example ``a number > 0, or null``.

    Examples
    --------
    >>> expectation(float | None, {"gt": 0})
    'a number > 0, or null'
    """
    told = [name for name in _SIGNS if name in limits and (name != "gt" or "ge" not in limits)]
    bounds = " and ".join(f"{_SIGNS[name]} {_number(limits[name])}" for name in told)
    words = []
    for member in members_of(annotation):
        if get_origin(member) is Literal:
            words.append(f"one of {', '.join(str(choice) for choice in get_args(member))}")
        elif member in {int, float} and bounds:
            words.append(f"{_WORDS[member]} {bounds}")
        elif (item := item_type(member)) in {int, float}:
            words.append(f"a list, each {expectation(item, limits)}")
        else:
            words.append(_WORDS.get(member) or _type_name(member))
    return ", or ".join(words)


def _number(limit: Any) -> str:
    return f"{limit:,}" if isinstance(limit, int) else str(limit)


def _type_name(annotation: Any) -> str:
    return str(getattr(annotation, "__name__", annotation))


def _message(annotation: Any, limits: Mapping[str, Any], value: Any, errors: list[Any]) -> str:
    got = f"(got {shown(value)})"
    kind = errors[0]["type"]
    choices = [c for m in members_of(annotation) if get_origin(m) is Literal for c in get_args(m)]
    if isinstance(value, str) and choices:
        return f"unknown value '{value}'; {close_match(value, map(str, choices))}" + (
            ", or a number" if float in members_of(annotation) else ""
        )
    kinds = [error["type"] for error in errors]
    if not isinstance(value, str) and (ranges := [_RANGE_ERRORS[k] for k in kinds if k in _RANGE_ERRORS]):
        name = ranges[0]
        if name == "ge" and "gt" in limits and value <= limits["gt"]:
            name = "gt"  # the least that is allowed above 0 is not what was missed
        limit = limits.get(name, limits.get({"le": "most", "ge": "least"}.get(name, "")))
        return f"must be {_SIGNS[name]} {_number(limit)} {got}"
    if kind == "finite_number":
        return f"must be a finite number {got}"
    if kind == "string_too_short":
        return "must not be empty"
    hint = "; remove the quotes" if isinstance(value, str) and _is_number(value) else ""
    if isinstance(value, int | float | bool) and str in members_of(annotation):
        hint = "; put it in quotes"
    return f"must be {expectation(annotation, limits)} (got {shown(value)}{hint})"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
