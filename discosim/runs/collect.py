"""From timelines to columns: metrics are computed in batches while the world runs, so memory stays small."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discosim.core.request import RequestRecord
from discosim.core.timeline import paced
from discosim.core.timelines import Timelines, TimelineWriter
from discosim.metrics.endpoints import endpoint_columns
from discosim.metrics.events import event_columns
from discosim.metrics.histogram import PooledGaps
from discosim.metrics.timeline import BATCH_ROWS, request_columns
from discosim.runs.checks import check_columns, check_complete, check_endpoints, check_timelines
from discosim.runs.placed import Placed, joined
from discosim.world.meter import Meter

Columns = dict[str, NDArray[Any]]
BATCH = BATCH_ROWS  # sums over requests are taken batch by batch
AT_ONCE = 10 * BATCH
"""Requests that are checked and turned into columns together, enough to hide the cost of a call to numpy."""

MOST_TOK = 1 << 19
"""Tokens up to which they are: 4 MB for each array of times."""


ENOUGH = 1000
"""Rows that are put in their places together, at least."""


def rows_together(n_rows: int, n_tok: int, rows_each: int = BATCH) -> int:
    """Return how many of some requests are worked on together: whole batches of ``rows_each``, ten at most."""
    n_fit = MOST_TOK * n_rows // max(1, n_tok * rows_each)
    return rows_each * max(1, min(n_fit, AT_ONCE // BATCH))


def join_columns(parts: list[Columns], order: NDArray[np.int64] | None = None) -> Columns:
    """Join columns and sort their rows; the parts are emptied on the way, so that nothing is held twice."""
    found: Columns = {}
    for name in list(parts[0]):
        values = joined([part.pop(name) for part in parts])
        found[name] = values if order is None else values[order]
    return found


@dataclass
class Collector:
    """Takes what happened to the requests of one policy in one replication and turns it into columns.

    The world hands over a record at a time; who holds timelines gives them to :meth:`take`.

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
    meters : mapping of str to Meter
        Prices of every service, where there are several; what each endpoint did is checked and kept then.
    has_chunks : bool
        Whether a service sends in chunks; events of arrival are told apart from tokens then.
    n_requests : int, optional
        How many will come, where that is known: rows are put in their places as they come, and nothing is held twice.

    Notes
    -----
    What does not depend on the order of sums is worked out for ``AT_ONCE`` requests together: enough to hide the cost
    of a call to numpy.
    """

    policy: str
    meter: Meter
    pacer: bool
    keep_tokens_of: range
    meters: Mapping[str, Meter] = field(default_factory=dict)
    has_chunks: bool = False
    n_requests: int | None = None
    gaps: PooledGaps = field(default_factory=PooledGaps)
    _writer: TimelineWriter = field(default_factory=TimelineWriter)
    _parts: list[Columns] = field(default_factory=list)
    _placed: Placed | None = None
    _put_ids: list[NDArray[np.int64]] = field(default_factory=list)
    _kept: list[Timelines] = field(default_factory=list)
    _by_endpoint: list[Columns] = field(default_factory=list)

    def __call__(self, record: RequestRecord) -> None:
        """Take one record."""
        if self._writer.add(record) == BATCH:
            self.take(self._writer.take())

    def take(self, timelines: Timelines) -> None:
        """Check requests, in the order in which they ended, and compute their columns batch by batch."""
        n_tok = timelines.delivered_s.values.size
        rows_each = BATCH if self.has_chunks else rows_together(len(timelines), n_tok)
        for start in range(0, len(timelines), rows_each):
            end = min(start + rows_each, len(timelines))
            self._take_batch(timelines if end - start == len(timelines) else timelines.part(start, end))

    def _take_batch(self, timelines: Timelines) -> None:
        check_timelines(timelines, self.policy)
        columns = request_columns(timelines, pacer=self.pacer, gaps=self.gaps)
        if self.has_chunks:
            columns |= event_columns(timelines, self.gaps.events)
        server_usd = None
        if self.meters:
            server_usd = check_endpoints(columns, timelines, self.meters, self.policy)
            self._by_endpoint.append(endpoint_columns(timelines))
        check_columns(columns, self.meter, self.policy, server_usd)
        self._parts.append(columns)
        if self.n_requests is not None and sum(part["request_id"].size for part in self._parts) >= ENOUGH:
            self._put(self.n_requests)
        if self.keep_tokens_of:
            self._keep(timelines)

    def _put(self, n_requests: int) -> None:
        """Put the rows of the parts in their places; that each comes once is checked at the end."""
        if not self._parts:
            return
        ids = np.concatenate([part["request_id"] for part in self._parts])
        self._put_ids.append(ids)
        if self._placed is None:
            self._placed = Placed(n_requests)
        self._placed.put(ids, join_columns(self._parts))
        self._parts.clear()

    def _keep(self, timelines: Timelines) -> None:
        ids, wanted = timelines["request_id"], self.keep_tokens_of
        is_kept = (ids >= wanted.start) & (ids < wanted.stop) & (timelines.delivered_s.sizes() > 0)
        if is_kept.any():
            self._kept.append(timelines.take(np.flatnonzero(is_kept)))

    def columns(self, n_requests: int) -> Columns:
        """Return all columns in request order, and check that no request is missing."""
        self.take(self._writer.take())
        if self.n_requests is not None and n_requests == self.n_requests > 0:
            self._put(n_requests)
            check_complete(np.concatenate(self._put_ids), n_requests, self.policy)
            assert self._placed is not None  # that all have come says so
            return self._placed.columns()
        request_ids = np.concatenate([part["request_id"] for part in self._parts])
        check_complete(request_ids, n_requests, self.policy)
        order = np.argsort(request_ids, kind="stable")
        return join_columns(self._parts, order)

    def endpoints(self) -> Columns:
        """Return what each endpoint did, by request and name; no columns where there is one service.

        Ask for :meth:`columns` first, which takes the last rows.
        """
        if not self.meters:
            return {}
        joined = join_columns(self._by_endpoint)
        order = np.lexsort((joined["endpoint"].astype(str), joined["request_id"]))
        return {name: column[order] for name, column in joined.items()}

    def tokens(self) -> Columns:
        """Return the token rows kept, in request order.

        Columns: request_id, token_index (from 1), endpoint, generated_s, delivered_s, displayed_s; times are
        seconds since the start of the replication.
        """
        kept = Timelines.joined(self._kept)
        kept = kept.take(np.argsort(kept["request_id"], kind="stable"))
        delivered = kept.delivered_s
        shown = paced(delivered, 1.0 / kept["reader_tok_per_s"]) if self.pacer else delivered
        shown_s = shown.values.copy()
        shown_s[np.repeat(kept.paced_s.sizes() > 0, delivered.sizes())] = kept.paced_s.values
        return {
            "request_id": np.repeat(kept["request_id"], delivered.sizes()),
            "token_index": delivered.token_index() + 1,
            "endpoint": np.repeat(kept.segments.names(), kept.segments.n_tok()),
            "generated_s": kept.generated_s.values,
            "delivered_s": delivered.values,
            "displayed_s": shown_s,
        }
