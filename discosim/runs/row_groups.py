"""Large tables on their way to a Parquet file: one row group after the other, so that no second copy of all is held."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from discosim.runs.collect import Columns
from discosim.runs.tables import ROW_GROUP, SMALL, request_table, write_parquet

if TYPE_CHECKING:
    import pyarrow as pa

SAMPLE = 4096
"""Rows, evenly spaced, by which a column is judged. Source: our choice."""


def write_requests(columns: Columns, path: Path) -> None:
    """Write requests.parquet.

    Where there are many rows, what hardly repeats is written as it is: to look for repetitions in it takes more than
    half of the time, and makes the file larger.
    """
    if columns["request_id"].size < SMALL:
        write_parquet(request_table(columns), path)
        return
    from pyarrow import parquet

    writer: Any = None
    with path.open("wb") as file:
        try:
            for table in _groups(columns):
                if writer is None:
                    repeating = [name for name, values in columns.items() if repeats(values)]
                    writer = parquet.ParquetWriter(file, table.schema, compression="zstd", use_dictionary=repeating)
                writer.write_table(table, row_group_size=ROW_GROUP)
        finally:
            if writer is not None:
                writer.close()


def repeats(values: NDArray[Any]) -> bool:
    """Tell whether a column has the same values again and again; one that is new in every other row does not."""
    if values.dtype == np.object_:
        return True
    sample = values[:: max(1, values.size // SAMPLE)]
    return bool(np.unique(sample).size <= sample.size // 2)


def _groups(columns: Columns) -> Iterator[pa.Table]:
    """Yield the rows of each group; all have the schema of the first."""
    import pyarrow as pa

    schema: Any = None
    for start in range(0, columns["request_id"].size, ROW_GROUP):
        group = request_table({name: values[start : start + ROW_GROUP] for name, values in columns.items()})
        schema = schema or group.schema
        yield pa.Table.from_arrays(group.columns, schema=schema)
