"""Words that stand in cells: as they are compared, and those with which a tool says that there is nothing."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

from discosim.core.errors import MANY

NOTHING = frozenset(
    {
        *("null", "<null>", "(null)", "[null]", "none", "<none>", "(none)", "nan", "<nan>", "nil", "<nil>", "(nil)"),
        *("n/a", "<na>", "#n/a", "undefined", "\\n"),
    }
)
"""What tools write for a value that is absent, in small letters: SQL dumps (``\\N``), pandas (``<NA>``), spreadsheets
(``#N/A``), printf (``(null)``), Go (``<nil>``), JavaScript (``undefined``)."""
NOTHING_EXACT = frozenset({"NA", "NaT"})
"""R's and pandas' words, in their own spelling alone: others are called Na and Nat."""
_SHOWN = 40
_WHOLE = re.compile(r"(-?\d+)\.0*")
_QUOTES = {"'": "'", '"': '"', "`": "`", "\u201c": "\u201d", "\u2018": "\u2019", "\u00ab": "\u00bb"}
_INVISIBLE = frozenset("\u2800\u3164\u115f\u1160\uffa0\ufe0e\ufe0f")
"""Characters that show nothing and yet count as letters, marks or symbols."""


def trimmed(text: str) -> str:
    """Return text without blanks, controls and characters of no width around it."""
    start, end = 0, len(text)
    while start < end and _is_unseen(text[start]):
        start += 1
    while start < end and _is_unseen(text[end - 1]):
        end -= 1
    return text[start:end]


def canonical(text: str) -> str:
    """Return a name or code as it is compared: trimmed, and a whole number without a fraction (``7.0`` is ``7``)."""
    text = trimmed(text)
    whole = _WHOLE.fullmatch(text)
    return text if whole is None else "0" if int(whole[1]) == 0 else whole[1]


def unquoted(text: str) -> str:
    """Return canonical text without matching quotes around it."""
    text = canonical(text)
    while len(text) >= 2 and _QUOTES.get(text[0]) == text[-1]:
        text = canonical(text[1:-1])
    return text


def says_nothing(text: str) -> bool:
    """Tell whether a word is one that tools write for an absent value, or nothing but blanks, quotes and dashes."""
    text = unquoted(text)
    return text.lower() in NOTHING or text in NOTHING_EXACT or all(_is_punctuation(char) for char in text)


def counted(counts: Mapping[str, int]) -> str:
    """Return words and how often each is there, the most frequent first: ``'None' 3 times and 'nan' once``."""
    most = sorted(counts.items(), key=lambda item: -item[1])
    shown = [f"{word[:_SHOWN]!r} {'once' if n == 1 else f'{n:,} times'}" for word, n in most[:MANY]]
    return " and ".join(shown) + (f" and {len(most) - MANY} more words" if len(most) > MANY else "")


def _is_unseen(char: str) -> bool:
    return char.isspace() or char in _INVISIBLE or unicodedata.category(char) in {"Zs", "Zl", "Zp", "Cc", "Cf"}


def _is_punctuation(char: str) -> bool:
    return unicodedata.category(char)[0] == "P" or _is_unseen(char)
