"""What a file seems to be that no format recognises, and which format is nearest, in words."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from discosim.traces.readers.base import Reader
from discosim.traces.readers.foreign import PARQUET
from discosim.traces.readers.head import first_keys
from discosim.traces.readers.source import first_line, is_tar
from discosim.traces.readers.table import header_of, parquet_names

FIRST_WORDS = 60
_SHOWN = 12
_COMPLAINTS = {"error", "errors", "detail", "message", "msg"}
_MOST_OF_A_COMPLAINT = 6


def what_it_seems(head: bytes, place: Path, readers: Iterable[Reader]) -> str:
    """Return the rest of the sentence "no known format fits": what stands in the file, and the nearest format.

    Parameters
    ----------
    head : bytes
        Its beginning; of a folder, the names of its files.
    place : Path
        The file.
    readers : iterable of Reader
        All formats.
    """
    if place.is_dir():
        return " the files of this folder"
    line = first_line(head.lstrip())
    keys = sorted(first_keys(head))
    names = header_of(head)
    n_numbers = sum(map(_is_number, names))
    if head.startswith(PARQUET):
        held = parquet_names(place)
        seems = f"a Parquet table with the columns {_list(held)}{_nearest(held, readers, 'column')}"
        return f": {seems}" if held else ": it is not a readable Parquet file"
    if is_tar(head):
        seems = "it is a tar archive; unpack it and name one file"
    elif not line.strip():
        seems = "it holds nothing but blanks"
    elif line.startswith("#"):
        seems = f"it begins with the comment {_cut(line)!r}; comments are not read, take them out"
    elif keys:
        is_complaint = _COMPLAINTS.intersection(keys) and len(keys) <= _MOST_OF_A_COMPLAINT and head.count(b"\n") <= 1
        what = ", perhaps the error of a server" if is_complaint else ""
        seems = f"JSON with the keys {_list(keys)}{what}{_nearest(keys, readers, 'key')}"
    elif line.startswith("trace_version"):
        seems = "it is the header of a BLIS trace; name the CSV beside it"
    elif len(names) > 1 and n_numbers >= len(names) / 2:
        seems = f"its first line {_cut(line)!r} holds numbers where the names of columns should stand"
    elif len(names) > 1 and n_numbers == 0 and all(names):
        seems = f"a table with the columns {_list(names)}{_nearest(names, readers, 'column')}"
    else:
        seems = f"it begins with {_cut(line)!r}" if line.isprintable() and "\ufffd" not in line else "it is no text"
    return f": {seems}"


def _nearest(names: list[str], readers: Iterable[Reader], word: str) -> str:
    """Return the format of which most is there, with what it lacks; or what the native table needs."""
    have = {_plain(name): name for name in names}
    best, best_score = "", 0.0
    whole = [reader.name for reader in readers if reader.columns and set(reader.columns) <= set(names)]
    if whole:
        there = f"all {word}s of {whole[0]} are there, yet it is not of that format"
        return f"; {there}; name it (--format or workload.format) to hear why"
    native = ""
    for reader in readers:
        if not reader.columns:
            continue
        lacks = [column for column in reader.columns if column not in names]
        found = [have[_plain(column)] for column in lacks if _plain(column) in have]
        score = 1 - (len(lacks) - len(found) / 2) / len(reader.columns)
        said = f"lacks {_list(lacks)}" + (f" (it has {_list(found)})" if found else "")
        if reader.name == "native":
            native = f"; a table of requests needs {_list(list(reader.columns))}"
        if score > best_score:
            best, best_score = f"; the nearest format is {reader.name}, of which it {said}", score
    return best if best_score >= 1 / 3 else native or f"; no format has such a {word}"


def _plain(name: str) -> str:
    return "".join(char for char in name.lower() if char.isalnum())


def _list(names: list[str]) -> str:
    shown = [_cut(name) for name in names[:_SHOWN]]
    return ", ".join(shown) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _cut(text: str) -> str:
    text = "".join(char if char.isprintable() else "?" for char in text.strip())
    return text if len(text) <= FIRST_WORDS else f"{text[:FIRST_WORDS]}..."


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
