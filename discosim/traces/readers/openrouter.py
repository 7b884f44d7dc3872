"""Hourly API probes through OpenRouter (CSV).

Format: ``hour_utc,model,status,ttft_ms,latency_ms,token_count``, one probe a row.
Origin: github.com/Jwrede/llm-bench-data (CC0 1.0), one day transcribed.
Quirks: an empty ``ttft_ms`` of a success means that no content token was seen (reasoning models): such a
probe is neither a failure nor a measurement, it is left out and counted; the same holds for one-token
answers, which have no TPOT. Status words other than ``ok`` are failures, counted by word. In some hours the
probe's own name resolution delays or fails the probes; ``hour`` lets the caller leave them out.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from discosim.traces.readers.base import LatencySeries, Reader
from discosim.traces.readers.latency import tpot_of
from discosim.traces.readers.source import read_bytes
from discosim.traces.readers.table import header_of, read_csv

COLUMNS = ("hour_utc", "model", "status", "ttft_ms", "latency_ms", "token_count")


def matches(head: bytes, _path: Path) -> bool:
    """Recognise the six column names."""
    return set(COLUMNS) <= set(header_of(head))


def read(path: Path) -> dict[str, LatencySeries]:
    """Read all models of the file, by name, in the order of the file."""
    table = read_csv(read_bytes(path), path, COLUMNS)
    status, model = table.words("status"), table.words("model")
    ok = status == "ok"
    seen = ok & ~table.columns["ttft_ms"].blank()
    hour = table.counts("hour_utc")
    ttft_s = table.numbers("ttft_ms", lowest=0.0, only=seen) / 1000.0
    e2e_s = table.numbers("latency_ms", lowest=0.0, only=ok) / 1000.0
    output_tok = table.counts("token_count", only=ok)
    shorter = seen & (e2e_s < ttft_s)
    if shorter.any():
        raise table.error(int(np.argmax(shorter)), "latency_ms", "is below ttft_ms")
    tpot_s = tpot_of(e2e_s, ttft_s, output_tok.astype(np.float64))
    measured = seen & np.isfinite(tpot_s)
    groups: dict[str, LatencySeries] = {}
    for name in dict.fromkeys(model.tolist()):
        mine = model == name
        good = mine & measured
        words, counts = np.unique(status[mine & ~ok].astype(np.str_), return_counts=True)
        groups[name] = LatencySeries(
            group=name,
            ttft_s=ttft_s[good],
            tpot_s=tpot_s[good],
            attempt=np.flatnonzero(measured[mine]),
            is_failed=~ok[mine],
            output_tok=output_tok[good],
            hour=hour[good],
            notes={
                "format": "openrouter",
                "attempts": int(mine.sum()),
                "failed": int((mine & ~ok).sum()),
                "dropped_no_ttft": int((mine & ok & ~seen).sum()),
                "dropped_no_tpot": int((mine & seen & ~measured).sum()),
                **{f"failed_{word}": int(n) for word, n in zip(words, counts, strict=True)},
            },
        )
    return groups


READER = Reader("openrouter", "hourly API probes through OpenRouter (CSV)", "latency", matches, read)
