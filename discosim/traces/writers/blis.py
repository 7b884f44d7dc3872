"""TraceV2 of BLIS: a header (YAML) beside the data (CSV), whole microseconds.

Format: github.com/inference-sim/inference-sim, ``sim/workload/tracev2.go`` (commit 0045b72), read by
``blis replay --trace-header NAME.yaml --trace-data NAME.csv``. Nothing was served, so the columns of what was measured
are 0 and the status is ``incomplete``, as BLIS itself writes requests that did not finish. Its prefixes are groups
with one common start; lists of block ids have no place there. A request without a name has an empty cell, which BLIS
takes for a client of no name and for no session.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from discosim.core.errors import UserError
from discosim.traces.readers.base import RequestTrace
from discosim.traces.writers.base import Files, Writer, csv_bytes, new_ties, owners, whole_units

COLUMNS = [
    "request_id",
    "client_id",
    "tenant_id",
    "slo_class",
    "session_id",
    "round_index",
    "prefix_group",
    "prefix_length",
    "streaming",
    "input_tokens",
    "output_tokens",
    "text_tokens",
    "image_tokens",
    "audio_tokens",
    "video_tokens",
    "reason_ratio",
    "model",
    "deadline_us",
    "server_input_tokens",
    "arrival_time_us",
    "send_time_us",
    "first_chunk_time_us",
    "last_chunk_time_us",
    "num_chunks",
    "status",
    "error_message",
    "finish_reason",
]
HEADER_MARK = b"trace_version:"
HEADER = "trace_version: 2\ntime_unit: microseconds\nmode: generated\nwarm_up_requests: 0\n"


def write(trace: RequestTrace, path: Path) -> Files:
    """Return the data and, under the same name with the ending .yaml, the header.

    Raises
    ------
    UserError
        If an arrival is beyond what microseconds count exactly.
    """
    try:
        arrival_us = whole_units(trace, 1_000_000)
    except UserError as error:
        raise UserError(error.message, where=str(path)) from None
    n = len(trace)
    clients, sessions = owners(trace.user_id, n), owners(trace.session_id, n)
    rounds: Counter[str] = Counter()
    rows = []
    for i, (client, session, at_us, prompt, output) in enumerate(
        zip(clients, sessions, arrival_us.tolist(), trace.prompt_tok.tolist(), trace.output_tok.tolist(), strict=True)
    ):
        turn = rounds[session] if session else 0
        rounds[session] += 1
        owner = (i, client, "", "", session, turn, "", 0, "true")
        tokens = (prompt, output, 0, 0, 0, 0, 0, "", 0, 0)
        rows.append((*owner, *tokens, at_us, at_us, 0, 0, 0, "incomplete", "", ""))
    return Files(
        {path: csv_bytes(COLUMNS, rows), path.with_suffix(".yaml"): HEADER.encode()}, new_ties(trace, arrival_us, "us")
    )


WRITER = Writer(
    "blis",
    "TraceV2 of BLIS (CSV, and a YAML header)",
    "whole us",
    frozenset({"session_id", "user_id"}),
    (".csv",),
    write,
)
