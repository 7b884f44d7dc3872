"""Request traces of splitwise-sim (CSV), seconds.

Format: as :mod:`discosim.traces.readers.splitwise`. ``request_type`` is 2 (LLM inference), ``application_id`` 0 and
``batch_size`` 1, as its own generator writes them (github.com/Mutinifni/splitwise-sim, ``generate_trace.py``).
"""

from __future__ import annotations

from pathlib import Path

from discosim.traces.readers.base import RequestTrace
from discosim.traces.writers.base import Files, Writer, csv_bytes, seconds

COLUMNS = (
    "request_id",
    "request_type",
    "application_id",
    "arrival_timestamp",
    "batch_size",
    "prompt_size",
    "token_size",
)
LLM_INFERENCE, APPLICATION, BATCH = 2, 0, 1


def write(trace: RequestTrace, path: Path) -> Files:
    """Return the file."""
    columns = zip(seconds(trace), trace.prompt_tok.tolist(), trace.output_tok.tolist(), strict=True)
    rows = [
        (i, LLM_INFERENCE, APPLICATION, arrival, BATCH, prompt, output)
        for i, (arrival, prompt, output) in enumerate(columns)
    ]
    return Files({path: csv_bytes(COLUMNS, rows)})


WRITER = Writer("splitwise", "splitwise-sim request trace (CSV)", "s", frozenset(), (".csv",), write)
