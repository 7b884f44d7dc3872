"""What a writer is, and the columns that several of them share."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from discosim.core.errors import UserError
from discosim.traces.readers.base import Ints, RequestTrace, Words

_LARGEST = 2.0**53
"""Largest number of clock units that a 64-bit float holds to the unit."""


@dataclass(frozen=True)
class Files:
    """What a writer has made; nothing is written yet.

    Parameters
    ----------
    content : mapping of Path to bytes
        The bytes of each file.
    said : tuple of str
        What was done to the requests so that the format takes them, in phrases.
    """

    content: Mapping[Path, bytes]
    said: tuple[str, ...] = ()


@dataclass(frozen=True)
class Written:
    """What was written.

    Parameters
    ----------
    paths : tuple of Path
        The files; one, or two where the format keeps its header apart.
    left_out : tuple of str
        Columns of the trace that the format has no place for.
    said : tuple of str
        What was done to the requests so that the format takes them, in phrases.
    """

    paths: tuple[Path, ...]
    left_out: tuple[str, ...]
    said: tuple[str, ...] = ()


@dataclass(frozen=True)
class Writer:
    """One format: its name, its clock, what it has a place for, and how it is written.

    Parameters
    ----------
    name : str
        Name used on the command line, for example ``"vidur"``.
    description : str
        One line for listings.
    unit : str
        Unit of the arrival times in the file.
    keeps : frozenset of str
        Optional columns of a request trace that the format has a place for.
    suffixes : tuple of str
        Endings of file names that it writes; the first is the usual one.
    write : callable
        ``write(trace, path)`` returns the bytes of each file; nothing is written yet.
    """

    name: str
    description: str
    unit: str
    keeps: frozenset[str]
    suffixes: tuple[str, ...]
    write: Callable[[RequestTrace, Path], Files]


def seconds(trace: RequestTrace) -> list[str]:
    """Return the arrival times in s, as the shortest texts that read back as the same numbers."""
    return [repr(second) for second in trace.arrival_s.tolist()]


def whole_units(trace: RequestTrace, per_s: int) -> Ints:
    """Return the arrival times in whole units of a clock, rounded to the nearest; their order stays.

    Parameters
    ----------
    trace : RequestTrace
        Requests, arrival in s.
    per_s : int
        Units in one second: 1000 for ms, 1_000_000 for us.

    Raises
    ------
    UserError
        If a time is beyond what the unit counts exactly.
    """
    units = trace.arrival_s * per_s
    if units.size and units[-1] > _LARGEST:
        raise UserError(f"an arrival at {trace.arrival_s[-1]:g} s cannot be counted in units of 1/{per_s} s")
    return np.rint(units).astype(np.int64)


def new_ties(trace: RequestTrace, units: Ints, unit: str) -> tuple[str, ...]:
    """Return the phrase that counts requests which arrive together only since their times were rounded."""
    n = int(np.sum((np.diff(units) == 0) & (np.diff(trace.arrival_s) > 0)))
    return (f"{n} arrivals tied with the one before, as less than 1 {unit} was between them",) if n else ()


def owners(names: Words | None, n: int) -> list[str]:
    """Return a name for each request, empty where it has none; names that hold line ends lose them."""
    if names is None:
        return [""] * n
    return [" ".join(name.split("\r")) if "\r" in name else name for name in names.tolist()]


def csv_bytes(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """Return a CSV file with plain line ends; text that holds a comma is quoted."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()
