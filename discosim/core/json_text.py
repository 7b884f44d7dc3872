"""JSON read strictly: no key twice, no NaN where it would pass for a number, no nesting or number without bound."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from discosim.core.errors import UserError
from discosim.core.printable import unicode_text

MOST_DEPTH = 100
"""Levels of objects and arrays; the deepest file that anybody is known to write has about ten."""
_SHAPE = bytes.maketrans(b"123456789E", b"000000000e")
_UNUSUAL = (b"0" * 200, b"e000", b"e+000")
"""Shapes of numbers that may be too large for a float; looking for them first is faster than a hook for each."""
_SURROGATE = re.compile(r"\\u[dD][89abAB]|\\u[dD][c-fC-F]")
_SHOWN = 40


def read_json(
    text: str | bytes, *, where: str = "", is_finite: bool = True, most_depth: int | None = MOST_DEPTH
) -> Any:
    """Return the value of a JSON text, or say in one line why it has none.

    Use it wherever a file of somebody's is read: one call for a whole file, one call a line for JSON lines, with the
    row in ``where``. A reader that decodes a million lines in one ``json.loads`` of its own, and comes here only for
    the line to blame, must give it ``object_pairs_hook=refuse_repeated``: a repeated key is no error to Python.

    Parameters
    ----------
    text : str or bytes
        The whole text; bytes are UTF-8, with or without a byte order mark.
    where : str
        File, or file and row, for error messages.
    is_finite : bool
        Refuse ``NaN``, ``Infinity`` and numbers that overflow to it. False keeps them, for files of other tools that
        write NaN for what they have not measured.
    most_depth : int or None
        Levels of nesting allowed; None is Python's own limit, which saves a walk over everything.

    Raises
    ------
    UserError
        For text that is no UTF-8 or no JSON, a key that stands twice in one object, a number that is none or that no
        float holds, text that is no Unicode, or nesting that is too deep.

    Notes
    -----
    Source: RFC 8259 leaves repeated keys to the reader (section 4) and has no NaN (section 6). Python takes the last of
    repeated keys without a word, so that a file edited by hand means something else than it shows (our choice: refuse).

    Examples
    --------
    >>> read_json('{"a": [1, 2.5]}')
    {'a': [1, 2.5]}
    """
    if isinstance(text, bytes):
        text = _decoded(text, where)
    hooks: dict[str, Any] = {}
    if is_finite:
        hooks["parse_constant"] = _refuse_constant
    if _has_unusual_number(text):
        hooks["parse_int"] = _whole_number
        if is_finite:
            hooks["parse_float"] = _number
    try:
        value = json.loads(text.removeprefix("\ufeff"), object_pairs_hook=refuse_repeated, **hooks)
        is_deep = most_depth is not None and _is_deeper(value, most_depth)
    except UserError as error:
        raise UserError(error.message, where=where) from None
    except RecursionError:
        is_deep = True
    except ValueError as error:
        raise UserError(f"is not JSON: {error}{_cut_off(error, text)}", where=where) from None
    if is_deep:
        raise UserError(f"is nested too deeply (more than {most_depth or 'a thousand'} levels)", where=where)
    if _SURROGATE.search(text) and not _is_unicode(value):
        raise UserError("holds half of a surrogate pair (\\ud800 to \\udfff), which is no text", where=where)
    return value


def refuse_repeated(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object's pairs as a dictionary; for ``json.loads(object_pairs_hook=...)``.

    Raises
    ------
    UserError
        If a key stands twice, naming it and both values; without a place.
    """
    held = dict(pairs)
    if len(held) == len(pairs):
        return held
    seen: dict[str, Any] = {}
    for key, value in pairs:
        if key in seen:
            values = f"{_shown(seen[key])}, then {_shown(value)}"
            raise UserError(f"gives the key {_shown(key)} twice in one object ({values})")
        seen[key] = value
    return held


def _decoded(raw: bytes, where: str) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UserError(f"is not UTF-8 text (line {line})", where=where) from None


def _cut_off(error: ValueError, text: str) -> str:
    """Return a question where the text ends before its value does."""
    if not isinstance(error, json.JSONDecodeError) or not text.strip():
        return ""
    is_cut = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string")
    return "; it ends in the middle, was it cut off?" if is_cut else ""


def _has_unusual_number(text: str) -> bool:
    shape = text.encode("utf-8", "replace").translate(_SHAPE)
    return any(sign in shape for sign in _UNUSUAL)


def _refuse_constant(word: str) -> float:
    raise UserError(f"is not JSON: {word} is no number")


def _number(text: str) -> float:
    value = float(text)
    if value in {float("inf"), float("-inf")}:
        raise UserError(f"holds a number that is too large: {text[:_SHOWN]}")
    return value


def _whole_number(text: str) -> int:
    """Convert what a float can hold; Python itself refuses from 4,300 digits on only, with advice of its own."""
    if len(text) > 310 or abs(value := int(text)) >= 2**1024:
        raise UserError(f"holds a whole number of {len(text.lstrip('-'))} digits; at most 308 are read")
    return value


def _is_deeper(value: Any, most: int) -> bool:
    """Tell whether objects and arrays are nested more than ``most`` times, level by level and without recursion."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(most):
        if not level:
            return False
        inside = (item for held in level for item in (held.values() if isinstance(held, dict) else held))
        level = [item for item in inside if isinstance(item, dict | list)]
    return bool(level)


def _is_unicode(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def strict_json(content: Any) -> str:
    """Return plain data as JSON that every reader takes: null for what is undefined or infinite, ASCII alone.

    Examples
    --------
    >>> print(strict_json({"mean": float("nan"), "n": 3}))
    {
     "mean": null,
     "n": 3
    }
    """
    return json.dumps(finite(content), indent=1, allow_nan=False)


def finite(value: Any) -> Any:
    """Return plain data for strict JSON: NaN and infinities become null, numbers of numpy Python's, the rest text."""
    if isinstance(value, Mapping):
        return {_text(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    plain = value.item() if hasattr(value, "item") else value
    if isinstance(plain, float):
        return plain if math.isfinite(plain) else None
    if plain is None or isinstance(plain, bool | int):
        return plain
    return None if type(plain).__name__ in {"NAType", "NaTType"} else _text(plain)


def _text(value: Any) -> str:
    return unicode_text(str(value))
