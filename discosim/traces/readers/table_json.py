"""JSON as a table: one object a line, or one array of objects; a key that stands twice is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from discosim.core.errors import UserError
from discosim.core.json_text import read_json, refuse_repeated
from discosim.traces.readers.base import Ints
from discosim.traces.readers.columns import JsonColumn
from discosim.traces.readers.table_base import Table, nearest
from discosim.traces.readers.text import require_utf8

_BLANK = " \t\r\n"


def read_json_lines(raw: bytes, path: Path | str, required: Sequence[str], optional: Sequence[str] = ()) -> Table:
    """Read named keys of a file with one JSON object a line, or with one array of objects; empty lines are skipped.

    Raises
    ------
    UserError
        At the first line that is no JSON object, names a key twice or lacks a required one, or if there are no lines.
    """
    label = str(path)
    if raw[:4096].lstrip().startswith(b"["):
        return read_json_records(raw, path, required, optional)
    lines = require_utf8(raw, label).split("\n")
    numbers = np.flatnonzero([bool(line.strip()) for line in lines]) + 1
    try:
        # one call for the whole file is several times faster than one a line, but blind to where a fault is
        joined = ",".join([lines[i - 1] for i in numbers])
        records = json.loads(f"[{joined}]", object_pairs_hook=refuse_repeated)
    except (ValueError, RecursionError, UserError):
        records = []
    if len(records) != numbers.size:
        records = [_decoded(lines[i - 1], f"{label} row {i}") for i in numbers]
    return table_of_records(records, numbers.astype(np.int64), label, required, optional)


def _decoded(line: str, where: str) -> Any:
    try:
        return read_json(line, where=where, is_finite=False)
    except UserError as error:
        if line.strip() in {"{", "["}:
            raise UserError(f"{error.message}; one object a line is expected", where=where) from None
        raise


def read_json_records(raw: bytes, path: Path | str, required: Sequence[str], optional: Sequence[str] = ()) -> Table:
    """Read named keys of a file that holds one JSON array of objects; rows are its records, from 1.

    Raises
    ------
    UserError
        If the file is no JSON array of objects, is empty, or a record names a key twice or lacks a required one.
    """
    label = str(path)
    try:
        records = read_json(raw, where=label, is_finite=False, most_depth=None)
    except UserError as error:
        for number, text in enumerate(_elements(raw), start=1):
            read_json(text, where=f"{label} record {number}", is_finite=False)
        raise error from None
    if not isinstance(records, list):
        raise UserError("expected a JSON array of objects", where=label)
    return table_of_records(records, np.arange(1, len(records) + 1), label, required, optional, "record")


def _elements(raw: bytes) -> Iterator[str]:
    """Yield the texts of an array's elements, as far as they can be told apart, to find the one to blame."""
    text = raw.decode(errors="replace")
    at = len(text) - len(text.lstrip(_BLANK)) + 1
    decode = json.JSONDecoder().raw_decode
    while True:
        while text[at : at + 1] and text[at] in _BLANK + ",":
            at += 1
        try:
            end = decode(text, at)[1]
        except (ValueError, RecursionError):
            return
        yield text[at:end]
        at = end


def table_of_records(
    records: Sequence[Any],
    lines: Ints,
    label: str,
    required: Sequence[str],
    optional: Sequence[str],
    row_word: str = "row",
) -> Table:
    """Return named keys of decoded JSON records as columns.

    Raises
    ------
    UserError
        If there are no records, one is no object, or one lacks a required key.
    """
    if not records:
        raise UserError("holds no records", where=label)
    need = set(required)
    for line, record in zip(lines, records, strict=True):
        if type(record) is not dict:
            raise UserError("expected a JSON object", where=f"{label} {row_word} {line}")
        if not need <= record.keys():
            name = next(key for key in required if key not in record)
            raise UserError(f"no key {name!r}; {nearest(name, record)}", where=f"{label} {row_word} {line}")
    present = [*required, *(key for key in optional if any(key in record for record in records))]
    columns = {key: JsonColumn([record.get(key) for record in records]) for key in present}
    return Table(label, columns, lines, row_word)
