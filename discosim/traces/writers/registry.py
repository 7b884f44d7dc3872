"""All writers by name, and writing whole files or none."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from discosim.core.errors import UserError, close_match
from discosim.core.files import replace_all
from discosim.traces.readers.base import RequestTrace
from discosim.traces.writers import blis, mooncake, native, splitwise, vidur
from discosim.traces.writers.base import Writer

_WRITERS: tuple[Writer, ...] = (blis.WRITER, mooncake.WRITER, native.WRITER, splitwise.WRITER, vidur.WRITER)
_OPTIONAL = ("user_id", "session_id", "hash_ids")


def known_writers() -> tuple[Writer, ...]:
    """Return all writers, sorted by name."""
    return _WRITERS


def writer_named(name: str) -> Writer:
    """Return the writer of a format.

    Raises
    ------
    UserError
        If no format has this name; the nearest one is offered.
    """
    for writer in _WRITERS:
        if writer.name == name:
            return writer
    names = [writer.name for writer in _WRITERS]
    raise UserError(f"unknown format to write {name!r}; {close_match(name, names)}")


def write_requests(trace: RequestTrace, path: str | PathLike[str], to: str) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """Write a request trace in one of the known formats.

    Parameters
    ----------
    trace : RequestTrace
        Requests, arrival in s.
    path : path-like
        File to write, replaced if it exists; never half-written.
    to : str
        Name of the format.

    Returns
    -------
    paths : tuple of Path
        The files; one, or two where the format keeps its header apart.
    left_out : tuple of str
        Columns of the trace that the format has no place for.

    Raises
    ------
    UserError
        If the format is unknown, the name does not end as the format wants it, or the place cannot be written.
    """
    writer, place = writer_named(to), Path(path)
    if place.suffix not in writer.suffixes:
        expected = " or ".join(writer.suffixes)
        raise UserError(f"format {to!r} is written to a name that ends in {expected}", where=str(place))
    keeps = writer.keeps - {"hash_ids"} if place.suffix == ".csv" else writer.keeps
    left_out = tuple(name for name in _OPTIONAL if getattr(trace, name) is not None and name not in keeps)
    files = writer.write(trace, place)
    replace_all(files)
    return tuple(files), left_out
