"""Rows that stand twice: a file put together with itself, or two that hold the same requests."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from discosim.traces.readers.outcomes import plain_name
from discosim.traces.readers.table_base import Table

_IDS = ("request_id", "req_id", "requestid", "request_uuid", "x_request_id", "uuid", "trace_id", "rid", "id")
_FEW = 10
"""Different rows from which repetition is no accident. Source: our choice; see `repeat_doubts`."""
_NEARLY_ALL = 0.9
_BY_CHANCE = 0.1
_TWICE = 2
_OWN = 0.3
"""Share of different words from which a column called id is one of requests. Source: our choice."""


def id_columns(names: Iterable[str]) -> list[str]:
    """Return the column of the ids of single requests, if there is one, the plainest name first."""
    present = list(names)
    plain = {plain_name(name): name for name in reversed(present) if present.count(name) == 1}
    return [plain[name] for name in _IDS if name in plain][:1]


def require_no_twins(table: Table, name: str, *columns: NDArray[np.generic]) -> None:
    """Raise UserError at the first row whose id stands in a row before that is the same in all columns.

    Parameters
    ----------
    table : Table
        The file.
    name : str
        Column of ids; an empty one is none. An id of several rows that differ may be a request that was tried again.
    *columns : array, shape (n,)
        What else a row holds.
    """
    cells = [column.tolist() for column in columns]
    words = table.words(name).tolist()
    if plain_name(name) == "id" and len(set(words)) < _OWN * len(words):  # of users, or of models
        return
    seen: dict[tuple[object, ...], int] = {}
    for i, (word, *rest) in enumerate(zip(words, *cells, strict=True)):
        first = seen.setdefault((word, *map(str, rest)), i)
        if word and first != i:
            raise table.error(
                i, name, f"{word[:60]!r} stands in {table.place(first)} too, with the same figures; each request once"
            )


def repeat_doubts(
    *columns: NDArray[np.generic] | None, clock: NDArray[np.generic] | None = None, tick_share: float | None = None
) -> list[str]:
    """Return a sentence where all or nearly all rows stand there as often, twice or more; none where chance may do it.

    Parameters
    ----------
    *columns : array of numbers, shape (n,), or None
        Times and lengths of the rows; NaN is equal to itself.
    clock : array of numbers, shape (n,), optional
        When they were sent.
    tick_share : float, optional
        Tick of the clock over the whole time, which is the chance that two rows share one; None where nobody knows it.

    Notes
    -----
    Source: our choice. Of n rows drawn with columns that do not depend on each other, a row has as many twins by chance
    as n - 1 times the product over the columns of the chance that two cells are equal. A coarse clock and few lengths
    make many; where they make less than a tenth of a twin, rows of which nearly all have one are copies. A column of
    figures whose every value stands k times says it by itself: chance would make some stand more and some less often.
    """
    figures = [_plain(column) for column in columns if column is not None]
    held = [*figures, *([] if clock is None else [_plain(clock)])]
    if not held or held[0].size < 2 * _FEW:
        return []
    n = held[0].size
    if np.unique(held[-1]).size > (1.0 - _NEARLY_ALL / 2.0) * n:  # copies agree in every column; most files end here
        return []
    n_of = _n_of_each(held)
    times = int(np.median(n_of))
    copied = int(n_of[n_of % times == 0].sum())
    if n_of.size < _FEW or times == 1 or copied < _NEARLY_ALL * n:
        return []
    n_equal = [np.unique(column, return_counts=True)[1] for column in held]
    chances = [float(np.sum((counts / n) ** 2)) for counts in n_equal]
    if clock is not None and tick_share is not None:
        chances[-1] = tick_share
    is_even = any(counts.size >= _FEW and np.all(counts == times) for counts in n_equal[: len(figures)])
    if (n - 1) * np.prod(chances) >= _BY_CHANCE and not is_even:
        return []
    often = "twice" if times == _TWICE else f"{times} times"
    return [
        f"{copied:,} of {n:,} rows stand there {often}, the same in all figures: is the file put together with itself?"
    ]


def _plain(column: NDArray[np.generic]) -> NDArray[np.float64]:
    return np.nan_to_num(np.asarray(column, dtype=np.float64), nan=-1.0)


def _n_of_each(held: list[NDArray[np.float64]]) -> NDArray[np.int64]:
    """Return how often each different row stands there."""
    order = np.lexsort(held)
    is_new = np.ones(order.size, dtype=np.bool_)
    is_new[1:] = np.any([column[order][1:] != column[order][:-1] for column in held], axis=0)
    return np.diff(np.append(np.flatnonzero(is_new), order.size))
