"""Requests that warm a server up, in a table that says which: they are no measurement of it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from discosim.core.errors import UserError
from discosim.traces.readers.outcomes import plain_name
from discosim.traces.readers.table_base import Table
from discosim.traces.readers.words import unquoted

_PHASES = frozenset(
    {
        "phase",
        "stage",
        "benchmark_phase",
        "credit_phase",
        "test_phase",
        "run_phase",
        "period",
        "run_type",
        "kind",
        "tag",
    }
)
_TRUTHS = frozenset({"warmup", "warm_up", "is_warmup", "is_warm_up"})
_WARM = frozenset({"warmup", "warm_up", "warm up", "warming", "warmingup", "warming_up", "warming up", "prewarm"})
_YES = frozenset({"true", "1", "yes", "y", "t"})


def phase_columns(names: Iterable[str]) -> list[str]:
    """Return the columns that may say which rows are of the warm-up, those that stand twice left out."""
    present = list(names)
    return [name for name in present if plain_name(name) in _PHASES | _TRUTHS and present.count(name) == 1]


def without_warm_up(table: Table) -> tuple[Table, tuple[str, ...]]:
    """Return a table without the rows of the warm-up, and a sentence with their number.

    Raises
    ------
    UserError
        If no other row is there.
    """
    is_warm, told_by = np.zeros(len(table), dtype=np.bool_), ""
    for name in phase_columns(table.columns):
        words = [unquoted(word).lower().replace("-", "_") for word in table.words(name).tolist()]
        said = _WARM | (_YES if plain_name(name) in _TRUTHS else frozenset())
        found = np.array([word in said for word in words], dtype=np.bool_)
        told_by = told_by or (name if found.any() else "")
        is_warm |= found
    if not told_by:
        return table, ()
    if is_warm.all():
        raise UserError(f"all of its rows are of the warm-up ({told_by})", where=table.label)
    sentence = f"{int(is_warm.sum()):,} of {is_warm.size:,} rows are of the warm-up ({told_by}) and are left out."
    return table.take(np.flatnonzero(~is_warm)), (sentence,)
