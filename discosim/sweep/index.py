"""index.parquet: the table of a sweep, with a hash of its own bytes inside, by which a damaged one is known."""

from __future__ import annotations

import hashlib
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING

from discosim.sweep.store import INDEX, Store

if TYPE_CHECKING:
    import pandas as pd

_KEY = b"discosim.file_sha256"
_BLANK = b"0" * 64
_SEAL = re.compile(_KEY + rb".{1,8}?([0-9a-f]{64})", re.DOTALL)
"""Where the hash stands: in the footer, which is not compressed. It is that of the file with zeros in this place."""


def write_index(store: Store, table: pd.DataFrame) -> None:
    """Write index.parquet; the same runs give the same bytes."""
    import pyarrow as pa
    from pyarrow import parquet

    bare = table.copy(deep=False)
    bare.attrs = {}  # pandas copies them for each column
    arrow = pa.Table.from_pandas(bare, preserve_index=False).replace_schema_metadata(None)
    with store.replacing(INDEX) as part:
        with part.open("wb") as file, parquet.ParquetWriter(file, arrow.schema, compression="zstd") as writer:
            writer.write_table(arrow)
            writer.add_key_value_metadata({_KEY.decode(): _BLANK.decode()})
        content = part.read_bytes()
        start, end = _seal(content)
        part.write_bytes(content[:start] + hashlib.sha256(content).hexdigest().encode() + content[end:])


def read_index(folder: Path) -> pd.DataFrame | None:
    """Return the table of a sweep as it was written; None where there is none, or its bytes have changed since."""
    import pandas as pd

    try:
        content = (folder / INDEX).read_bytes() if (folder / INDEX).is_file() else b""
    except OSError:
        return None
    start, end = _seal(content)
    if hashlib.sha256(content[:start] + _BLANK + content[end:]).hexdigest().encode() != content[start:end]:
        return None
    return pd.read_parquet(io.BytesIO(content))


def _seal(content: bytes) -> tuple[int, int]:
    """Return where the hash begins and ends; an empty place where there is none."""
    found = _SEAL.search(content, max(0, content.rfind(_KEY)))
    return found.span(1) if found else (0, 0)
