"""Reading what a real server did: per-request logs of servers and of load generators."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path

import numpy as np

from discosim.core.errors import MANY, UserError, close_match
from discosim.traces.mapping import NO_NAMES
from discosim.traces.readers.base import Ints
from discosim.traces.readers.server import NAME, Rows, read_rows
from discosim.traces.readers.source import stem
from discosim.traces.readers.units import AUTO
from discosim.traces.server_log import ServerLog

ENOUGH = 20
"""Requests below which nothing is calibrated. Source: our choice; a p99 of fewer is the largest of them anyway."""


def read_server_log(
    path: str | PathLike[str],
    *,
    format: str = "auto",  # noqa: A002 (the word users type)
    mapping: Mapping[str, str] = NO_NAMES,
    unit: str = AUTO,
    group: str | None = None,
) -> ServerLog:
    """Read one log as load and truth.

    Parameters
    ----------
    path : path-like
        File, plain or packed.
    format : str
        ``server`` for a table, or the name of a load generator's reader; ``auto`` looks at the file.
    mapping : mapping of str to str
        Our names of fields to those of the table's columns, where these are not known (``--map``).
    unit : str
        Of the times whose columns do not say it: ``s, ms, us, ns``; ``auto`` looks.
    group : str, optional
        Which run, where the file holds several.

    Raises
    ------
    UserError
        If the file is no such log, or anything in it is wrong; the message names the place.
    """
    logs = read_server_logs(path, format=format, mapping=mapping, unit=unit)
    if group is None and len(logs) == 1:
        return next(iter(logs.values()))
    if group is None:
        names = ", ".join(list(logs)[:MANY]) + (", ..." if len(logs) > MANY else "")
        raise UserError(f"holds {len(logs)} runs; name one of: {names}", where=str(path))
    if group not in logs:
        raise UserError(f"holds no run {group!r}; {close_match(group, logs)}", where=str(path))
    return logs[group]


def read_server_logs(
    path: str | PathLike[str],
    *,
    format: str = "auto",  # noqa: A002 (as above)
    mapping: Mapping[str, str] = NO_NAMES,
    unit: str = AUTO,
) -> dict[str, ServerLog]:
    """Read all runs of a file, by name in its order; a table's by the column ``concurrency`` where it has one.

    Raises
    ------
    UserError
        As `read_server_log`.
    """
    place = Path(path)
    rows = read_rows(place, mapping, unit)
    return {name or stem(place): _log(rows, picked, name, place) for name, picked in rows.groups().items()}


def require_enough(log: ServerLog, least: int = ENOUGH) -> None:
    """Raise UserError where a log has too few requests to calibrate by, or too few whose times are known."""
    n_timed = int((np.isfinite(log.ttft_s) | np.isfinite(log.e2e_s)).sum())
    if n_timed < least:
        of = f" of its {len(log):,}" if n_timed < len(log) else ""
        raise UserError(f"holds {n_timed:,}{of} requests with times; at least {least} are needed", where=log.name)


def _log(rows: Rows, picked: Ints, level: str, place: Path) -> ServerLog:
    arrival_s = rows.arrival_s[picked]
    concurrency = None
    if rows.concurrency is not None:
        if not level.isdecimal() or int(level) < 1:
            row = int(rows.source_row[picked[0]])
            raise UserError(
                f"expected a whole number of requests in flight, got {level!r}", where=f"{place} row {row} concurrency"
            )
        concurrency = int(level)
    return ServerLog(
        arrival_s=arrival_s - arrival_s[0],
        prompt_tok=rows.prompt_tok[picked],
        output_tok=rows.output_tok[picked],
        ttft_s=rows.ttft_s[picked],
        e2e_s=rows.e2e_s[picked],
        queue_s=rows.queue_s[picked],
        user_id=_numbers(rows, picked),
        concurrency=concurrency,
        name=str(place),
        format=NAME,
        warnings=rows.warnings,
    )


def _numbers(rows: Rows, picked: Ints) -> Ints | None:
    """Return users as numbers in the order of their first request; who has no name is one of his own."""
    if rows.user_id is None:
        return None
    known: dict[object, int] = {}
    words = rows.user_id[picked].tolist()
    return np.array([known.setdefault(word or ("", i), len(known)) for i, word in enumerate(words)], dtype=np.int64)
