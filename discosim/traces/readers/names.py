"""Names of users and sessions: who has one, and what only looks like one."""

from __future__ import annotations

from collections import Counter

from discosim.traces.readers.base import Ints, Words
from discosim.traces.readers.columns import JsonColumn
from discosim.traces.readers.table_base import Table

PLACEHOLDERS = frozenset({"null", "none", "nan", "na", "n/a", "nil", "undefined", "unknown", "-", "--", "?", "-1"})
"""Words that other tools write where they have no name. They are read as names, since somebody may be called so, and
told: an empty cell or JSON's null is how a file says that nobody is meant (our choice)."""


def names_of(table: Table, name: str, rows: Ints) -> tuple[Words | None, list[str]]:
    """Return the names in a column, and what to doubt about them.

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

    Raises
    ------
    UserError
        At the first name that is no text: a list, an object, or half of a surrogate pair.
    """
    if not name or not table.has(name):
        return None, []
    column = table.columns[name]
    if isinstance(column, JsonColumn):
        nested = [i for i in rows.tolist() if isinstance(column.cells[i], dict | list)]
        if nested:
            raise table.error(nested[0], name, f"expected a name (text or a number), got {column.cell(nested[0])[:60]}")
    names = table.words(name)[rows]
    counts = Counter(names.tolist())
    for text in counts:
        if not _is_text(text):
            i = int(rows[names.tolist().index(text)])
            raise table.error(i, name, f"expected a name (text or a number), got {table.shown(name, i)}")
    counts.pop("", None)
    doubts = [
        f"{name} holds {word!r} {n} times, which is read as one owner of that name; leave the cell empty where nobody "
        f"is meant"
        for word, n in counts.items()
        if n > 1 and word.lower() in PLACEHOLDERS
    ]
    return (names if counts else None), doubts


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
