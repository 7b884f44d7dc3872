"""Requests that go to a white-box server and nowhere else, from arrivals to timelines without a process of their own.

What a session would do with the engine's answer is arithmetic then: the way up, the way down, the bill. Records come in
the order in which their sessions would have ended, since sums over them depend on it; so the moments of events are made
here as SimPy makes them, ``now + (t - now)``, and their ties broken as it breaks them.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discosim.core.request import RequestTable, Segment
from discosim.core.timeline import Ragged, offsets_of
from discosim.core.timelines import SCALARS, Segments, Timelines
from discosim.core.works import Works
from discosim.world.batch.flat import Rows, kept_in_order
from discosim.world.engine.engine import EngineModel
from discosim.world.engine.unattended import Arrivals, Served
from discosim.world.link import BYTES_PER_TOK, Link
from discosim.world.meter import Meter
from discosim.world.quality import QualityModel
from discosim.world.rounding import raised
from discosim.world.writing import Writing

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

PLAIN = Writing()
NORMAL, LATE = 1.0, 2.0  # priorities of events within a moment: a boundary comes after all else


@dataclass(frozen=True)
class Sent:
    """What left the clients.

    Parameters
    ----------
    table : RequestTable
        All requests.
    now_s : array of float, shape (n,)
        What the clock showed when each arrived.
    is_refused : array of bool, shape (n,)
        Those that the engine can never serve.
    rows : array of int
        Requests in the order in which the engine gets them; rejected and refused ones are left out.
    arrivals : Arrivals
        The same as the engine sees them.
    reached_s : array of float, shape (n,)
        When the engine got each; NaN where it never did.
    """

    table: RequestTable
    now_s: Floats
    is_refused: Bools
    rows: Ints
    arrivals: Arrivals
    reached_s: Floats


def send(table: RequestTable, model: EngineModel, link: Link) -> Sent:
    """Send all requests up on their arrival; O(n)."""
    now_s = _clock(table.arrival_s)
    prompt_tok, output_tok = table.prompt_tok, table.output_tok
    is_sent = ~table.rejected
    is_refused = np.zeros(len(table), dtype=np.bool_)
    for i in np.flatnonzero(is_sent & (prompt_tok + output_tok > model.safe_tok)).tolist():
        is_refused[i] = bool(model.why_refused(int(prompt_tok[i]), int(output_tok[i])))
    rows = np.flatnonzero(is_sent & ~is_refused)
    at_s = now_s[rows] + _up_s(link, table, now_s, rows)
    order = np.argsort(at_s, kind="stable")
    rows, at_s = rows[order], at_s[order]
    arrivals = Arrivals(
        at_s=at_s,
        job_id=(np.cumsum(is_sent) - 1)[rows],
        prompt_tok=prompt_tok[rows],
        answer_tok=output_tok[rows],
        reader_tok_per_s=table.reader_tok_per_s[rows],
        ttft_target_s=table.ttft_target_s[rows],
        hashes=None if table.prefix_hashes is None else [table.prefix_hashes[i] for i in rows.tolist()],
    )
    reached_s = np.full(len(table), math.nan)
    reached_s[rows] = at_s
    return Sent(table, now_s, is_refused, rows, arrivals, reached_s)


def _clock(arrival_s: Floats) -> Floats:
    """Return what the clock shows at each arrival: it is set forward by differences, which round."""
    now_s, shown = 0.0, array("d")
    for at_s in arrival_s.tolist():
        if at_s > now_s:
            now_s += at_s - now_s
        shown.append(now_s)
    return np.frombuffer(shown, dtype=np.float64)


def _up_s(link: Link, table: RequestTable, now_s: Floats, rows: Ints) -> Floats:
    up_s = link.up_array_s(now_s[rows], table.user_id[rows])
    rate = link.model.uplink_bit_per_s
    return up_s if rate is None else up_s + 8.0 * (table.prompt_tok[rows] * BYTES_PER_TOK["text"]) / rate


def timelines(
    sent: Sent,
    served: Iterable[Served],
    link: Link,
    meter: Meter,
    rows_each: int,
    quality: QualityModel | None = None,
) -> Iterator[Timelines]:
    """Yield what happened to the requests, in the order in which their sessions would have ended.

    Parameters
    ----------
    sent : Sent
        The requests.
    served : iterable of Served
        The engine's answers to them.
    link : Link
        The last hop; each token is a packet, and there are no outages.
    meter : Meter
        Prices.
    rows_each : int
        All but the last have a multiple of so many rows.
    quality : QualityModel, optional
        What answers are assumed to be worth.
    """
    held = _unserved(sent, link)
    ready: list[_Ended] = []
    n_ready = n_over = 0
    for block in served:
        held = _Ended.joined([held, _ended(sent, block, link, n_over)])
        n_over += block.row.size
        order = np.lexsort(held.keys)
        n_final = int(np.searchsorted(held.key_s[order], block.over_s, side="left"))
        ready.append(held.take(order[:n_final]))
        held = held.take(order[n_final:])
        n_ready += n_final
        n_whole = n_ready if block.over_s == math.inf else n_ready - n_ready % rows_each
        if n_whole:
            now = _Ended.joined(ready)
            yield _timelines(sent, now.take(np.arange(n_whole)), meter, quality)
            ready = [now.take(np.arange(n_whole, n_ready))]
            n_ready -= n_whole


APART = ("keys", "made_s", "delivered_s")
"""Fields of what is over that are no plain arrays."""


@dataclass(frozen=True)
class _Ended:
    """Requests that are over: which, when their sessions ended, and what the engine said of them."""

    row: Ints
    keys: tuple[Floats, ...]  # in the order of `np.lexsort`: the last one counts first
    status: NDArray[np.object_]
    made_s: Ragged
    delivered_s: Ragged
    n_preemptions: Ints
    gpu_s: Floats
    kv_tok_s: Floats
    scheduled_s: Floats

    @property
    def key_s(self) -> Floats:
        """When the session ended."""
        return self.keys[-1]

    def take(self, rows: Ints) -> _Ended:
        taken: dict[str, Any] = {f.name: getattr(self, f.name)[rows] for f in fields(self) if f.name not in APART}
        made_s = self.made_s.take(rows)
        delivered_s = made_s if self.delivered_s is self.made_s else self.delivered_s.take(rows)
        keys = tuple(key[rows] for key in self.keys)
        return _Ended(keys=keys, made_s=made_s, delivered_s=delivered_s, **taken)

    @staticmethod
    def joined(parts: list[_Ended]) -> _Ended:
        parts = [part for part in parts if part.row.size] or parts[:1]
        if len(parts) == 1:
            return parts[0]
        names = [f.name for f in fields(_Ended) if f.name not in APART]
        made_s = Ragged.joined([part.made_s for part in parts])
        is_instant = all(part.delivered_s is part.made_s for part in parts)
        return _Ended(
            keys=tuple(np.concatenate(column) for column in zip(*[part.keys for part in parts], strict=True)),
            made_s=made_s,
            delivered_s=made_s if is_instant else Ragged.joined([part.delivered_s for part in parts]),
            **{name: np.concatenate([getattr(part, name) for part in parts]) for name in names},
        )


def _unserved(sent: Sent, link: Link) -> _Ended:
    """Return who is rejected on arrival, or hears a round trip later that the engine cannot serve it."""
    rows = np.flatnonzero(sent.table.rejected | sent.is_refused)
    now_s, n = sent.now_s[rows], rows.size
    reach_s = now_s + _up_s(link, sent.table, sent.now_s, rows)
    known_s = reach_s + link.down_array_s(reach_s, sent.table.user_id[rows])
    is_refused = sent.is_refused[rows]
    end_s = np.where(is_refused, now_s + np.maximum(0.0, known_s - now_s), now_s)
    before_s = np.concatenate(([0.0], sent.now_s))[np.searchsorted(sent.now_s, now_s)]
    made_s = np.where(is_refused, now_s, before_s)  # when its event was made; who comes at one moment shares one
    nothing = Ragged(np.empty(0), np.zeros(n + 1, dtype=np.int64))
    return _Ended(
        row=rows,
        keys=(rows.astype(np.float64), np.full(n, NORMAL), made_s, np.full(n, NORMAL), end_s),
        status=np.full(n, "rejected", dtype=object),
        made_s=nothing,
        delivered_s=nothing,
        n_preemptions=np.zeros(n, dtype=np.int64),
        gpu_s=np.zeros(n),
        kv_tok_s=np.zeros(n),
        scheduled_s=np.full(n, math.nan),
    )


def _ended(sent: Sent, block: Served, link: Link, n_before: int) -> _Ended:
    """Return answers with their way down, and when their sessions end; ``n_before`` were over at the engine before."""
    rows = sent.rows[block.row]
    user_id, arrival_s = sent.table.user_id[rows], sent.table.arrival_s[rows]
    made_s = block.made_s
    delivered_s = delivered(made_s, user_id, link)
    starts, lasts = made_s.offsets[:-1], made_s.offsets[1:] - 1
    over_s = delivered_s.values[lasts]  # of what the link delivers: rounding is raised in the record alone
    end_s, n = block.end_at_s, rows.size
    if link.is_instant:
        is_asked, spoke_s = np.ones(n, dtype=np.bool_), end_s
    else:
        first_s = made_s.values[starts]
        arrives_s = first_s + link.down_array_s(first_s, user_id)
        spoke_s = block.first_at_s + np.maximum(0.0, arrives_s - block.first_at_s)
        is_asked = spoke_s <= end_s  # the client waits for the end before it comes
    from_s = np.where(is_asked, end_s, spoke_s)
    wait_s = np.maximum(0.0, over_s - from_s)
    is_at_once = is_asked & (wait_s == 0.0)  # within the boundary itself
    rank = np.where(is_asked, n_before + np.arange(n), block.first_rank).astype(np.float64)
    keys = (
        rank,
        np.where(is_asked, LATE, NORMAL),
        np.where(is_at_once, 0.0, from_s),
        np.where(is_at_once, LATE, NORMAL),
        from_s + wait_s,
    )
    raised_s = raised_rows(made_s, arrival_s)
    return _Ended(
        row=rows,
        keys=keys,
        status=np.full(n, "finished", dtype=object),
        made_s=raised_s,
        delivered_s=raised_s if delivered_s is made_s else raised_rows(delivered_s, arrival_s),
        n_preemptions=block.n_preemptions,
        gpu_s=block.gpu_s,
        kv_tok_s=block.kv_tok_s,
        scheduled_s=block.scheduled_s,
    )


def delivered(made_s: Ragged, user_id: Ints, link: Link) -> Ragged:
    """Return `Link.deliver` of each row, none of which is empty: a late packet holds those behind it."""
    if link.is_instant:
        return made_s
    sent_s = made_s.values
    arrival_s = sent_s + link.down_array_s(sent_s, np.repeat(user_id, made_s.sizes()))
    return Ragged(kept_in_order(arrival_s, Rows(made_s.sizes())), made_s.offsets)


def raised_rows(times_s: Ragged, arrival_s: Floats) -> Ragged:
    """Return `raised` of each row; hardly any changes."""
    if not len(times_s):
        return times_s
    low = np.flatnonzero(np.minimum.reduceat(times_s.values, times_s.offsets[:-1]) < arrival_s)
    if not low.size:
        return times_s
    values = times_s.values.copy()
    for i in low.tolist():
        at = slice(times_s.offsets[i], times_s.offsets[i + 1])
        values[at] = raised(values[at], arrival_s[i], in_order=False)
    return Ragged(values, times_s.offsets)


def defaults(n: int) -> dict[str, NDArray[Any]]:
    """Return what a row holds where nobody has done anything."""
    blank: dict[str, NDArray[Any]] = {
        name: np.full(n, "", dtype=object) if dtype == "object" else np.zeros(n, dtype=dtype)
        for name, dtype in SCALARS.items()
    }
    return blank | {"quality_assumed": np.full(n, math.nan)}


def worth(model: QualityModel, n_tok: Ints, endpoint: str = "server") -> Floats:
    """Return what answers of these lengths are worth that one endpoint wrote in one go."""
    lengths, at = np.unique(n_tok, return_inverse=True)
    values = [PLAIN.quality(model, (Segment(endpoint, 1, n),), is_in_parts=False) for n in lengths.tolist()]
    return np.array(values, dtype=np.float64)[at]


def _timelines(sent: Sent, ended: _Ended, meter: Meter, quality: QualityModel | None) -> Timelines:
    """Return rows as sessions would have left them."""
    rows, n = ended.row, ended.row.size
    table = sent.table
    is_served = ended.status == "finished"
    prompt_tok, output_tok = table.prompt_tok[rows], table.output_tok[rows]
    arrival_s = table.arrival_s[rows]
    usd = meter.server_usd(1.0, 0.0) * prompt_tok + meter.server_usd(0.0, 1.0) * output_tok
    usd = np.where(is_served, usd, 0.0)
    scalars: dict[str, NDArray[Any]] = defaults(n) | {
        "request_id": rows,
        "user_id": table.user_id[rows],
        "arrival_s": arrival_s,
        "prompt_tok": prompt_tok,
        "output_tok": output_tok,
        "reader_tok_per_s": table.reader_tok_per_s[rows],
        "ttft_target_s": table.ttft_target_s[rows],
        "status": ended.status,
        "first_endpoint": np.where(is_served, "server", "").astype(object),
        "is_server_dispatched": is_served,
        "server_prompt_tok": np.where(is_served, prompt_tok, 0),
        "server_output_tok": np.where(is_served, output_tok, 0),
        "server_cost_usd": usd,
        "unified_cost_usd": usd,  # no joule is in it
        "n_preemptions": ended.n_preemptions,
        "gpu_s": ended.gpu_s,
        "kv_tok_s": ended.kv_tok_s,
        "scheduled_s": ended.scheduled_s - arrival_s,
        "queue_s": ended.scheduled_s - sent.reached_s[rows],
    }
    if quality is not None:
        scalars["quality_assumed"][is_served] = worth(quality, output_tok[is_served])
    n_segments = np.count_nonzero(is_served)
    nothing = Ragged(np.empty(0), np.zeros(n + 1, dtype=np.int64))
    return Timelines(
        scalars={name: scalars[name] for name in SCALARS},
        segments=Segments(
            endpoints=("server",) if n_segments else (),
            roles=("",) if n_segments else (),
            code=np.zeros(n_segments, dtype=np.int64),
            first_token=np.ones(n_segments, dtype=np.int64),
            last_token=output_tok[is_served],
            offsets=offsets_of(is_served.astype(np.int64)),
        ),
        generated_s=ended.made_s,
        delivered_s=ended.delivered_s,
        paced_s=nothing,
        sketch_s=nothing,
        work=Works.none(n),
    )
