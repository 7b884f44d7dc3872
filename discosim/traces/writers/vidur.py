"""Vidur's processed traces (CSV): ``arrived_at,num_prefill_tokens,num_decode_tokens``, seconds."""

from __future__ import annotations

from pathlib import Path

from discosim.traces.readers.base import RequestTrace
from discosim.traces.readers.vidur import COLUMNS
from discosim.traces.writers.base import Files, Writer, csv_bytes, seconds


def write(trace: RequestTrace, path: Path) -> Files:
    """Return the file."""
    rows = zip(seconds(trace), trace.prompt_tok.tolist(), trace.output_tok.tolist(), strict=True)
    return Files({path: csv_bytes(COLUMNS, rows)})


WRITER = Writer("vidur", "Vidur processed trace (CSV)", "s", frozenset(), (".csv",), write)
