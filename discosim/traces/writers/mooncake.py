"""Mooncake traces, FAST'25 release (JSON lines), whole milliseconds.

``hash_ids`` are written where the trace has them and left out elsewhere: invented ones would claim reuse.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from discosim.traces.readers.base import RequestTrace
from discosim.traces.writers.base import Writer, whole_units


def write(trace: RequestTrace, path: Path) -> Mapping[Path, bytes]:
    """Return the file."""
    columns = zip(whole_units(trace, 1000).tolist(), trace.prompt_tok.tolist(), trace.output_tok.tolist(), strict=True)
    lines = []
    for i, (stamp_ms, prompt, output) in enumerate(columns):
        row: dict[str, Any] = {"timestamp": stamp_ms, "input_length": prompt, "output_length": output}
        if trace.hash_ids is not None:
            row["hash_ids"] = trace.hash_ids[i].tolist()
        lines.append(json.dumps(row) + "\n")
    return {path: "".join(lines).encode()}


WRITER = Writer(
    "mooncake",
    "Mooncake trace, FAST'25 release (JSON lines)",
    "whole ms",
    frozenset({"hash_ids"}),
    (".jsonl", ".json"),
    write,
)
