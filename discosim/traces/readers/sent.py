"""The load of a load test: which of its requests were sent when, for those that may be replayed."""

from __future__ import annotations

import numpy as np

from discosim.core.errors import UserError
from discosim.traces.readers.base import Ints, LatencySeries, RequestTrace
from discosim.traces.readers.clock import finest_tick


def sent_rows(series: LatencySeries, where: str) -> tuple[Ints, tuple[str, ...]]:
    """Return the successes with lengths and a time of sending, in its order, and what to say of the others.

    Raises
    ------
    UserError
        If there is none.

    Notes
    -----
    Failures are left out: a load generator does not say how many tokens they took.
    """
    assert series.start_s is not None
    if series.prompt_tok is None or series.output_tok is None:
        raise UserError(f"{series.group}: it has no lengths of prompts and answers", where=where)
    start_s = series.start_s[series.attempt]
    rows = np.flatnonzero(np.isfinite(start_s) & (series.prompt_tok > 0) & (series.output_tok > 0))
    if not rows.size:
        raise UserError(f"{series.group}: no request has prompt and output tokens and a time of sending", where=where)
    n, n_failed = series.is_failed.size, int(series.is_failed.sum())
    told = (
        f"{n - rows.size:,} of {n:,} requests are left out of the load: {n_failed:,} failed, of the others lengths or "
        "times are missing."
    )
    # of those that were sent at one moment, the server took first whose first token came first
    return rows[np.lexsort((series.ttft_s[rows], start_s[rows]))], (told,) if rows.size < n else ()


def load_of(series: LatencySeries, reader: str, where: str) -> RequestTrace:
    """Return a load test as requests, sent when they were sent.

    Raises
    ------
    UserError
        As `sent_rows`.
    """
    rows, told = sent_rows(series, where)
    assert series.start_s is not None
    assert series.prompt_tok is not None
    assert series.output_tok is not None
    start_s = series.start_s[series.attempt[rows]]
    arrival_s = start_s - start_s[0]
    return RequestTrace(
        arrival_s=arrival_s,
        prompt_tok=series.prompt_tok[rows],
        output_tok=series.output_tok[rows],
        source_row=series.attempt[rows] + 1,
        notes={
            "format": reader,
            "rows": int(series.is_failed.size),
            "dropped_failed": int(series.is_failed.sum()),
            "dropped_zero_tok": 0,
            "tick_s": finest_tick(arrival_s, 1),
            "tied": int(np.sum(np.diff(arrival_s) == 0)),
            "ties": "keep",
        },
        warnings=(*series.warnings, *told),
    )
