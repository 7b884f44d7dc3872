"""Tables whose rows are averages of many requests, quantiles or totals, and not single requests: refused, with why."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import takewhile
from pathlib import Path

import numpy as np

from discosim.core.errors import UserError
from discosim.traces.readers.base import Floats, Ints
from discosim.traces.readers.head import first_keys
from discosim.traces.readers.outcomes import plain_name
from discosim.traces.readers.source import read_head
from discosim.traces.readers.table import Table, names_in_order
from discosim.traces.readers.words import unquoted

_QUANTILES = frozenset(
    {"percentile", "percentiles", "quantile", "quantiles", "pct", "pctl", "pctile", "perc", "p", "q", "percentile_rank"}
)
_MANY_OF = tuple(
    f"{n}{word}" for word in ("requests", "reqs", "samples", "calls", "queries") for n in ("num_", "n_", "number_of_")
)
_COUNTS = frozenset(
    {
        *_MANY_OF,
        *("requests", "request_count", "requests_count", "count", "counts", "n", "samples", "sample_count"),
        *("sample_size", "n_obs", "observations", "weight", "weights", "frequency", "freq", "occurrences"),
        *("total_requests", "completed_requests", "successful_requests", "call_count"),
    }
)
_LABELS = frozenset(
    {
        *("stat", "stats", "statistic", "statistics", "metric", "measure", "aggregate", "aggregation", "agg", "name"),
        *("", "index", "label", "row", "summary", "unnamed:_0", "kind", "type", "level_0", "value", "which"),
    }
)
"""Columns, beside the first, that may say what a row is."""
_WORDS = frozenset(
    {
        *("mean", "average", "avg", "median", "std", "stdev", "stddev", "std_dev", "sd", "variance", "var"),
        *("min", "minimum", "max", "maximum", "count", "total", "totals", "sum", "summary", "overall", "geomean"),
    }
)
_AMONG_OTHERS = _WORDS - {"min", "max", "count", "var", "sd", "summary"}
"""Words that alone at the end of a table make a row of averages; the others may be somebody's name."""
_NOT_LABELS = frozenset({"user", "user_id", "session", "session_id", "name_of_user", "client", "person"})
_QUANTILE_WORD = re.compile(
    r"p(?P<p>\d{1,3}(\.\d+)?)|(?P<n>\d{1,3}(\.\d+)?)(%|(th|st|nd|rd|%)?[ _]?(percentile|quantile))"
)
_FEW, _SURE = 3, 6
"""Rows from which a last one that is the sum of the others is doubted, and refused. Source: our choice; that several
lengths add up to a request's by chance, in both columns, happens in small examples alone."""


def telling_columns(path: Path) -> list[str]:
    """Return the columns of a file by which rows of averages show (`columns_that_tell`)."""
    head = read_head(path)
    return columns_that_tell(sorted(first_keys(head)) or names_in_order(head, path))


def columns_that_tell(names: Iterable[str]) -> list[str]:
    """Return the columns of a table by which rows of averages show: counts, quantiles and what may name a row.

    A name that stands twice is left out.
    """
    present = list(names)
    plain = [plain_name(name) for name in present]
    known = _QUANTILES | _COUNTS | _LABELS
    told = [present[i] for i, name in enumerate(plain) if (i == 0 and name not in _NOT_LABELS) or name in known]
    return [name for name in told if present.count(name) == 1]


def require_single(table: Table) -> None:
    """Raise UserError where rows are averages, quantiles or sums, by what the table read of `columns_that_tell`.

    Notes
    -----
    Source: our choice. A name alone does not decide: a count is one where its whole numbers are neither all 1 nor the
    rows' own numbers, a quantile where all lie from 0 to 100 and none stands twice.
    """
    for name in table.columns:
        plain = plain_name(name)
        if plain in _QUANTILES and _are_quantiles(table.columns[name].floats()):
            raise table.error(0, name, f"says that each row is a quantile of many requests, {_NEEDED}; {_LEAVE_OUT}")
        if plain in _COUNTS and (i := _first_count(table.columns[name].floats())) is not None:
            got = table.shown(name, i)
            raise table.error(
                i, name, f"says that a row stands for many requests ({got}), {_NEEDED} (each counts once); {_LEAVE_OUT}"
            )
        if plain not in _NOT_LABELS:
            _require_no_statistic(table, name)


_NEEDED = "and single requests are needed: averages are not requests"
_LEAVE_OUT = "if it means something else, give the column another name or leave it out"


def require_no_total(table: Table, rows: Ints, **lengths: Ints) -> list[str]:
    """Return a doubt where the last row may be the totals of a table; raise UserError where it is.

    Parameters
    ----------
    table : Table
        The file.
    rows : array of int, shape (n,)
        Its rows that are kept.
    **lengths : array of int, shape (n,)
        Columns of these rows, by name.
    """
    if rows.size < _FEW + 1 or not lengths:
        return []
    if any(int(values[-1]) != int(values[:-1].sum()) or not values[-1] for values in lengths.values()):
        return []
    named = " and ".join(lengths)
    said = f"its {named} are the sums of all rows above: a row of totals, which is no request"
    if rows.size > _SURE and len(lengths) > 1:
        raise UserError(f"{said}; take it out", where=f"{table.label} {table.place(int(rows[-1]))}")
    return [f"{table.place(int(rows[-1]))} is the last, and {said}? If so, take it out"]


def _are_quantiles(values: Floats) -> bool:
    return (
        bool(values.size and np.isfinite(values).all() and values.min() >= 0 and values.max() <= 100)
        and np.unique(values).size == values.size
    )


def _first_count(values: Floats) -> int | None:
    """Return the first row that stands for more than one request; None where the numbers are no counts."""
    if not np.isfinite(values).all() or values.min(initial=0.0) < 0 or not (values > 1).any():
        return None
    if values.size > 1 and bool(np.all(np.diff(values) == 1)):  # the rows' own numbers
        return None
    return int(np.argmax(values > 1))


def _plain(word: str) -> str:
    return " ".join(unquoted(word).lower().replace("-", "_").split())


def _are_statistics(words: list[str]) -> bool:
    """Tell whether words name statistics, each once; p1, p2, p3 may be anything that is counted."""
    plain = [_plain(word) for word in words]
    found = [_QUANTILE_WORD.fullmatch(word) for word in plain]
    if len(set(plain)) < len(plain) or not all(hit or word in _WORDS for hit, word in zip(found, plain, strict=True)):
        return False
    levels = [float(hit["p"] or hit["n"]) for hit in found if hit]
    return len(levels) < len(plain) or len(levels) == 1 or not np.all(np.diff(levels) == 1)


def _require_no_statistic(table: Table, name: str) -> None:
    """Raise UserError at a row that is named as a statistic: all are, or some at an end, each once."""
    if np.isfinite(table.columns[name].floats()).all():
        return
    words = table.words(name).tolist()
    held = [i for i, word in enumerate(words) if word]
    if not held:
        return
    at = held[0] if _are_statistics([words[i] for i in held]) else None
    if at is None:
        ends = (range(len(words) - 1, -1, -1), range(len(words)))
        for end in ends:
            run = list(takewhile(lambda i: _are_statistics([words[i]]), end))
            named = [words[i] for i in run]
            if run and _are_statistics(named) and any(_plain(word) in _AMONG_OTHERS for word in named):
                at = min(run)
                break
    if at is not None:
        raise table.error(
            at,
            name,
            f"{words[at][:40]!r} names a statistic of many requests, {_NEEDED}; take such rows out",
        )
