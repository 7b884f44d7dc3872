"""Hourly API probes through OpenRouter (CSV).

Format: ``hour_utc,model,status,ttft_ms,latency_ms,token_count``, one probe a row.
Origin: github.com/Jwrede/llm-bench-data (CC0 1.0), one day transcribed.
Quirks: an empty ``ttft_ms`` of a success, or 0, means that no content token was seen (reasoning models): such a
probe is neither a failure nor a measurement, it is left out and counted. One-token answers have a TTFT and no TPOT.
Status words other than ``ok`` are failures, counted by word. In some hours the
probe's own name resolution delays or fails the probes; ``hour`` lets the caller leave them out.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from discosim.core.errors import MANY, UserError
from discosim.traces.readers.base import Ints, LatencySeries, Reader
from discosim.traces.readers.latency import series_of_attempts, tpot_of, word_of
from discosim.traces.readers.runs import require_figure, rows_by_name, series_of_runs
from discosim.traces.readers.table import names_of_table, read_table

COLUMNS = ("hour_utc", "model", "status", "ttft_ms", "latency_ms", "token_count")


def matches(head: bytes, path: Path) -> bool:
    """Recognise the six column names."""
    return names_of_table(head, path).issuperset(COLUMNS)


def read(path: Path) -> dict[str, LatencySeries]:
    """Read all models of the file, by name, in the order of the file."""
    table = read_table(path, COLUMNS)
    status, model = table.words("status"), table.words("model")
    ok = np.array([word.lower() == "ok" for word in status], dtype=np.bool_)
    if not ok.any():
        words = ", ".join(list(dict.fromkeys(map(word_of, status)))[:MANY])
        raise UserError(f"no row has the status 'ok'; its words are: {words}", where=table.label)
    hour = table.counts("hour_utc")
    ttft_s = table.numbers("ttft_ms", lowest=0.0, only=ok, blank_ok=True) / 1000.0
    e2e_s = table.numbers("latency_ms", lowest=0.0, only=ok) / 1000.0
    output_tok = table.counts("token_count", only=ok)
    shorter = ok & (e2e_s < ttft_s)
    if shorter.any():
        raise table.error(int(np.argmax(shorter)), "latency_ms", "is below ttft_ms: are they in the same unit?")
    tpot_s = tpot_of(e2e_s, ttft_s, output_tok.astype(np.float64))
    code = np.array([word_of(word) for word in status], dtype=np.object_)

    def series(name: str, mine: Ints) -> LatencySeries:
        if ok[mine].any():
            seen = bool((ttft_s[mine][ok[mine]] > 0).any())
            require_figure(("ttft_ms",), seen, COLUMNS, f"{path} model {name}", what="TTFT")
        return series_of_attempts(
            name,
            "openrouter",
            f"{path} model {name}",
            ttft_s=ttft_s[mine],
            tpot_s=tpot_s[mine],
            is_failed=~ok[mine],
            code=code[mine],
            prompt_tok=None,
            output_tok=output_tok[mine],
            hour=hour[mine],
            unit_s=1e-3,
        )

    runs = {name: partial(series, name, mine) for name, mine in rows_by_name(model).items()}
    return series_of_runs(runs, "openrouter", str(path), word="model")


READER = Reader("openrouter", "hourly API probes through OpenRouter (CSV)", "latency", matches, read)
