"""Requests whose times are known, and files in which a server logs them."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Row = dict[str, Any]
EPOCH_S, UPTIME_S = 1_777_142_838.25, 479_748.5


def truth(n: int = 30) -> list[dict[str, float]]:
    """Return requests in ms from zero, whole numbers throughout."""
    luck = random.Random(5)
    found, at_ms = [], 0
    for i in range(n):
        at_ms += luck.randrange(1, 400)
        tokens = luck.randrange(2, 90)
        wait_ms, prefill_ms = luck.randrange(0, 900), luck.randrange(20, 300)
        row = {"queued": at_ms, "scheduled": at_ms + wait_ms, "first": at_ms + wait_ms + prefill_ms}
        found.append({**row, "last": row["first"] + 30 * (tokens - 1), "prompt": 100 + i, "output": tokens})
    return found


def logged(
    rows: list[dict[str, float]], *, per_ms: float = 1e-3, zero: float = UPTIME_S, whole: bool = False
) -> list[Row]:
    """Return rows as vLLM logs them: a client's Unix time, and stamps of another clock in the given unit."""
    shift = zero * 1000.0 * per_ms

    def stamp(at_ms: float) -> float:
        return round(shift) + int(at_ms * per_ms) if whole else shift + at_ms * per_ms

    return [
        {
            "request_id": f"bench-{i}",
            "input_toks": row["prompt"],
            "output_toks": row["output"],
            "arrival_time": EPOCH_S + row["queued"] / 1000.0 - 0.02,
            "queued_ts": stamp(row["queued"]),
            "scheduled_ts": stamp(row["scheduled"]),
            "first_token_ts": stamp(row["first"]),
            "last_token_ts": stamp(row["last"]),
        }
        for i, row in enumerate(rows)
    ]


def lines(folder: Path, rows: list[Row], name: str = "server.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def table(folder: Path, rows: list[Row], name: str = "server.csv") -> Path:
    path = folder / name
    keys = list(rows[0])
    cells = [",".join("" if row[key] is None else repr(row[key]).strip("'") for key in keys) for row in rows]
    path.write_text("\n".join([",".join(keys), *cells]) + "\n", encoding="utf-8")
    return path


def of_durations(row: Mapping[str, float]) -> Row:
    return {
        "arrival_s": row["queued"] / 1000.0,
        "prompt_tokens": row["prompt"],
        "completion_tokens": row["output"],
        "ttft_ms": row["first"] - row["queued"],
        "queue_time_ms": row["scheduled"] - row["queued"],
        "e2e_latency_s": (row["last"] - row["queued"]) / 1000.0,
    }
