"""Plain data: what a file can hold, made of what Python can hold."""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Mapping
from typing import Any

from discosim.config.keypath import shown
from discosim.core.errors import UserError

MOST_DIGITS = 308
"""Digits of the longest whole number that every reader of a file keeps as it is."""


def plain(value: Any) -> Any:
    """Turn scalars of a Python mapping (numpy's, paths, enumerations) into what YAML would have given.

    -0.0 becomes 0.0, so that equal numbers are written alike.
    """
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        value = value.item()
    if isinstance(value, str):
        value = str.__str__(value)
    elif isinstance(value, numbers.Integral) and not isinstance(value, bool):
        value = int(value)
    elif isinstance(value, numbers.Real) and not isinstance(value, bool):
        value = float(value) + 0.0
    elif isinstance(value, os.PathLike):
        value = os.fspath(value)
    return value


def plain_data(value: Any, *, is_finite: bool = True) -> Any:
    """Return mappings, lists and scalars as a file gives them back, however deep.

    Parameters
    ----------
    value : object
        Whatever was given.
    is_finite : bool
        Refuse infinity, which a file can hold but a scenario takes nowhere.

    Raises
    ------
    UserError
        For anything else, without a place: what no file can hold, a number that is none, a key that is no text.
    """
    value = plain(value)
    if value is None or isinstance(value, bool | str | int | float):
        if is_finite or not isinstance(value, float) or not math.isinf(value):
            check_scalar(value)
        return value
    if isinstance(value, Mapping):
        return {_key(name): plain_data(item, is_finite=is_finite) for name, item in value.items()}
    if isinstance(value, list | tuple) or hasattr(value, "tolist"):
        return [plain_data(item, is_finite=is_finite) for item in as_list(value)]
    raise UserError(
        f"must be what a file can hold: numbers, text, true, false, null, lists, mappings (got {type(value).__name__})"
    )


def as_list(value: Any) -> Any:
    """Return lists, tuples and arrays as a list; other values as they are."""
    if isinstance(value, list | tuple):
        return list(value)
    return value.tolist() if hasattr(value, "tolist") else value


def check_scalar(value: Any) -> None:
    """Refuse what no file gives back: half of a surrogate pair, numbers that are none, whole numbers without end.

    Raises
    ------
    UserError
        Without a place.
    """
    if isinstance(value, int) and abs(value) >= 10**MOST_DIGITS:
        raise UserError(f"must be a whole number of at most {MOST_DIGITS} digits")
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"must be a finite number (got {shown(value)})")
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise UserError(f"must be valid Unicode text (got {shown(value)})") from None


def _key(name: Any) -> str:
    name = plain(name)
    if not isinstance(name, str):
        raise UserError(f"must have text for keys (got {shown(name)})")
    check_scalar(name)
    return name
