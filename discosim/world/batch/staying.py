"""When requests have to do with their user's device, as far as that can be told before any token."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from discosim.core.request import RequestTable
from discosim.world.batch.dispatch import Dispatch
from discosim.world.batch.meeting import Stays
from discosim.world.batch.opening import Opening
from discosim.world.batch.phones import Phones
from discosim.world.batch.service import Service

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


def goes_over(plan: Dispatch, table: RequestTable, phones: Phones, source: str) -> Bools:
    """Tell of each request whether an answer from ``source`` may be handed over, by its device and prompt alone."""
    if plan.hand_overs is None:
        return np.zeros(len(table), dtype=np.bool_)
    has_way = np.zeros(len(phones.profiles), dtype=np.bool_)
    limits = np.full(len(phones.profiles), np.inf)
    for k, profile in enumerate(phones.profiles):
        route = plan.hand_overs.route(source, profile)
        has_way[k] = route is not None
        if route is not None and route.target == "device" and profile.max_context_tok is not None:
            limits[k] = profile.max_context_tok
    goes: Bools = has_way[phones.kind] & (table.prompt_tok < limits[phones.kind])
    return goes


def stays_of(
    plan: Dispatch, table: RequestTable, begin: Opening, is_unclear: Bools, service: Service, phones: Phones
) -> Stays:
    """Return when each request may use or look at its device."""
    n = len(table)
    to_device = goes_over(plan, table, phones, "server")
    from_s, to_s = np.full(n, np.inf), np.full(n, -np.inf)
    begun = begin.begun
    speaks_s = begin.speaks_s[begun.who]
    from_s[begun.who] = begun.begin_s
    ends_s = begun.last_s()
    loses = begin.is_server[begun.who]
    if plan.losers == "cancel":
        ends_s = np.where(loses, speaks_s, ends_s)
    elif plan.losers == "finish_prefill":
        ends_s = np.where(loses, np.maximum(speaks_s, begun.prefill_end_s), ends_s)
    to_s[begun.who] = ends_s
    span_s = np.zeros(n)
    asked = begin.asked
    bound_s = service.last_arrival_bound_s(asked)
    span_s[asked.who] = bound_s - begin.now_s[asked.who]
    everybody = np.arange(n)
    work_s = phones.longest_work_s(everybody, table.prompt_tok + table.output_tok, table.output_tok)
    later = asked.who[to_device[asked.who] & begin.is_server[asked.who]]
    if later.size:
        from_s[later] = np.minimum(from_s[later], begin.speaks_s[later])
        to_s[later] = np.maximum(to_s[later], (begin.now_s + span_s + work_s)[later])
    if plan.looks_at_device:
        from_s, to_s = begin.now_s.copy(), np.maximum(to_s, begin.now_s)
    at_most_s = span_s + 2.0 * (work_s + service.refusal_bound_s(table.prompt_tok + table.output_tok)) + 1.0
    at_most_s += np.where(begin.asks_server | begin.asks_device, 0.0, np.inf)  # never looked into
    waits = (plan.device_after_s < np.inf, plan.server_after_s < np.inf)
    for is_asked, after_s in zip(waits, (plan.device_after_s, plan.server_after_s), strict=True):
        at_most_s += np.where(is_asked, after_s, 0.0)
    may = plan.falls_back | (plan.device_after_s < np.inf) | to_device | plan.looks_at_device
    from_s = np.where(is_unclear & may, begin.now_s, from_s)
    there = np.flatnonzero((from_s < np.inf) & ~table.rejected)
    return Stays(
        there,
        table.user_id[there],
        from_s[there],
        np.maximum(to_s, from_s)[there],
        at_most_s[there],
        is_unclear[there],
    )
