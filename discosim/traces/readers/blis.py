"""TraceV2 of BLIS (CSV, with a YAML header beside it).

Format: 27 columns or more, among them ``client_id, session_id, prefix_group, prefix_length, input_tokens,
output_tokens, server_input_tokens, arrival_time_us, status``; the header has the name of the data with the ending
``.yaml`` and says ``time_unit: microseconds``.
Origin: github.com/inference-sim/inference-sim, ``sim/workload/tracev2.go, replay.go`` (Apache-2.0, commit 0045b72).
Quirks: a prompt is the common start of its group plus ``input_tokens``; without a group the server's own count holds
where it was recorded, as ``blis replay`` does it. ``client_id`` becomes ``user_id``. Rows whose status is ``error``
are dropped and counted; rows are sorted by arrival. Time starts at the first request. The header may be missing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from discosim.core.errors import UserError
from discosim.traces.readers.base import Ints, Notes, Reader, RequestTrace, TimeUnit
from discosim.traces.readers.columns import JsonColumn
from discosim.traces.readers.requests import build_requests
from discosim.traces.readers.source import one_line
from discosim.traces.readers.table import Table, names_of_table, read_table

COLUMNS = ("arrival_time_us", "input_tokens", "output_tokens")
_OPTIONAL = ("client_id", "session_id", "prefix_group", "prefix_length", "server_input_tokens", "status")
_MICROSECONDS = {"microseconds", "us", "µs"}
_VERSIONS = {2, 3}
_HEADER_BYTES = 2**20


def matches(head: bytes, path: Path) -> bool:
    """Recognise the three column names that matter."""
    return names_of_table(head, path).issuperset(COLUMNS)


def read(path: Path, time_unit: TimeUnit = "auto") -> RequestTrace:
    """Read the trace; ``notes['header']`` says whether there was one."""
    notes = {"format": "blis", **_header(path)}
    table = read_table(path, COLUMNS, _OPTIONAL)
    ticks, prompt_tok = table.ticks("arrival_time_us"), _prompts(table)
    order = np.argsort(ticks, kind="stable")
    names = [name for name in ("client_id", "session_id", "status") if table.has(name)]
    columns = {name: JsonColumn(table.words(name)[order].tolist()) for name in (*COLUMNS, *names)}
    columns["input_tokens"] = JsonColumn(prompt_tok[order].tolist())
    columns["output_tokens"] = JsonColumn(table.counts("output_tokens")[order].tolist())
    sorted_table = Table(table.label, columns, table.lines[order])
    status = sorted_table.words("status") if table.has("status") else None
    return build_requests(
        sorted_table,
        ticks[order],
        arrival="arrival_time_us",
        prompt="input_tokens",
        output="output_tokens",
        unit="us",
        time_unit=time_unit,
        failed=None if status is None else status == "error",
        session="session_id",
        user="client_id",
        notes={**notes, "sorted": int(np.sum(np.diff(ticks) < 0))},
    )


def _prompts(table: Table) -> Ints:
    """Return the whole prompts, as ``blis replay`` puts them together."""
    own_tok = table.counts("input_tokens")
    grouped = table.words("prefix_group") != "" if table.has("prefix_group") else np.zeros(len(table), dtype=np.bool_)
    prefix_tok = table.counts("prefix_length") if table.has("prefix_length") else np.zeros_like(own_tok)
    served_tok = table.counts("server_input_tokens") if table.has("server_input_tokens") else np.zeros_like(own_tok)
    return np.where(grouped, own_tok + prefix_tok, np.where(served_tok > 0, served_tok, own_tok))


def _header(path: Path) -> Notes:
    """Return what the header beside the data says, and check that it means the same unit."""
    import yaml

    place = path.with_suffix(".yaml")
    if not place.is_file():
        return {"header": "none"}
    try:
        with place.open("rb") as file:
            said: Any = yaml.safe_load(file.read(_HEADER_BYTES))
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise UserError(f"the header cannot be read ({one_line(error)[:120]})", where=str(place)) from None
    if not isinstance(said, dict) or "trace_version" not in said:
        return {"header": "none"}
    if said["trace_version"] not in _VERSIONS:
        raise UserError(f"trace_version {said['trace_version']!r} is not known; expected 2 or 3", where=str(place))
    unit = said.get("time_unit", "microseconds")
    if unit not in _MICROSECONDS:
        raise UserError(f"expected time_unit: microseconds, got {unit!r}", where=str(place))
    return {"header": place.name, "mode": str(said.get("mode", "")), "warm_up": str(said.get("warm_up_requests", 0))}


READER = Reader("blis", "TraceV2 of BLIS (CSV, with a YAML header beside it)", "requests", matches, read, COLUMNS)
