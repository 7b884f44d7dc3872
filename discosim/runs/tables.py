"""Parquet files whose fields carry their units."""

from __future__ import annotations

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
    described = {name: definition(name).field_metadata() for name in columns}
    if next(iter(columns.values())).size < SMALL:
        described = {name: {"unit": said["unit"]} for name, said in described.items()}
    return _table(columns, described)


def replication_table(columns: Columns) -> pa.Table:
    """Return replications.parquet as an Arrow table: every summary number of each policy and replication."""
    return request_table(columns)


def token_table(columns: Columns) -> pa.Table:
    """Return token rows as an Arrow table."""
    return _table(columns, _said(columns, TOKEN_FIELDS))


def series_table(columns: Columns) -> pa.Table:
    """Return series.parquet as an Arrow table: a white-box server by the second."""
    return _table(columns, _said(columns, SERIES_FIELDS))


def _said(columns: Columns, fields: dict[str, tuple[str, str]]) -> dict[str, dict[str, str]]:
    return {name: {"unit": fields[name][0], "description": fields[name][1]} for name in columns}


def endpoint_table(columns: Columns) -> pa.Table:
    """Return endpoints.parquet as an Arrow table: what each endpoint did for each request."""
    described = {name: {"unit": ENDPOINT_FIELDS[name][0], "description": ENDPOINT_FIELDS[name][1]} for name in columns}
    return _table(columns, described)


def _table(columns: Columns, described: dict[str, dict[str, str]]) -> pa.Table:
    import pyarrow as pa

    arrays: list[Any] = []
    fields: list[Any] = []
    for name, values in columns.items():
        array = arrow_array(values)
        arrays.append(array)
        fields.append(pa.field(name, array.type, metadata=described[name]))
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def write_parquet(table: pa.Table, path: Path) -> None:
    """Write a table; the same table gives the same bytes. Arrow itself takes no names that are no UTF-8."""
    from pyarrow import parquet, types

    options: dict[str, Any] = {}
    if table.num_rows < SMALL:
        text = [field.name for field in table.schema if types.is_dictionary(field.type)]
        options = {"use_dictionary": text, "write_statistics": False, "compression_level": SMALL_LEVEL}
    with path.open("wb") as file:
        parquet.write_table(table, file, compression="zstd", row_group_size=ROW_GROUP, **options)
