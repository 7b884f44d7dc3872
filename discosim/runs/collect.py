"""From records to columns: metrics are computed in batches while the world runs, so memory stays small."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discosim.core.request import RequestRecord
from discosim.core.timeline import Ragged, paced
from discosim.metrics.histogram import PooledGaps
from discosim.metrics.timeline import request_columns
from discosim.runs.checks import check_columns, check_complete, check_records
from discosim.world.meter import Meter

Columns = dict[str, NDArray[Any]]
BATCH = 200  # a few hundred kB of tokens: the arrays stay in the processor's cache


def join_columns(parts: list[Columns], order: NDArray[np.int64] | None = None) -> Columns:
    """Join columns and sort their rows; the parts are emptied on the way, so that nothing is held twice."""
    joined: Columns = {}
    for name in list(parts[0]):
        values = np.concatenate([part.pop(name) for part in parts])
        joined[name] = values if order is None else values[order]
    return joined


@dataclass
class Collector:
    """Takes the records of one policy in one replication and turns them into columns.

    Parameters
    ----------
    policy : str
        Name of the policy, for messages.
    meter : Meter
        Prices, to check the bills.
    pacer : bool
        Whether the client paces tokens.
    keep_tokens_of : range
        Request ids whose token rows are kept; all of them with ``--tokens``, else the first few.
    """

    policy: str
    meter: Meter
    pacer: bool
    keep_tokens_of: range
    gaps: PooledGaps = field(default_factory=PooledGaps)
    _batch: list[RequestRecord] = field(default_factory=list)
    _parts: list[Columns] = field(default_factory=list)
    _kept: list[RequestRecord] = field(default_factory=list)

    def __call__(self, record: RequestRecord) -> None:
        """Take one record."""
        self._batch.append(record)
        if len(self._batch) == BATCH:
            self._flush()

    def _flush(self) -> None:
        if not self._batch:
            return
        check_records(self._batch, self.policy)
        columns = request_columns(self._batch, pacer=self.pacer, gaps=self.gaps)
        check_columns(columns, self.meter, self.policy)
        self._parts.append(columns)
        self._kept.extend(r for r in self._batch if r.request_id in self.keep_tokens_of and r.delivered_s.size)
        self._batch = []

    def columns(self, n_requests: int) -> Columns:
        """Return all columns in request order, and check that no request is missing."""
        self._flush()
        request_ids = np.concatenate([part["request_id"] for part in self._parts])
        check_complete(request_ids, n_requests, self.policy)
        order = np.argsort(request_ids, kind="stable")
        return join_columns(self._parts, order)

    def tokens(self) -> Columns:
        """Return the token rows kept, in request order.

        Columns: request_id, token_index (from 1), endpoint, generated_s, delivered_s, displayed_s; times are
        seconds since the start of the replication.
        """
        records = sorted(self._kept, key=lambda r: r.request_id)
        delivered = Ragged.of([r.delivered_s for r in records])
        rates = np.array([r.reader_tok_per_s for r in records])
        shown = paced(delivered, 1.0 / rates) if self.pacer and records else delivered
        if any(record.paced_s.size for record in records):
            own = [record.paced_s if record.paced_s.size else shown.row(i) for i, record in enumerate(records)]
            shown = Ragged.of(own)
        endpoints = [
            np.repeat([s.endpoint for s in r.segments], [s.last_token - s.first_token + 1 for s in r.segments])
            for r in records
        ]
        return {
            "request_id": np.repeat(np.array([r.request_id for r in records], dtype=np.int64), delivered.sizes()),
            "token_index": delivered.token_index() + 1,
            "endpoint": np.concatenate(endpoints) if endpoints else np.empty(0, dtype="<U6"),
            "generated_s": Ragged.of([r.generated_s for r in records]).values,
            "delivered_s": delivered.values,
            "displayed_s": shown.values,
        }
