"""Mooncake traces, FAST'25 release (JSON lines).

Format: ``{"timestamp": ms, "input_length": tok, "output_length": tok, "hash_ids": [...]}`` a line; Dynamo and AIPerf
add ``session_id``.
Origin: github.com/kvcache-ai/Mooncake, ``FAST25-release/traces`` (Apache-2.0).
Quirks: timestamps are milliseconds, and in the conversation trace they are binned to ticks of about 3 s (0,
3000, 5999, 9000, ...), so 90 % of the gaps are 0. The rule: where at least 90 % of the steps between
distinct stamps agree within 2 ms, and are ten times as long, their median is the tick; otherwise the tick is that of
the finest digit in use, or none where the digits do not end. ``ties: spread`` places requests inside their tick. One
hash id stands for 512 prompt tokens. Time starts at the first request. Bailian's traces have the same keys, seconds,
and ``chat_id``: :mod:`.bailian` reads them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from discosim.core.errors import UserError
from discosim.traces.readers.bailian import CHATS
from discosim.traces.readers.base import PER_S, Floats, Ints, Reader, RequestTrace, TimeUnit
from discosim.traces.readers.clock import finest_tick
from discosim.traces.readers.hashes import hash_ids_of
from discosim.traces.readers.requests import build_requests
from discosim.traces.readers.table import names_of_table, read_table

COLUMNS = ("timestamp", "input_length", "output_length")
BLOCK_TOK = 512
_JITTER_S = 0.002
_COARSE = 10
"""Times the jitter that a tick has at least: steps of a millisecond agree with any tick of one. Source: our choice."""


def tick_of(stamps: Ints | Floats, per_s: int = 1000) -> float:
    """Return the tick of the clock in units of the stamps by the rule in the module's header; 0 where it has none."""
    digit = finest_tick(stamps, per_s)
    steps = np.diff(np.unique(stamps)).astype(np.float64)
    if steps.size < 2:
        return digit
    tick, jitter = float(np.median(steps)), _JITTER_S * per_s
    regular = tick >= _COARSE * jitter and float(np.mean(np.abs(steps - tick) <= jitter)) >= 0.9
    return tick if regular else digit


def matches(head: bytes, path: Path) -> bool:
    """Recognise the keys of the first records, without those of Bailian's traces."""
    keys = names_of_table(head, path)
    return set(COLUMNS) <= keys and not keys.intersection(CHATS)


def read(path: Path, time_unit: TimeUnit = "auto") -> RequestTrace:
    """Read the trace; ``notes['distinct_stamps']`` counts the ticks in use."""
    table = read_table(path, COLUMNS, ("hash_ids", "session_id", *CHATS))
    theirs = [key for key in CHATS if table.has(key)]
    if time_unit == "auto" and theirs:
        raise UserError(
            f"holds {theirs[0]}, as Bailian's traces do, whose timestamps are seconds; "
            "read it with workload.format: bailian, or say workload.time_unit: ms",
            where=str(path),
        )
    stamps = table.ticks("timestamp")
    per_s = PER_S["ms" if time_unit == "auto" else time_unit]
    tick = tick_of(stamps, per_s)
    is_binned = tick > finest_tick(stamps, per_s)
    return build_requests(
        table,
        stamps,
        arrival="timestamp",
        prompt="input_length",
        output="output_length",
        unit="ms",
        time_unit=time_unit,
        tick=tick,
        session="session_id",
        hash_ids=hash_ids_of(table),
        hash_block_tok=BLOCK_TOK,
        notes={
            "format": "mooncake",
            "distinct_stamps": int(np.unique(stamps).size),
            "tick_rule": "median step between distinct stamps" if is_binned else "finest digit in use",
        },
    )


READER = Reader("mooncake", "Mooncake trace, FAST'25 release (JSON lines)", "requests", matches, read, COLUMNS)
