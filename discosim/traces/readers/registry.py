"""All readers by name, detection by content, and one function per kind of record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import TypeVar

import numpy as np

from discosim.core.errors import MANY, UserError, close_match
from discosim.traces.mapping import NO_NAMES
from discosim.traces.readers import (
    aihub,
    aiperf,
    atlas,
    azure,
    bailian,
    blis,
    burstgpt,
    guidellm,
    ireland,
    lengths,
    llmperf,
    llmservingsim,
    mlab,
    mooncake,
    native,
    native_latency,
    native_rtt,
    openrouter,
    ping,
    rtt_list,
    servegen,
    server,
    sharegpt,
    splitwise,
    starlink,
    uncore,
    vidur,
    vllm_bench,
)
from discosim.traces.readers.base import (
    Kind,
    LatencySeries,
    LengthTable,
    Produced,
    Reader,
    RequestTrace,
    RttSeries,
    TimeUnit,
)
from discosim.traces.readers.doubts import length_doubts
from discosim.traces.readers.foreign import PARQUET
from discosim.traces.readers.head import outline
from discosim.traces.readers.probing_tools import probing_tool
from discosim.traces.readers.requests import spread_ties
from discosim.traces.readers.sent import load_of
from discosim.traces.readers.series_names import is_series
from discosim.traces.readers.source import read_head
from discosim.traces.readers.table import MARKDOWN, head_of_parquet, is_markdown
from discosim.traces.readers.tools import other_tool
from discosim.traces.readers.units import AUTO, in_unit, require_plausible
from discosim.traces.readers.unknown import what_it_seems

_READERS: tuple[Reader, ...] = (
    aihub.READER,
    aiperf.READER,
    atlas.READER,
    azure.READER,
    bailian.READER,
    blis.READER,
    burstgpt.READER,
    guidellm.READER,
    ireland.READER,
    lengths.READER,
    llmperf.READER,
    llmservingsim.READER,
    mlab.READER,
    mooncake.READER,
    native.READER,
    native_latency.READER,
    native_rtt.READER,
    openrouter.READER,
    ping.READER,
    rtt_list.READER,
    servegen.READER,
    server.READER,
    sharegpt.READER,
    splitwise.READER,
    starlink.READER,
    uncore.READER,
    vidur.READER,
    vllm_bench.READER,
)
_Series = TypeVar("_Series", LatencySeries, RttSeries)
_TIES = ("keep", "spread")
_UNITS: tuple[TimeUnit, ...] = ("auto", "s", "ms", "us", "ns")


def known_readers() -> tuple[Reader, ...]:
    """Return all readers, sorted by name."""
    return _READERS


def reader_named(name: str) -> Reader:
    """Return the reader of a format.

    Raises
    ------
    UserError
        If no format has this name; the nearest one is offered.
    """
    for reader in _READERS:
        if reader.name == name:
            return reader
    names = [reader.name for reader in _READERS]
    raise UserError(f"unknown trace format {name!r}; {close_match(name, names)}")


def detect(path: str | PathLike[str]) -> Reader:
    """Return the reader that recognises a file by its first bytes; of JSON, by its keys wherever they stand.

    Raises
    ------
    UserError
        If no reader or more than one recognises it, or it cannot be opened; it says what the file seems to be.
    """
    place = Path(path)
    head = read_head(place)
    if head.startswith(PARQUET):
        head = head_of_parquet(place)
    found = _fitting(head, place)
    if not found and (longer := outline(place, head)):
        head = longer
        found = _fitting(head, place)
    if is_markdown(head):
        raise UserError(f"is {other_tool(head) or MARKDOWN}", where=str(place))
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(reader.name for reader in found)
        raise UserError(f"more than one format fits; name one of: {names}", where=str(place))
    if known := other_tool(head) or probing_tool(head):
        raise UserError(f"is {known}", where=str(place))
    if native_latency.may_be(head, place):
        return native_latency.READER
    if is_series(head, place):
        raise UserError(
            "is a series of what a server did, moment by moment, and no requests; give it to engine calibrate or "
            "validate as --series, beside a log of requests",
            where=str(place),
        )
    if said := server.why_not(head, place):
        raise UserError(said, where=str(place))
    if lacks := native_latency.what_lacks(head, place):
        raise UserError(f"no known format fits; as a table of latencies it {lacks}", where=str(place))
    raise UserError(f"no known format fits{what_it_seems(head, place, _READERS)}", where=str(place))


def _fitting(head: bytes, place: Path) -> list[Reader]:
    """Return the readers that recognise a head; that of servers' logs, which knows many names, only where no other."""
    found = [reader for reader in _READERS if reader is not server.READER and reader.matches(head, place)]
    return found or [reader for reader in (server.READER,) if reader.matches(head, place)]


def read_any(
    path: str | PathLike[str],
    format: str = "auto",  # noqa: A002 (the word users type)
    time_unit: TimeUnit = "auto",
) -> tuple[Reader, Produced]:
    """Read a file of any kind and return its reader beside the record; ``time_unit`` is for requests alone.

    Raises
    ------
    UserError
        If the format is unknown, or the file is not valid for it.
    """
    reader = detect(path) if format == "auto" else reader_named(format)
    return reader, _read(reader, Path(path), time_unit)


def _read(reader: Reader, place: Path, time_unit: TimeUnit) -> Produced:
    if time_unit not in _UNITS:
        raise UserError(f"unknown unit of time {time_unit!r}; {close_match(str(time_unit), _UNITS)}")
    is_plain = time_unit == "auto" or reader.produces != "requests"
    return reader.read(place) if is_plain else reader.read(place, time_unit)


def _read_as(
    path: str | PathLike[str], format_name: str, kinds: Iterable[Kind], time_unit: TimeUnit = "auto"
) -> Produced:
    reader = detect(path) if format_name == "auto" else reader_named(format_name)
    if tuple(kinds) == ("latency",) and format_name == "auto" and reader.produces == "requests":
        # a log of requests with its latencies is either, by what is asked for
        reader = native_latency.READER if native_latency.may_be(read_head(Path(path)), Path(path)) else reader
    if reader.produces == "latency" and "requests" in kinds and (load := _load_of(reader, Path(path))) is not None:
        if time_unit != "auto" and tuple(kinds) == ("requests",):
            raise UserError(f"{reader.name} says the unit of its times of sending; leave it at auto", where=str(path))
        return load
    if reader.produces not in kinds:
        able = ", ".join(r.name for r in _READERS if r.produces in kinds)
        hint = f"expected one of: {able}"
        if reader.produces == "lengths" and "requests" in kinds:
            law = f"lengths: {{kind: file, file: {Path(path).name}}}"
            hint = f"arrivals need a law: `workload: {{kind: generate, arrivals: ..., {law}}}`"
        raise UserError(f"format {reader.name!r} holds {reader.produces}; {hint}", where=str(path))
    return _read(reader, Path(path), time_unit)


def _load_of(reader: Reader, place: Path) -> RequestTrace | None:
    """Return the requests of a load test whose times of sending are known; None where they are not.

    Raises
    ------
    UserError
        If the file holds several such runs.
    """
    groups = reader.read(place)
    assert isinstance(groups, dict)
    timed = [s for s in groups.values() if isinstance(s, LatencySeries) and len(s) and s.start_s is not None]
    if len(timed) > 1:
        names = ", ".join(series.group for series in timed[:MANY])
        raise UserError(f"holds {len(timed)} runs ({names}); a workload is one: write it to a file", where=str(place))
    return load_of(timed[0], reader.name, str(place)) if timed else None


def read_requests(
    path: str | PathLike[str],
    format: str = "auto",  # noqa: A002 (the word users type)
    ties: str = "keep",
    rng: np.random.Generator | None = None,
    time_unit: TimeUnit = "auto",
    mapping: Mapping[str, str] = NO_NAMES,
) -> RequestTrace:
    """Read a request trace of any format.

    Parameters
    ----------
    path : path-like
        File, plain or packed (gzip, xz, bzip2, Zstandard, LZ4, a zip of one file).
    format : str
        Name of a format, or ``auto`` to look at the first bytes.
    ties : str
        ``keep`` leaves requests of one clock tick together; ``spread`` places them uniformly inside it.
    rng : numpy.random.Generator, optional
        Source of luck; needed for ``spread``.
    time_unit : str
        What the arrivals are in: ``s, ms, us, ns``; ``auto`` is what the format declares.
    mapping : mapping of str to str
        Our names to the columns of a server's log, where these are not known; for that format alone.

    Raises
    ------
    UserError
        If the file holds no requests, a cell is wrong (its place is named), or the format is unknown.
    """
    if ties not in _TIES:
        raise UserError(f"unknown rule for ties {ties!r}; {close_match(ties, _TIES)}")
    if mapping:
        if format not in {"auto", server.NAME}:
            raise UserError(f"names of columns are given for a server's log; {format} has its own", where=str(path))
        trace: Produced = server.read(Path(path), time_unit, mapping)
    else:
        trace = _read_as(path, format, ("requests",), time_unit)
    assert isinstance(trace, RequestTrace)
    if ties == "keep":
        return trace
    if rng is None:
        raise ValueError("ties='spread' needs rng, a numpy Generator")
    return spread_ties(trace, rng)


def read_lengths(
    path: str | PathLike[str],
    format: str = "auto",  # noqa: A002 (the word users type)
) -> LengthTable:
    """Read joint lengths of prompts and answers: a table of them, or a request trace, whose arrivals do not matter.

    Raises
    ------
    UserError
        If the file holds no lengths or is not valid.
    """
    found: Produced | None = None
    fault: UserError | None = None
    for unit in _UNITS:  # nobody asks what the arrivals are in
        try:
            found = _read_as(path, format, ("lengths", "requests"), unit)
            break
        except UserError as error:
            fault = fault or error
    if isinstance(found, RequestTrace):
        doubts = tuple(length_doubts(found.prompt_tok, found.output_tok))
        found = LengthTable(found.prompt_tok, found.output_tok, found.notes, doubts)
    if not isinstance(found, LengthTable):
        assert fault is not None
        raise fault
    return found


def _one_group(groups: dict[str, _Series], group: str | None, path: str | PathLike[str]) -> _Series:
    held = [series for series in groups.values() if len(series)]
    if group is None and len(held) == 1:
        return held[0]
    if group is None:
        names = ", ".join(series.group for series in held[:MANY]) + (", ..." if len(held) > MANY else "")
        raise UserError(f"holds {len(held)} series; name one of: {names}", where=str(path))
    # a run of a sweep is also found without the load that its name ends in: ``report#2`` for ``report#2 constant@4``
    short = [name for name in groups if name.partition(" ")[0] == group and "#" in group]
    if group not in groups and len(short) != 1:
        raise UserError(f"holds no series {group!r}; {close_match(group, groups)}", where=str(path))
    series = groups[group if group in groups else short[0]]
    if not len(series):
        why = " ".join(series.warnings) or "No time was seen."
        raise UserError(f"its series {series.group!r} is empty. {why}", where=str(path))
    return series


def read_latency_groups(
    path: str | PathLike[str],
    format: str = "auto",  # noqa: A002 (as above)
    unit: str = AUTO,
) -> dict[str, LatencySeries]:
    """Read all latency series of a file, by group, in its order; a series without any time among others is empty.

    Parameters
    ----------
    path : path-like
        File, plain or compressed.
    format : str
        Name of a format, or ``auto``.
    unit : str
        What the file's times are in: ``s``, ``ms``, ``us`` or ``ns``; ``auto`` is the format's own unit.

    Raises
    ------
    UserError
        If the file holds no latencies or is not valid.
    """
    groups = _read_as(path, format, ("latency",))
    assert isinstance(groups, dict)
    return {
        name: in_unit(series, unit, str(path)) for name, series in groups.items() if isinstance(series, LatencySeries)
    }


def read_latency(
    path: str | PathLike[str],
    format: str = "auto",  # noqa: A002 (the word users type)
    group: str | None = None,
    unit: str = AUTO,
) -> LatencySeries:
    """Read one latency series; ``group`` may be left out where the file holds only one.

    Raises
    ------
    UserError
        As :func:`read_latency_groups`, if the group is missing or not named, or if no service has such times and the
        unit was not said.
    """
    return require_plausible(_one_group(read_latency_groups(path, format, unit), group, path), unit, str(path))


def read_rtt_groups(
    path: str | PathLike[str],
    format: str = "auto",  # noqa: A002 (as above)
    unit: str = AUTO,
) -> dict[str, RttSeries]:
    """Read all round-trip series of a file, by group, in its order; ``unit`` as in :func:`read_latency_groups`.

    Raises
    ------
    UserError
        If the file holds no round trips or is not valid.
    """
    groups = _read_as(path, format, ("rtt",))
    assert isinstance(groups, dict)
    return {name: in_unit(series, unit, str(path)) for name, series in groups.items() if isinstance(series, RttSeries)}


def read_rtt(
    path: str | PathLike[str],
    format: str = "auto",  # noqa: A002 (the word users type)
    group: str | None = None,
    unit: str = AUTO,
) -> RttSeries:
    """Read one round-trip series; ``group`` may be left out where the file holds only one.

    Raises
    ------
    UserError
        As :func:`read_rtt_groups`, if the group is missing or not named, or if no path takes so long or so short and
        the unit was not said.
    """
    return require_plausible(_one_group(read_rtt_groups(path, format, unit), group, path), unit, str(path))
