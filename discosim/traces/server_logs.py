"""Reading what a real server did: per-request logs of servers and of load generators."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path

import numpy as np

from discosim.core.errors import MANY, UserError, close_match
from discosim.traces.concurrency import is_summary
from discosim.traces.mapping import NO_NAMES
from discosim.traces.readers.base import Ints, LatencySeries
from discosim.traces.readers.registry import detect, read_latency_groups
from discosim.traces.readers.sent import sent_rows
from discosim.traces.readers.server import NAME, Rows, read_rows
from discosim.traces.readers.source import stem
from discosim.traces.readers.units import AUTO, require_plausible
from discosim.traces.server_log import ServerLog
from discosim.traces.server_log_sense import refuse_odd_times, require_whole

ENOUGH = 20
"""Requests below which nothing is calibrated. Source: our choice; a p99 of fewer is the largest of them anyway."""
LOAD_TESTS = ("aiperf", "guidellm", "llmperf", "vllm")
"""Readers of load generators' files."""
_TABLES = (NAME, "native", "native_latency")


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
        File, plain or packed: a table (JSON lines, a JSON array, CSV, Parquet), or what a load generator has written.
    format : str
        ``server`` for a table, or the name of a load generator's reader (`LOAD_TESTS`); ``auto`` looks at the file.
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
    if (reader := _load_test(place, format, mapping)) is not None:
        return _of_load_test(place, reader, unit)
    if not mapping:
        require_whole(place)
    rows = read_rows(place, mapping, unit)
    if not rows.is_streamed:
        raise UserError(
            "no request was streamed: each TTFT is the time of a whole answer. Leave its column out, and the log is "
            "load and whole times alone; for a TTFT, ask for a stream",
            where=str(place),
        )
    return {name or stem(place): _log(rows, picked, name, place) for name, picked in rows.groups().items()}


def require_enough(log: ServerLog, least: int = ENOUGH) -> None:
    """Raise UserError where a log has too few requests to calibrate by, or too few whose times are known."""
    n_timed = int((np.isfinite(log.ttft_s) | np.isfinite(log.e2e_s)).sum())
    if n_timed < least:
        of = f" of its {len(log):,}" if n_timed < len(log) else ""
        raise UserError(f"holds {n_timed:,}{of} requests with times; at least {least} are needed", where=log.name)


def _load_test(place: Path, format_name: str, mapping: Mapping[str, str]) -> str | None:
    """Return the reader of a load generator's file; None for a table."""
    if format_name in _TABLES or (format_name == AUTO and mapping):
        return None
    if format_name in LOAD_TESTS:
        if mapping:
            raise UserError(f"--map is for tables; {format_name} has names of its own", where=str(place))
        return format_name
    if format_name != AUTO:
        known = (NAME, *LOAD_TESTS)
        raise UserError(f"no log of a server is of the format {format_name!r}; {close_match(format_name, known)}")
    try:
        name = detect(place).name
    except UserError:  # whoever reads tables knows better what is missing
        return None
    return name if name in LOAD_TESTS else None


def _of_load_test(place: Path, reader: str, unit: str) -> dict[str, ServerLog]:
    if reader == "llmperf" and is_summary(place):
        raise UserError(
            "holds figures of whole tests and no single requests, so no load: read_concurrency reads them",
            where=str(place),
        )
    groups = read_latency_groups(place, reader, unit)
    timed = {name: series for name, series in groups.items() if len(series) and series.start_s is not None}
    if not timed:
        raise UserError(
            "holds latencies without the moments at which requests were sent, so no load (newer versions of vllm "
            "bench serve write start_times); what it says of its concurrency can be had by read_concurrency",
            where=str(place),
        )
    return {
        name: log_of(require_plausible(series, unit, str(place)), reader, str(place)) for name, series in timed.items()
    }


def log_of(series: LatencySeries, reader: str, where: str) -> ServerLog:
    """Return a load test whose times of sending are known as a log, taken at the client.

    Notes
    -----
    Failures and successes without any time are left out and counted: a load generator does not say what they took.
    """
    rows, told = sent_rows(series, where)
    assert series.start_s is not None
    assert series.prompt_tok is not None
    assert series.output_tok is not None
    start_s, ttft_s, output_tok = series.start_s[series.attempt[rows]], series.ttft_s[rows], series.output_tok[rows]
    later_s = np.where(output_tok > 1, series.tpot_s[rows] * (output_tok - 1), 0.0)
    return ServerLog(
        arrival_s=start_s - start_s[0],
        prompt_tok=series.prompt_tok[rows],
        output_tok=output_tok,
        ttft_s=ttft_s,
        e2e_s=ttft_s + later_s,
        queue_s=np.full(rows.size, np.nan),
        concurrency=series.concurrency,
        name=where,
        format=reader,
        is_client_side=True,
        warnings=(*series.warnings, *told),
    )


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
    log = ServerLog(
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
        models=rows.models,
        warnings=rows.warnings,
    )
    refuse_odd_times(log, rows.source_row[picked])
    return log


def _numbers(rows: Rows, picked: Ints) -> Ints | None:
    """Return users as numbers in the order of their first request; who has no name is one of his own."""
    if rows.user_id is None:
        return None
    known: dict[object, int] = {}
    words = rows.user_id[picked].tolist()
    return np.array([known.setdefault(word or ("", i), len(known)) for i, word in enumerate(words)], dtype=np.int64)
