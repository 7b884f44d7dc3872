"""Columns as bytes and back, bit by bit: numbers as they lie in memory, one value once, and each word of a text once.

Made for tables that the next run takes over and nobody else reads; what stays is written as Parquet.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from discosim.runs.coded import coded, narrow
from discosim.runs.collect import Columns
from discosim.runs.placed import is_one_value, one_value

MANY_ROWS = 10_000
"""Rows from which on a column is compressed: smaller ones take longer to pack than to write, and are soon gone."""
CODEC = "zstd"

About = list[dict[str, Any]]
"""Of each column: name, type, the type it is held in, rows, bytes packed and unpacked, whether all are one, words."""


def packed(columns: Columns) -> tuple[bytes, About]:
    """Return columns as bytes, and as plain data what `unpacked` needs to know of them."""
    parts, about = [], []
    for name, values in columns.items():
        is_one = values.size > 0 and is_one_value(values)
        held: NDArray[Any] = values[:1] if is_one else values
        words = None
        if values.dtype.kind in "OU":
            held, words = coded(held)
        held = narrow(held)
        raw = held.tobytes()
        part = _compressed(raw) if held.size >= MANY_ROWS else raw
        said = {
            "name": name,
            "dtype": values.dtype.str,
            "held": held.dtype.str,
            "rows": values.size,
            "bytes": len(part),
            "raw": len(raw),
        }
        about.append({**said, "is_one": is_one, "words": words})
        parts.append(part)
    return b"".join(parts), about


def unpacked(content: memoryview, about: About) -> Columns:
    """Return columns as they were; those of one value are views that cannot be written, as those of a fresh run."""
    columns: Columns = {}
    start = 0
    for said in about:
        part, start = content[start : start + said["bytes"]], start + said["bytes"]
        columns[said["name"]] = _column(part, said)
    return columns


def _column(part: memoryview, said: dict[str, Any]) -> NDArray[Any]:
    kind, words = np.dtype(said["dtype"]), said["words"]
    raw = part if said["bytes"] == said["raw"] else _whole(part, said["raw"])
    held: NDArray[Any] = np.frombuffer(raw, said["held"])
    if words is not None:
        held = np.array(words, dtype=kind)[held] if words else np.empty(0, dtype=kind)
    elif not said["is_one"] or held.dtype != kind:
        held = held.astype(kind)
    return one_value(held, said["rows"]) if said["is_one"] else held


def _compressed(raw: bytes) -> bytes:
    import pyarrow as pa

    found: bytes = pa.compress(raw, codec=CODEC, asbytes=True)
    return found if len(found) < len(raw) else raw  # equal sizes say that it is not compressed


def _whole(part: memoryview, n_bytes: int) -> bytes:
    import pyarrow as pa

    found: bytes = pa.decompress(part, decompressed_size=n_bytes, codec=CODEC, asbytes=True)
    return found
