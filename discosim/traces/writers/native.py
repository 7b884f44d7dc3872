"""Our own request table: JSON lines, Parquet or CSV by the ending of the name; seconds.

A request without a name has no key, null or an empty cell, and reads back as one without.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from discosim.traces.readers.base import RequestTrace
from discosim.traces.writers.base import Files, Writer, csv_bytes, owners


def write(trace: RequestTrace, path: Path) -> Files:
    """Return the file; a CSV has no place for hash ids."""
    columns = _columns(trace, with_hash_ids=path.suffix != ".csv")
    match path.suffix:
        case ".csv":
            return Files({path: csv_bytes(list(columns), zip(*columns.values(), strict=True))})
        case ".parquet":
            return Files({path: _parquet(columns)})
        case _:
            rows = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
            named = ({key: value for key, value in row.items() if value is not None} for row in rows)
            return Files({path: "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in named).encode()})


def _columns(trace: RequestTrace, *, with_hash_ids: bool) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {
        "arrival_s": trace.arrival_s.tolist(),
        "prompt_tok": trace.prompt_tok.tolist(),
        "output_tok": trace.output_tok.tolist(),
    }
    for key, names in (("user_id", trace.user_id), ("session_id", trace.session_id)):
        if names is not None:
            columns[key] = [name or None for name in owners(names, len(trace))]
    if with_hash_ids and trace.hash_ids is not None:
        columns["hash_ids"] = [trace.hash_ids[i].tolist() for i in range(len(trace))]
    return columns


def _parquet(columns: dict[str, list[Any]]) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    kinds = {"hash_ids": pa.list_(pa.int64()), "user_id": pa.string(), "session_id": pa.string()}
    arrays = {name: pa.array(values, type=kinds.get(name)) for name, values in columns.items()}
    sink = io.BytesIO()
    parquet.write_table(pa.table(arrays), sink)
    return sink.getvalue()


WRITER = Writer(
    "native",
    "discosim request table (JSON lines, Parquet, CSV)",
    "s",
    frozenset({"session_id", "user_id", "hash_ids"}),
    (".jsonl", ".parquet", ".csv"),
    write,
)
