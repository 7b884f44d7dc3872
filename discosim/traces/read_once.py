"""Files of requests and of lengths that are read many times in one process: parsed once, known by what they hold.

A run reads its trace for the past, for every replication and for the number of its rows, and a sweep does so for every
run. The key is the sha256 of the file, so a file that was written anew is read anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import numpy as np

from discosim.traces.readers import LengthTable, RequestTrace, TimeUnit, read_lengths, read_requests

Held = TypeVar("Held", RequestTrace, LengthTable)


def requests_of(path: Path, format_name: str, time_unit: TimeUnit, mapping: Mapping[str, str]) -> RequestTrace:
    """Return the requests of a file, whose arrays may only be read; parameters and errors of `read_requests`."""
    content = _content(path)
    read = _requests if content else _requests.__wrapped__
    return read(path, content, format_name, time_unit, tuple(mapping.items()))


def lengths_of(path: Path, format_name: str) -> LengthTable:
    """Return the lengths of a file, whose arrays may only be read; parameters and errors of `read_lengths`."""
    content = _content(path)
    read = _lengths if content else _lengths.__wrapped__
    return read(path, content, format_name)


def _content(path: Path) -> str:
    """Return the sha256 of a file; '' of a pipe, which can be read once, and of what readers will refuse."""
    try:
        if path.is_file():
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        pass
    return ""


@lru_cache(maxsize=1)
def _requests(
    path: Path,
    content: str,  # noqa: ARG001 - part of the key
    format_name: str,
    time_unit: TimeUnit,
    mapping: tuple[tuple[str, str], ...],
) -> RequestTrace:
    return _locked(read_requests(path, format_name, time_unit=time_unit, mapping=dict(mapping)))


@lru_cache(maxsize=1)
def _lengths(path: Path, content: str, format_name: str) -> LengthTable:  # noqa: ARG001 - part of the key
    return _locked(read_lengths(path, format_name))


def _locked(held: Held) -> Held:
    """Forbid to write into arrays that several readers share."""
    for field in fields(held):
        if isinstance(column := getattr(held, field.name), np.ndarray):
            column.flags.writeable = False
    return held
