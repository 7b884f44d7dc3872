"""All writers by name, and writing whole files or none."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from discosim.core.errors import UserError, close_match
from discosim.core.files import replace_all
from discosim.traces.readers.base import RequestTrace
from discosim.traces.writers import blis, mooncake, native, splitwise, vidur
from discosim.traces.writers.base import Writer, Written

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


def write_requests(
    trace: RequestTrace, path: str | PathLike[str], to: str, *, source: str | PathLike[str] | None = None
) -> Written:
    """Write a request trace in one of the known formats.

    Parameters
    ----------
    trace : RequestTrace
        Requests, arrival in s.
    path : path-like
        File to write, replaced if it exists; never half-written.
    to : str
        Name of the format.
    source : path-like, optional
        File that the requests were read from, which must not be replaced.

    Raises
    ------
    UserError
        If the format is unknown, the name does not end as the format wants it, the place cannot be written, or a file
        would be replaced that is the source, or that a header beside the data would replace and is no header.
    """
    writer, place = writer_named(to), Path(path)
    if place.suffix not in writer.suffixes:
        expected = " or ".join(writer.suffixes)
        raise UserError(f"format {to!r} is written to a name that ends in {expected}", where=str(place))
    keeps = writer.keeps - {"hash_ids"} if place.suffix == ".csv" else writer.keeps
    left_out = tuple(name for name in _OPTIONAL if getattr(trace, name) is not None and name not in keeps)
    files = writer.write(trace, place)
    for target in files.content:
        if source is not None and _is_same(target, Path(source)):
            raise UserError("would replace what it reads; give another name", where=str(target))
        if target != place and not _is_free(target):
            raise UserError(
                f"exists and is no header of such a trace, so it is not replaced; give another name than {place.name}",
                where=str(target),
            )
    replace_all(files.content)
    return Written(tuple(files.content), left_out, files.said)


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except (OSError, ValueError):
        return False


def _is_free(header: Path) -> bool:
    """Tell whether a header may be written: nothing is there, or a header of its kind."""
    try:
        with header.open("rb") as file:
            return file.read(2**16).lstrip().startswith(blis.HEADER_MARK)
    except OSError:
        return not header.exists()
