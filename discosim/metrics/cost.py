"""Columns that are counted rather than timed: who the request was, which endpoint worked, what it cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discosim.core.timeline import Ints
from discosim.core.timelines import SCALARS, Segments, Timelines
from discosim.metrics.request_definitions import REQUEST_METRICS

ROLES = ("device", "server", "edge")

_COPIED = tuple(m.name for m in REQUEST_METRICS if m.name in SCALARS)
"""Columns that stand in the timelines as they are."""


def cost_columns(timelines: Timelines) -> dict[str, NDArray[Any]]:
    """Return identity, endpoint, meter and cost columns, shape (len(timelines),) each; O(rows).

    ``n_tok_device``, ``n_tok_server`` and ``n_tok_edge`` count shown tokens by the role of their producer,
    ``n_migrations`` the hand-overs between segments of one answer.
    """
    segments = timelines.segments
    n_segments = np.diff(segments.offsets)
    columns = {name: timelines[name] for name in _COPIED}
    columns |= {f"n_tok_{role}": _shown_by(role, segments) for role in ROLES}
    columns["n_migrations"] = np.maximum(n_segments - 1, 0)
    return columns


def _shown_by(role: str, segments: Segments) -> Ints:
    """Return how many shown tokens of each row the endpoints of a role produced."""
    n_rows = segments.offsets.size - 1
    mine = segments.is_role(role)
    if not mine.any():
        return np.zeros(n_rows, dtype=np.int64)
    n_tok = np.bincount(segments.row_of_each()[mine], weights=segments.n_tok()[mine], minlength=n_rows)
    return n_tok.astype(np.int64)  # floats hold these sums exactly


def budget_used(columns: Mapping[str, NDArray[Any]], endpoint: str) -> float:
    """Return the share of prompt tokens that ``endpoint`` (device or server) was asked to prefill.

    Prompt tokens of requests dispatched to the endpoint before their first token, over the prompt tokens
    of all served (non-rejected) requests; in [0, 1], NaN where none was served.

    Source: DiSCo (arXiv 2502.11417), budget constraint: the budget counts prompt tokens processed by the
    scarce endpoint.
    """
    served = columns["status"] != "rejected"
    prompt = columns["prompt_tok"][served]
    dispatched = columns[f"is_{endpoint}_dispatched"][served]
    total = int(prompt.sum())
    return float(prompt[dispatched].sum() / total) if total else float("nan")
