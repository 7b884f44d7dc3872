"""Text of other people, made safe to show: what would steer a terminal or turn a line around is written out."""

from __future__ import annotations

import unicodedata
from contextlib import suppress
from functools import cache

_KEPT = frozenset("\n\t")
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0")
"""Characters that take no place although Unicode calls them letters or marks; those it calls formats come by rule."""
_PLAIN = {
    "±": "+-", "−": "-", "–": "-", "—": "-", "…": "...", "×": "x", "≤": "<=", "≥": ">=", "→": "->", "µ": "u",
    "“": '"', "”": '"', "‘": "'", "’": "'", "✓": "yes",
}  # fmt: skip
"""Our own signs for where the output knows no more than ASCII."""


def printable(text: str, *, kept: str = "") -> str:
    r"""Return a text in which every character that is not seen, or acts on others, is written as its escape.

    These are control characters but for line ends and tabs, signs that reverse the writing, characters of no width,
    and halves of surrogate pairs. Everything else stays, what ``kept`` holds too, and nothing is escaped twice.

    Examples
    --------
    >>> printable("red \x1b[31m")
    'red \\x1b[31m'
    >>> printable("a\u202eb")
    'a\\u202eb'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c in kept or _is_harmless(c) else _escape(c) for c in text)


def for_stream(text: str, stream: object) -> str:
    """Return a text as a stream can show it without harm: `printable`, in what its encoding can take.

    Names that Python took as ASCII from the system, because that says no more, are read as the UTF-8 that they are.
    """
    with suppress(UnicodeError):  # what is no UTF-8 either is escaped
        text = text.encode("utf-8", "surrogateescape").decode("utf-8")
    return encodable(printable(text), getattr(stream, "encoding", None))


def encodable(text: str, encoding: str | None) -> str:
    """Return a text that an encoding can take: as it is, else with our own signs in ASCII and escapes for the rest."""
    encoding = encoding or "utf-8"
    if _can_take(text, encoding):
        return text
    swapped = {ord(sign): plain for sign, plain in _PLAIN.items() if not _can_take(sign, encoding)}
    try:
        return text.translate(swapped).encode(encoding, "backslashreplace").decode(encoding)
    except (UnicodeError, LookupError):
        return text.translate(swapped).encode("ascii", "backslashreplace").decode("ascii")


def unicode_text(text: str) -> str:
    """Return a text that a file can hold: a name that the system gave as bytes of no text keeps them as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _can_take(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except (UnicodeError, LookupError):
        return False
    return True


@cache
def _is_harmless(character: str) -> bool:
    if character in _KEPT:
        return True
    return unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Zl", "Zp"} and character not in _INVISIBLE


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
