"""What each endpoint did for each request: the rows of endpoints.parquet, where several names share a role."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from discosim.core.timeline import Ints
from discosim.core.timelines import Timelines

ENDPOINT_FIELDS: dict[str, tuple[str, str]] = {
    "policy": ("", "Name of the policy in the scenario."),
    "replication": ("", "Index of the replication, from 0."),
    "request_id": ("", "Index of the request in its replication, from 0."),
    "endpoint": ("", "Name by which the policy asked for it."),
    "role": ("", "Whose columns of requests.parquet it adds to: device, server or edge."),
    "is_dispatched": ("", "Whether it was asked, and did not refuse, before the answer was decided."),
    "n_streams": ("", "Streams that it was asked for, refused ones included; an answer in parts is one."),
    "prompt_tok": ("tok", "Prompt tokens that it processed; fractional where a device's prefill was cut short."),
    "output_tok": ("tok", "Tokens that it generated, shown or not."),
    "n_tok_shown": ("tok", "Tokens of the answer that it generated and the reader was shown."),
    "cost_usd": ("USD", "What it charges, at its own prices."),
    "energy_j": ("J", "Energy that counts beside its price: a device's for computing, and that of an edge tier."),
    "n_preemptions": ("", "Preemptions; 0 where nobody can look inside, as in the next two."),
    "gpu_s": ("s", "The request's share of GPU time."),
    "kv_tok_s": ("tok s", "KV tokens held, times seconds."),
}
"""Unit and meaning of the columns of endpoints.parquet; a row for each endpoint that was asked for a request."""


def endpoint_columns(timelines: Timelines) -> dict[str, NDArray[Any]]:
    """Return a row for each request and endpoint that was asked, but for the policy and the replication.

    Empty where each role has one name.
    """
    work = timelines.work
    known: dict[str, NDArray[Any]] = {
        "request_id": timelines["request_id"][work.row_of_each()],
        "endpoint": work.names().astype(object),
        "role": work.role_of_each().astype(object),
        "n_tok_shown": shown_by_name(timelines),
        **work.amounts,
    }
    return {name: known[name] for name in ENDPOINT_FIELDS if name in known}


def shown_by_name(timelines: Timelines) -> Ints:
    """Return how many shown tokens each endpoint generated, one number for each entry of ``timelines.work``."""
    work, segments = timelines.work, timelines.segments
    n_rows, row = len(timelines), work.row_of_each()
    shown = np.zeros(len(work), dtype=np.int64)
    for code, name in enumerate(work.endpoints):
        if name in segments.endpoints:
            is_mine = segments.code == segments.endpoints.index(name)
            n_tok = np.bincount(segments.row_of_each()[is_mine], weights=segments.n_tok()[is_mine], minlength=n_rows)
            mine = work.code == code
            shown[mine] = n_tok[row[mine]].astype(np.int64)  # floats hold these sums exactly
    return shown
