"""Rows of several loads in one table: by which columns a load test says its load, and which rows belong together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from discosim.traces.readers.base import Ints
from discosim.traces.readers.outcomes import plain_name
from discosim.traces.readers.table_base import Table
from discosim.traces.readers.words import canonical

_IN_FLIGHT = frozenset(
    {
        *("concurrency", "max_concurrency", "num_concurrent_requests", "concurrent_requests", "concurrency_level"),
        *("parallel", "parallelism", "n_parallel", "num_parallel", "concurrent_users", "concurrent", "in_flight"),
        *("n_clients", "num_clients", "clients", "n_users", "num_users", "vus", "threads", "num_threads", "workers"),
    }
)
_OTHERS = frozenset(
    {
        *("request_rate", "req_rate", "rate_per_s", "qps", "rps", "target_qps", "target_rps", "target_rate"),
        *("arrival_rate", "requests_per_second", "requests_per_s", "request_rate_per_s", "load", "load_level"),
        *("batch_size", "max_batch_size", "max_num_seqs"),
    }
)
MOST_LOADS = 30
"""Loads of one file; what has more values was seen and not set. Source: our choice."""
_LEAST_ROWS = 2
"""Rows of a load, on average, from which rows are its requests. Source: our choice."""


@dataclass(frozen=True)
class Loads:
    """Which load each row belongs to.

    Parameters
    ----------
    names : tuple of str
        Of each row: ``concurrency 8``, or several with commas; empty where the file says none.
    in_flight : mapping of str to int
        Requests in flight of each name that says them.
    warnings : tuple of str
        Whole sentences.
    """

    names: tuple[str, ...]
    in_flight: dict[str, int]
    warnings: tuple[str, ...] = ()


def load_columns(names: Iterable[str]) -> list[str]:
    """Return the columns by which a load test says its load, those that stand twice left out."""
    present = list(names)
    return [name for name in present if plain_name(name) in _IN_FLIGHT | _OTHERS and present.count(name) == 1]


def loads_of(table: Table, order: Ints) -> Loads:
    """Return the load of each row of a table, in the order of sending.

    Parameters
    ----------
    table : Table
        The file, with its `load_columns`.
    order : array of int, shape (n,)
        Rows in order of sending.

    Notes
    -----
    Source: our choice. A load that was set has few values, and either stays for a while or leaves values out; one that
    was seen goes up and down by ones, and its rows are of one run.
    """
    parts: list[list[str]] = []
    in_flight: dict[str, int] = {}
    warnings: list[str] = []
    for name in load_columns(table.columns):
        words = [canonical(word) for word in table.words(name)[order].tolist()]
        values = table.columns[name].floats()[order]
        levels = sorted(set(words) - {""}, key=words.index)
        if len(levels) < 2 or not (np.isfinite(values[[bool(word) for word in words]]).all()):
            continue
        if len(levels) == len(words) and _leaves_out([float(level) for level in levels]):
            warnings.append(
                f"Each of the {len(words):,} rows has a {name} of its own ({', '.join(levels[:3])}, ...): if rows are "
                "averages of load tests, give single requests."
            )
        elif len(levels) <= MOST_LOADS and len(words) >= _LEAST_ROWS * len(levels) and _is_set(words, levels):
            parts.append([f"{plain_name(name)} {word}" if word else "" for word in words])
            whole = plain_name(name) in _IN_FLIGHT and all(float(level).is_integer() for level in levels)
            in_flight |= {f"{plain_name(name)} {level}": int(float(level)) for level in levels if whole}
    rows = zip(*parts, strict=True) if parts else [()] * len(table)
    return Loads(tuple(", ".join(part for part in row if part) for row in rows), in_flight, tuple(warnings))


def _is_set(words: list[str], levels: list[str]) -> bool:
    n_changes = sum(one != other for one, other in pairwise(words))
    return n_changes <= 2 * len(levels) or _leaves_out([float(level) for level in levels])


def _leaves_out(levels: list[float]) -> bool:
    steps = np.diff(np.sort(levels))
    return bool(np.mean(steps != 1) >= 0.5)
