"""Columns that are counted rather than timed: who the request was, which endpoint worked, what it cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discosim.core.request import RequestRecord
from discosim.metrics.request_definitions import REQUEST_METRICS

_NUMBERS = {"int64": np.int64, "float64": np.float64, "bool": np.bool_}
_COPIED = tuple(m for m in REQUEST_METRICS if m.name in RequestRecord.__slots__)
"""Columns that stand in the record as they are."""


def text_column(records: Sequence[RequestRecord], name: str) -> NDArray[np.object_]:
    """Return a text field of all records as an object array."""
    column = np.empty(len(records), dtype=object)
    column[:] = list(map(attrgetter(name), records))
    return column


def cost_columns(records: Sequence[RequestRecord]) -> dict[str, NDArray[Any]]:
    """Return identity, endpoint, meter and cost columns, shape (len(records),) each; O(records).

    ``n_tok_device``, ``n_tok_server`` and ``n_tok_edge`` count shown tokens by their producer, ``n_migrations`` the
    hand-overs between segments of one answer.
    """
    n = len(records)
    columns: dict[str, NDArray[Any]] = {}
    for metric in _COPIED:
        if metric.dtype == "string":
            columns[metric.name] = text_column(records, metric.name)
        else:
            values = map(attrgetter(metric.name), records)
            columns[metric.name] = np.fromiter(values, dtype=_NUMBERS[metric.dtype], count=n)
    by_device, by_server, by_edge = [], [], []
    for record in records:
        shown = {"device": 0, "server": 0, "edge": 0}
        for segment in record.segments:
            shown[segment.endpoint] += segment.last_token - segment.first_token + 1
        by_device.append(shown["device"])
        by_server.append(shown["server"])
        by_edge.append(shown["edge"])
    columns["n_tok_device"] = np.array(by_device, dtype=np.int64)
    columns["n_tok_server"] = np.array(by_server, dtype=np.int64)
    columns["n_tok_edge"] = np.array(by_edge, dtype=np.int64)
    columns["n_migrations"] = np.fromiter((max(len(r.segments) - 1, 0) for r in records), dtype=np.int64, count=n)
    return columns


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
