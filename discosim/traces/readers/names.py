"""Names of users and sessions: who has one, and what only looks like one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np

from discosim.traces.readers.base import Ints, Words
from discosim.traces.readers.columns import ArrowColumn, JsonColumn
from discosim.traces.readers.table_base import Table
from discosim.traces.readers.words import canonical, counted, says_nothing, unquoted

NO_NUMBERS = frozenset({"-1", str(-(2**31)), str(-(2**63))})
"""Numbers that stand for nobody in a column of numbers: the usual one, and what NaN becomes as a whole number."""
SHARED = frozenset(
    {
        *("anonymous", "anon", "unknown", "guest", "default", "nobody", "missing", "not set", "redacted", "masked"),
        *("user", "test", "public", "true", "false", "na", "-1", "0"),
        *("00000000-0000-0000-0000-000000000000", "0" * 32),
    }
)
"""Words that may be a person's name and may be written for many. They are names, and doubted where they own much."""
_NUMBER_SHARE = 2.0
"""Times the mean of the others from which a 0 among numbers is doubted: the first of users counted from 0 is a user."""


def names_of(table: Table, name: str, rows: Ints) -> tuple[Words | None, list[str], set[str]]:
    """Return the names in a column, what to doubt about them, and the names that are doubted.

    Parameters
    ----------
    table : Table
        The file.
    name : str
        Column of names; it may be absent.
    rows : array of int
        Indices of the rows that are kept.

    Returns
    -------
    names : array of str objects, or None
        Empty where a request has no name; None where the column is absent or no request has one.
    doubts : list of str
        Sentences.
    doubted : set of str
        Names that may stand for many, of which a sentence speaks.

    Raises
    ------
    UserError
        At the first name that is no text: a list, an object, a truth value, or half of a surrogate pair.

    Notes
    -----
    Source: our choice. Words that no tool writes for a person (`words.NOTHING`, quotes or dashes alone, -1 among
    numbers) name nobody, and a sentence counts them; a word that a person may have as a name (`SHARED`) is one.
    """
    if not name or not table.has(name):
        return None, [], set()
    _refuse_nested(table, name, rows)
    found = [canonical(word) for word in table.words(name)[rows].tolist()]
    counts = Counter(found)
    for text in counts:
        if not _is_text(text):
            i = int(rows[found.index(text)])
            raise table.error(i, name, f"expected a name (text or a number), got {table.shown(name, i)}")
    counts.pop("", None)
    nobody = {word for word in counts if says_nothing(word)}
    if all(_is_number(word) for word in counts if word not in nobody):
        nobody |= NO_NUMBERS & counts.keys()
    doubts = _of_nobody(name, {word: counts.pop(word) for word in sorted(nobody)})
    shared = {word: said for word in counts if (said := _of_shared(name, word, counts))}
    doubts += shared.values()
    if not counts:
        return None, doubts, set()
    return np.array(["" if word in nobody else word for word in found], dtype=np.object_), doubts, set(shared)


def _refuse_nested(table: Table, name: str, rows: Ints) -> None:
    """Raise UserError at the first kept cell that is a list, an object or a truth value."""
    column = table.columns[name]
    if isinstance(column, JsonColumn):
        wrong = [i for i in rows.tolist() if isinstance(column.cells[i], dict | list | bool)]
    elif isinstance(column, ArrowColumn) and not column.is_plain():
        blank = column.blank()
        wrong = [i for i in rows.tolist() if not blank[i]]
    else:
        return
    if wrong:
        raise table.error(wrong[0], name, f"expected a name (text or a number), got {column.cell(wrong[0])[:60]}")


def _of_nobody(column: str, counts: Mapping[str, int]) -> list[str]:
    if not counts:
        return []
    return [f"{column} holds {counted(counts)}, which names nobody; these requests count as unnamed"]


def _of_shared(column: str, word: str, counts: Mapping[str, int]) -> str:
    plain = unquoted(word).strip("<>()[]*").lower()
    if plain not in SHARED or counts[word] < 2:
        return ""
    others = sum(counts.values()) - counts[word]
    mean = others / max(len(counts) - 1, 1)
    if counts[word] <= mean or (_is_number(word) and counts[word] < _NUMBER_SHARE * mean):
        return ""
    return (
        f"{column} holds {word!r} {counts[word]} times, which is read as one person of that name with one device; "
        "leave the cell empty where nobody is meant"
    )


def _is_number(word: str) -> bool:
    return word.removeprefix("-").replace(".", "", 1).isdecimal()


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
