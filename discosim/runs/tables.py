"""Parquet files whose fields carry their units."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from discosim.metrics.definitions import definition
from discosim.metrics.endpoints import ENDPOINT_FIELDS
from discosim.runs.arrow_arrays import arrow_array
from discosim.runs.collect import Columns

if TYPE_CHECKING:
    import pyarrow as pa

ROW_GROUP = 1 << 17
SMALL = 10_000
"""Rows below which a table is written for its size: a sweep leaves thousands of such files. Source: our choice."""
SMALL_LEVEL = 6
"""Effort of the compression of a small table, which takes a millisecond. Source: our choice; more brings nothing."""
FEW = 1_000
"""Rows below which a column is packed in less time than zstd takes to begin with it. Source: our choice; a table of 100
requests grows by a twenty-fifth, and is written and read in half of the time."""
TOKEN_FIELDS: dict[str, tuple[str, str]] = {
    "policy": ("", "name of the policy"),
    "replication": ("", "index of the replication, from 0"),
    "request_id": ("", "index of the request inside its replication, from 0"),
    "token_index": ("", "position of the token in the answer, from 1"),
    "endpoint": ("", "who generated it"),
    "generated_s": ("s", "generation time at the endpoint, since the start of the replication"),
    "delivered_s": ("s", "arrival at the client"),
    "displayed_s": ("s", "when it was on screen"),
}
SERIES_FIELDS: dict[str, tuple[str, str]] = {
    "policy": ("", "name of the policy"),
    "replication": ("", "index of the replication, from 0"),
    "t_s": ("s", "end of the second, since the start of the replication"),
    "running": ("1", "requests in the batch at the end of the second, all replicas together"),
    "waiting": ("1", "requests in the queues at the end of the second, those that were set aside included"),
    "prompt_tok_per_s": (
        "tok/s",
        "prompt tokens processed in iterations that ended in the second, recomputed ones too",
    ),
    "output_tok_per_s": ("tok/s", "tokens generated in iterations that ended in the second"),
    "kv_share": ("1", "share of the KV memory in use at the end of the second, over all replicas that decode"),
}


def request_table(columns: Columns) -> pa.Table:
    """Return requests.parquet as an Arrow table.

    Units stand in the field metadata; so do formulas and meanings, where they would not outweigh the numbers.
    """
    return _table(columns, _defined(tuple(columns), is_small=next(iter(columns.values())).size < SMALL))


def replication_table(columns: Columns) -> pa.Table:
    """Return replications.parquet as an Arrow table: every summary number of each policy and replication."""
    return request_table(columns)


def token_table(columns: Columns) -> pa.Table:
    """Return token rows as an Arrow table."""
    return _table(columns, _said(columns, TOKEN_FIELDS))


def series_table(columns: Columns) -> pa.Table:
    """Return series.parquet as an Arrow table: a white-box server by the second."""
    return _table(columns, _said(columns, SERIES_FIELDS))


def _said(columns: Columns, fields: Mapping[str, tuple[str, str]]) -> Described:
    return tuple((("unit", fields[name][0]), ("description", fields[name][1])) for name in columns)


def endpoint_table(columns: Columns) -> pa.Table:
    """Return endpoints.parquet as an Arrow table: what each endpoint did for each request."""
    return _table(columns, _said(columns, ENDPOINT_FIELDS))


Described = tuple[tuple[tuple[str, str], ...], ...]
"""What the field of each column says about itself, as keys and values."""


@lru_cache(maxsize=64)
def _defined(names: tuple[str, ...], *, is_small: bool) -> Described:
    """Return what metrics say of themselves; where a table is small, their units alone."""
    said = [definition(name).field_metadata() for name in names]
    return tuple(tuple(held.items())[:1] if is_small else tuple(held.items()) for held in said)


def _table(columns: Columns, described: Described) -> pa.Table:
    import pyarrow as pa

    arrays = [arrow_array(values) for values in columns.values()]
    return pa.Table.from_arrays(arrays, schema=_schema(tuple(columns), tuple(held.type for held in arrays), described))


@lru_cache(maxsize=64)
def _schema(names: tuple[str, ...], types: tuple[Any, ...], described: Described) -> pa.Schema:
    """Return the schema of a table, made once for all runs of a sweep."""
    import pyarrow as pa

    fields = zip(names, types, described, strict=True)
    return pa.schema([pa.field(name, kind, metadata=dict(said)) for name, kind, said in fields])


def write_parquet(table: pa.Table, path: Path, *, has_times: bool = False) -> None:
    """Write a table; the same table gives the same bytes. Arrow itself takes no names that are no UTF-8.

    With ``has_times`` nearly every row has numbers that no other has, as times of tokens: their bytes are parted by
    their place in the number, where they are alike, which saves a sixth of the file.
    """
    from pyarrow import parquet, types

    options: dict[str, Any] = {"compression": "zstd"}
    if table.num_rows < SMALL:
        options = {"compression": "lz4"} if table.num_rows < FEW else {**options, "compression_level": SMALL_LEVEL}
        options["use_dictionary"] = [field.name for field in table.schema if types.is_dictionary(field.type)]
        options["write_statistics"] = False
    if has_times and table.num_rows < SMALL:
        times = [field.name for field in table.schema if types.is_floating(field.type)]
        options |= {"compression": "zstd", "compression_level": SMALL_LEVEL, "use_byte_stream_split": times}
    with path.open("wb") as file:
        parquet.write_table(table, file, row_group_size=ROW_GROUP, **options)
