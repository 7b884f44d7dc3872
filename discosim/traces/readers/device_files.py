"""Files of one device's speed: a user's own rows, llama-bench's results, llama.cpp's timings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from discosim.core.errors import UserError, close_match
from discosim.traces.mapping import NO_NAMES
from discosim.traces.readers import llama_bench, llama_server
from discosim.traces.readers.device_rows import DeviceRows
from discosim.traces.readers.device_table import read_device_table
from discosim.traces.readers.foreign import PARQUET
from discosim.traces.readers.source import read_head, require_file
from discosim.traces.readers.table import is_markdown
from discosim.traces.readers.units import AUTO

ROWS = "rows"
FORMATS = (ROWS, llama_bench.NAME, llama_server.NAME)


def read_device_rows(
    path: Path,
    *,
    format: str = "auto",  # noqa: A002 (the word users type)
    mapping: Mapping[str, str] = NO_NAMES,
    unit: str = AUTO,
    chars_per_tok: float | None = None,
) -> dict[str, DeviceRows]:
    """Read a file of one device's speed, by what ran on what.

    Parameters
    ----------
    path : Path
        The file, plain or packed.
    format : str
        One of `FORMATS`; ``auto`` looks at the file.
    mapping, unit, chars_per_tok
        As in `read_device_table`; the formats of llama.cpp need none.

    Raises
    ------
    UserError
        If it cannot be read, or a column is missing or wrong.
    """
    require_file(path)
    if format not in ("auto", *FORMATS):
        raise UserError(f"unknown format of a device's rows {format!r}; {close_match(format, ('auto', *FORMATS))}")
    if format == "auto":
        head = read_head(path)
        format = ROWS  # noqa: A001 (as above)
        if not head.startswith(PARQUET) and not mapping:
            format = next((r.NAME for r in (llama_bench, llama_server) if r.matches(head)), ROWS)  # noqa: A001
        if format == ROWS and is_markdown(head):
            raise UserError(
                "is a table of Markdown and none of llama-bench (test, t/s); write it as CSV", where=str(path)
            )
    if format == ROWS:
        return read_device_table(path, mapping, unit, chars_per_tok)
    if mapping:
        raise UserError(f"has a meaning only for rows of your own, not for {format}", where="--map")
    if unit != AUTO:
        raise UserError(f"names its units itself, so they cannot be said to be {unit}", where=str(path))
    return llama_bench.read(path) if format == llama_bench.NAME else llama_server.read(path)
