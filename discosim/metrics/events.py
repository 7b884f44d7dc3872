"""Events of arrival: tokens that reach the client together, and how long the next ones take."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discosim.core.timeline import Ragged, offsets_of
from discosim.core.timelines import Timelines
from discosim.metrics.histogram import GapHistogram
from discosim.metrics.reading import row_gaps

Columns = dict[str, NDArray[Any]]
APART_S = 1e-6
"""Tokens that are less apart came together. Source: our choice, far below any clock of a load generator."""


def event_columns(timelines: Timelines, pool: GapHistogram) -> Columns:
    """Return events and the gaps between them of each request, and add the gaps to ``pool``.

    Returns
    -------
    dict of str to array, shape (len(timelines),)
        ``n_events`` (0 where nothing was shown) and ``inter_event_max_s`` (NaN where there is one).
    """
    n = len(timelines)
    columns: Columns = {
        "n_events": np.zeros(n, dtype=np.int64),
        "inter_event_max_s": np.full(n, np.nan),
    }
    shown = np.flatnonzero(timelines.delivered_s.sizes())
    if not shown.size:
        return columns
    delivered = timelines.delivered_s if shown.size == n else timelines.delivered_s.take(shown)
    begins = row_gaps(delivered) > APART_S
    begins[delivered.offsets[:-1]] = True
    n_events = np.add.reduceat(begins, delivered.offsets[:-1], dtype=np.int64)
    events = Ragged(delivered.values[begins], offsets_of(n_events))
    gaps_s = row_gaps(events)
    pool.add(gaps_s, n_padding=shown.size)
    columns["n_events"][shown] = n_events
    longest_s = np.maximum.reduceat(gaps_s, events.offsets[:-1])
    columns["inter_event_max_s"][shown] = np.where(n_events > 1, longest_s, np.nan)
    return columns


def event_numbers(done: Mapping[str, NDArray[Any]], pool: GapHistogram) -> dict[str, float]:
    """Return tokens per event of the finished requests, and the pooled gaps between events; NaN without any."""
    n_events = int(done["n_events"].sum())
    return {
        "event_tok_mean": int(done["output_tok"].sum()) / n_events if n_events else math.nan,
        "inter_event_pooled_p50_s": pool.percentile(50),
        "inter_event_pooled_p99_s": pool.percentile(99),
    }
