"""What a trace file holds, as fixed-width text: rows, span, rate, ties, percentiles, notes, digests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from discosim.core.errors import UserError
from discosim.traces.concurrency import ConcurrencySummary, Spread, is_summary, read_concurrency
from discosim.traces.mapping import NO_NAMES
from discosim.traces.readers import (
    ClientTable,
    DevicePerf,
    LatencySeries,
    LengthTable,
    Produced,
    Reader,
    RequestTrace,
    RttSeries,
    TimeUnit,
    detect,
    fingerprint,
    read_any,
    reader_named,
)
from discosim.traces.readers.base import Floats, Ints, Notes
from discosim.traces.readers.server import NAME as SERVER
from discosim.traces.readers.source import settled
from discosim.traces.readers.units import AUTO, fault_of, in_unit, require_plausible
from discosim.traces.recipes.rows import kept, row_laws
from discosim.traces.rows_text import sentences
from discosim.traces.server_log import ServerLog
from discosim.traces.server_logs import read_server_logs

PERCENTS = (1, 5, 10, 25, 50, 75, 90, 95, 99)
Fact = int | float | str


@dataclass(frozen=True)
class Quantiles:
    """Linear-interpolated sample percentiles of one quantity.

    Parameters
    ----------
    name : str
        Quantity with its unit, for example ``gap_s``.
    n : int
        Sample size.
    values : tuple of float
        Percentiles at ``PERCENTS``; all NaN where n is 0.
    mean : float
        Sample mean; NaN where n is 0.
    lag1 : float or None
        Lag-1 autocorrelation in the order of the file, where the order means something.
    """

    name: str
    n: int
    values: tuple[float, ...]
    mean: float
    lag1: float | None = None


@dataclass(frozen=True)
class Section:
    """Facts and percentiles of one series of the file.

    Parameters
    ----------
    title : str
        Name of the series; empty where the file holds one.
    facts : mapping of str to value
        Named figures, with units in their names.
    tables : tuple of Quantiles
        Percentiles.
    warnings : tuple of str
        What a person should doubt, in whole sentences.
    """

    title: str
    facts: Mapping[str, Fact]
    tables: tuple[Quantiles, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class TraceCheck:
    """Everything :func:`check` prints.

    Parameters
    ----------
    facts : mapping of str to value
        File, format, kind, sizes and SHA-256 digests of the file as stored and decompressed.
    sections : tuple of Section
        One per series.
    """

    facts: Mapping[str, Fact]
    sections: tuple[Section, ...]

    def text(self) -> str:
        """Return the report as fixed-width text, the same for the same bytes."""
        lines = list(_fact_lines(self.facts))
        for section in self.sections:
            lines += ["", *([f"[{section.title}]"] if section.title else []), *_fact_lines(section.facts)]
            lines += _table_lines(section.tables)
            lines += [f"warning: {doubt}" for doubt in section.warnings]
        return "\n".join(lines) + "\n"


def lag1(values: Floats, recording: Ints | None = None) -> float | None:
    """Return the lag-1 autocorrelation; None below three values or without variance.

    Parameters
    ----------
    values : array of float, shape (n,)
        Series in measuring order; NaN breaks it, so pairs across a gap are left out.
    recording : array of int, shape (n,), optional
        Pairs that cross from one recording to the next are left out.

    Notes
    -----
    Source: the usual estimate, mean of products of deviations from the common mean over adjacent pairs,
    divided by the variance. Leaving out pairs instead of closing gaps is our choice: neighbours of a lost
    probe are two spacings apart.
    """
    known = np.isfinite(values)
    if known.sum() < 3 or np.ptp(values[known]) == 0:
        return None
    deviation = values - values[known].mean()
    adjacent = known[1:] & known[:-1]
    if recording is not None:
        adjacent &= recording[1:] == recording[:-1]
    if not adjacent.any():
        return None
    products = deviation[1:][adjacent] * deviation[:-1][adjacent]
    return float(products.mean() / np.mean(deviation[known] ** 2))


def quantiles(name: str, sample: Floats | Ints, *, memory: float | None = None) -> Quantiles:
    """Return the percentiles of a sample at ``PERCENTS``; NaN throughout where it is empty."""
    if sample.size == 0:
        return Quantiles(name, 0, (np.nan,) * len(PERCENTS), np.nan)
    values = tuple(float(x) for x in np.percentile(sample, PERCENTS))
    return Quantiles(name, int(sample.size), values, float(np.mean(sample)), memory)


def inspect_trace(
    path: str | PathLike[str],
    format: str = "auto",  # noqa: A002 (the word users type)
    unit: TimeUnit = "auto",
    mapping: Mapping[str, str] = NO_NAMES,
) -> TraceCheck:
    """Read a trace file of any kind and describe it; a pipe is read once.

    Parameters
    ----------
    path : path-like
        The file.
    format : str
        Name of a format, or ``auto``.
    unit : str
        What arrivals, latencies or round trips are in; ``auto`` is what the format declares.
    mapping : mapping of str to str
        Our names to the columns of a server's log, where these are not known (``--map``).

    Raises
    ------
    UserError
        If the file cannot be read as the format says, if it holds no times for a unit that was given, or if latencies
        or round trips cannot be in the format's unit.
    """
    with settled(Path(path)) as place:
        reader = reader_named(SERVER) if mapping and format == AUTO else None
        reader = reader or (detect(place) if format == AUTO else reader_named(format))
        sections = tuple(_of_file(place, reader, unit, mapping, str(path)))
        mark = fingerprint(place)
    facts: dict[str, Fact] = {
        "file": place.name,
        "format": f"{reader.name} ({reader.description})",
        "kind": reader.produces,
        "stored_bytes": mark.stored_bytes,
        "raw_bytes": mark.raw_bytes,
        "sha256_stored": mark.stored_sha256,
        "sha256_raw": mark.raw_sha256,
    }
    return TraceCheck(facts, sections)


def check(
    path: str | PathLike[str],
    format: str = "auto",  # noqa: A002 (the word users type)
    unit: TimeUnit = "auto",
    mapping: Mapping[str, str] = NO_NAMES,
) -> str:
    """Return the report on a trace file as text; ``discosim traces check FILE`` prints it.

    Raises
    ------
    UserError
        As `inspect_trace`.
    """
    return inspect_trace(path, format, unit, mapping).text()


def _of_file(place: Path, reader: Reader, unit: TimeUnit, mapping: Mapping[str, str], where: str) -> Iterator[Section]:
    if reader.name == SERVER:
        logs = read_server_logs(place, format=SERVER, mapping=mapping, unit=unit)
        yield from (_of_log(name if len(logs) > 1 else "", log) for name, log in logs.items())
        return
    if reader.name == "llmperf" and is_summary(place):
        yield from map(_of_test, read_concurrency(place))
        return
    if mapping:
        raise UserError(f"--map is for a server's log; {reader.name} has names of its own", where=where)
    _, record = read_any(place, reader.name, unit)
    yield from _sections(_in_said_unit(record, unit, reader.produces, where))


def _in_said_unit(record: Produced, unit: str, kind: str, where: str) -> Produced:
    """Return the record in the unit that was said; one implausible series among others is warned of, not refused."""
    if not isinstance(record, dict):
        if unit != AUTO and kind != "requests":
            said_for = "the arrivals of requests, latencies and round trips"
            raise UserError(f"holds {kind}; a unit is said for {said_for}", where=where)
        return record
    series_of: dict[str, Any] = record  # latencies or round trips, never both
    said = {name: in_unit(series, unit, where) for name, series in series_of.items()}
    faulty = [name for name, series in said.items() if len(series) and fault_of(series)]
    is_all = len(faulty) == sum(len(series) > 0 for series in said.values())
    assumed = unit if is_all else "s"  # anything but auto turns a fault into a doubt
    return {name: require_plausible(s, assumed, where) if len(s) else s for name, s in said.items()}


def _sections(record: Produced) -> Iterator[Section]:
    if isinstance(record, RequestTrace):
        yield _of_requests(record)
    elif isinstance(record, LengthTable):
        tables = (quantiles("prompt_tok", record.prompt_tok), quantiles("output_tok", record.output_tok))
        yield Section("", {"requests": len(record), **_plain(record.notes)}, tables, record.warnings)
    elif isinstance(record, ClientTable):
        yield _of_clients(record)
    elif isinstance(record, dict):
        for series in record.values():
            yield _of_latency(series) if isinstance(series, LatencySeries) else _of_rtt(series)
    else:
        for perf in record:
            yield _of_device(perf)


def _plain(notes: Notes) -> dict[str, Fact]:
    return {name: value for name, value in notes.items() if name != "format"}


def _of_requests(trace: RequestTrace) -> Section:
    gap_s = np.diff(trace.arrival_s)
    facts: dict[str, Fact] = {"requests": len(trace), **_load(trace.arrival_s)}
    owners = {"n_users": trace.user_id, "n_sessions": trace.session_id}
    facts |= {name: len(set(ids.tolist()) - {""}) for name, ids in owners.items() if ids is not None}
    if trace.hash_ids is not None:
        facts["n_hash_ids"] = int(np.unique(trace.hash_ids.values).size)
        facts["hash_block_tok"] = "unknown" if trace.hash_block_tok is None else trace.hash_block_tok
    tables = (
        quantiles("gap_s", gap_s, memory=lag1(gap_s)),
        quantiles("prompt_tok", trace.prompt_tok),
        quantiles("output_tok", trace.output_tok),
    )
    return Section("", facts | _plain(trace.notes), tables, trace.warnings)


def _of_log(title: str, log: ServerLog) -> Section:
    facts: dict[str, Fact] = {"requests": len(log), **_load(log.arrival_s)}
    facts |= {} if log.concurrency is None else {"concurrency": log.concurrency}
    facts |= {} if log.user_id is None else {"n_users": int(np.unique(log.user_id).size)}
    ends = (log.arrival_s + log.e2e_s)[np.isfinite(log.e2e_s)]
    facts |= {"makespan_s": float(ends.max())} if ends.size else {}
    gap_s = np.diff(log.arrival_s)
    tables = [quantiles("gap_s", gap_s, memory=lag1(gap_s))]
    for name in ("ttft_s", "queue_s", "tpot_s", "e2e_s"):
        times_s = getattr(log, name)
        times_s = times_s[np.isfinite(times_s)]
        tables += [quantiles(name, times_s)] if times_s.size else []
    tables += [quantiles("prompt_tok", log.prompt_tok), quantiles("output_tok", log.output_tok)]
    return Section(title, facts, tuple(tables), log.warnings)


def _load(arrival_s: Floats) -> dict[str, Fact]:
    """Return span, rate and burstiness of arrivals."""
    gap_s = np.diff(arrival_s)
    span_s = float(arrival_s[-1] - arrival_s[0])
    mean_s = float(gap_s.mean()) if gap_s.size else 0.0
    return {
        "span_s": span_s,
        "rate_per_s": gap_s.size / span_s if span_s > 0 else float("nan"),
        "gap_cv": float(gap_s.std() / mean_s) if mean_s > 0 else float("nan"),
        "tied_share": float(np.mean(gap_s == 0)) if gap_s.size else 0.0,
    }


def _of_test(test: ConcurrencySummary) -> Section:
    facts: dict[str, Fact] = {"requests": test.n, "failed": test.n_failed}
    facts |= {"requests_per_s": test.requests_per_s, "output_tok_per_s": test.output_tok_per_s}
    for name in ("ttft_s", "tpot_s", "e2e_s", "e2e_per_tok_s", "prompt_tok", "output_tok"):
        spread: Spread = getattr(test, name)
        facts |= {f"{name}_{which}": getattr(spread, which) for which in ("mean", "p50", "p99")}
    return Section(f"concurrency {test.concurrency}", facts, (), test.warnings)


def _of_latency(series: LatencySeries) -> Section:
    facts: dict[str, Fact] = {"measured": len(series), "failure_share": series.failure_share}
    if series.start_s is not None:
        sent_s = np.sort(series.start_s[np.isfinite(series.start_s)])
        facts |= {"sent": sent_s.size, **_load(sent_s)} if sent_s.size else {}
    facts |= {} if series.concurrency is None else {"concurrency": series.concurrency}
    # as a digest has it: neighbours are neighbours among those that were seen
    seen = {"ttft_s": series.seen_ttft_s, "tpot_s": series.seen_tpot_s}
    tables = [quantiles(name, times, memory=lag1(times)) for name, times in seen.items() if times.size]
    lengths = {"prompt_tok": series.prompt_tok, "output_tok": series.output_tok}
    # a count of 0 is one that is not there
    tables += [quantiles(name, tok[tok > 0] if tok.any() else tok) for name, tok in lengths.items() if tok is not None]
    shown = dict(sentences(*kept(row_laws(series)), series.failure_share))
    return Section(series.group, facts | shown | _plain(series.notes), tuple(tables), series.warnings)


def _of_rtt(series: RttSeries) -> Section:
    facts: dict[str, Fact] = {"loss_share": series.loss_share}
    if series.spacing_s is not None:
        facts["spacing_s"] = series.spacing_s
    memory = lag1(series.rtt_s, series.recording)
    tables = (quantiles("rtt_s", series.received_s, memory=memory),)
    return Section(series.group, facts | _plain(series.notes), tables, series.warnings)


def _of_clients(table: ClientTable) -> Section:
    per_window: dict[float, float] = {}
    for client in table.clients:
        for start_s, rate in zip(client.window_start_s.tolist(), client.rate_per_s.tolist(), strict=True):
            per_window[start_s] = per_window.get(start_s, 0.0) + rate
    total = np.array([per_window[start_s] for start_s in sorted(per_window)])
    volume = np.array([float(client.rate_per_s.sum()) for client in table.clients])
    cv = np.concatenate([client.cv[client.rate_per_s > 0] for client in table.clients])
    facts: dict[str, Fact] = {
        "window_s": table.window_s,
        "span_s": (max(per_window) + table.window_s) if per_window else 0.0,
        "top_client_share": float(volume.max() / volume.sum()) if volume.sum() > 0 else float("nan"),
    }
    tables = (quantiles("total_rate_per_s", total, memory=lag1(total)), quantiles("busy_window_cv", cv))
    return Section("", facts | _plain(table.notes), tables)


def _of_device(perf: DevicePerf) -> Section:
    return Section(
        f"{perf.model} {perf.precision}, {perf.device}, {perf.runtime}",
        {
            "context_length_tok": perf.context_length,
            "ttft_min_s": perf.ttft_min_s,
            "ttft_max_s": perf.ttft_max_s,
            "decode_tok_per_s": perf.decode_tok_per_s,
        },
    )


def _shown(value: Fact) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _fact_lines(facts: Mapping[str, Fact]) -> Iterator[str]:
    for name, value in facts.items():
        yield f"{name:<26}{_shown(value)}"


def _table_lines(tables: tuple[Quantiles, ...]) -> Iterator[str]:
    if not tables:
        return
    heads = [*(f"p{p}" for p in PERCENTS), "mean", "lag1"]
    yield f"{'':<18}{'n':>9}" + "".join(f"{head:>11}" for head in heads)
    for table in tables:
        cells = [*(f"{value:.5g}" for value in (*table.values, table.mean))]
        cells.append("-" if table.lag1 is None else f"{table.lag1:.3f}")
        yield f"{table.name:<18}{table.n:>9}" + "".join(f"{cell:>11}" for cell in cells)
