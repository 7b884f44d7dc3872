"""What a writer is, and the columns that several of them share."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from discosim.core.errors import UserError
from discosim.traces.readers.base import Ints, RequestTrace

_LARGEST = 2.0**53
"""Largest number of clock units that a 64-bit float holds to the unit."""


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
        ``write(trace, path)`` returns the bytes of each file, by its path; nothing is written yet.
    """

    name: str
    description: str
    unit: str
    keeps: frozenset[str]
    suffixes: tuple[str, ...]
    write: Callable[[RequestTrace, Path], Mapping[Path, bytes]]


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


def csv_bytes(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """Return a CSV file with plain line ends; text that holds a comma is quoted."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()
