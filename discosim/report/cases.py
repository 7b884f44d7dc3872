"""Lists and counts as sentences have them."""

from __future__ import annotations

from collections.abc import Sequence


def listed(names: Sequence[str]) -> str:
    """Return names with commas and an and.

    Examples
    --------
    >>> listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def counted(n: int, word: str, plural: str = "") -> str:
    """Return a number with its noun.

    Examples
    --------
    >>> counted(1, "point"), counted(8, "point"), counted(2, "try", "tries")
    ('1 point', '8 points', '2 tries')
    """
    return f"{n:,} {word if n == 1 else plural or word + 's'}"
