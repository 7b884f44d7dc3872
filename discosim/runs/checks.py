"""Every run checks itself: the numbered invariants of docs/invariants.md, on every record."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from discosim.core.errors import InvariantError
from discosim.core.request import RequestRecord
from discosim.core.timeline import Ragged
from discosim.world.meter import Meter


def check_records(records: Sequence[RequestRecord], meter: Meter, policy: str) -> None:
    """Check INV-2 to INV-5 on a batch of records.

    Raises
    ------
    InvariantError
        With the invariant, the policy, the request and what was found.
    """
    for record in records:
        _check_counts(record, policy)
        _check_cost(record, meter, policy)
    shown = [record for record in records if record.delivered_s.size]
    if shown:
        _check_times(shown, policy)


def check_complete(request_ids: np.ndarray, n_requests: int, policy: str) -> None:
    """Check INV-1: every request that arrived has exactly one record."""
    if request_ids.size != n_requests or not np.array_equal(np.sort(request_ids), np.arange(n_requests)):
        seen = np.unique(request_ids)
        lost = np.setdiff1d(np.arange(n_requests), seen)[:5].tolist()
        raise InvariantError(
            f"INV-1: {n_requests} requests arrived, {request_ids.size} records came out under {policy}; missing {lost}"
        )


def _breach(number: int, record: RequestRecord, policy: str, found: str) -> InvariantError:
    return InvariantError(f"INV-{number}: request {record.request_id} under {policy}: {found}")


def _check_counts(record: RequestRecord, policy: str) -> None:
    """INV-3, INV-5: each token once and in order; nothing shown that was not generated."""
    wanted = record.output_tok if record.status == "finished" else 0
    if record.delivered_s.size != wanted or record.generated_s.size != wanted:
        raise _breach(3, record, policy, f"{record.delivered_s.size} of {wanted} tokens shown ({record.status})")
    expected = 1
    by_endpoint = {"device": 0, "server": 0}
    for segment in record.segments:
        if segment.first_token != expected or segment.last_token < segment.first_token:
            raise _breach(3, record, policy, f"segments out of order: {record.segments}")
        by_endpoint[segment.endpoint] += segment.last_token - segment.first_token + 1
        expected = segment.last_token + 1
    if expected != wanted + 1:
        raise _breach(3, record, policy, f"segments cover {expected - 1} of {wanted} tokens")
    generated = {"device": record.device_decode_tok, "server": record.server_output_tok}
    for endpoint, n_shown in by_endpoint.items():
        if n_shown > generated[endpoint]:
            raise _breach(5, record, policy, f"{n_shown} tokens shown from the {endpoint}, {generated[endpoint]} paid")
    if record.n_tok_wasted != sum(generated.values()) - wanted:
        raise _breach(
            5, record, policy, f"{record.n_tok_wasted} tokens wasted, but {generated} paid for {wanted} shown"
        )


def _check_cost(record: RequestRecord, meter: Meter, policy: str) -> None:
    """INV-4: cost is the sum of its parts, none of them negative."""
    usd = meter.server_usd(record.server_prompt_tok, record.server_output_tok)
    unified = meter.unified_usd(record.server_cost_usd, record.device_energy_j)
    parts = (record.server_prompt_tok, record.device_prefill_tok, record.device_energy_j, record.server_cost_usd)
    if min(parts) < 0.0 or abs(usd - record.server_cost_usd) > 1e-12 + 1e-9 * usd:
        raise _breach(4, record, policy, f"server cost {record.server_cost_usd} is not the bill {usd}")
    if abs(unified - record.unified_cost_usd) > 1e-12 + 1e-9 * unified:
        raise _breach(4, record, policy, f"unified cost {record.unified_cost_usd} is not {unified}")


def _check_times(records: Sequence[RequestRecord], policy: str) -> None:
    """INV-2: times are finite, in order and causal, token by token."""
    delivered = Ragged.of([record.delivered_s for record in records])
    generated = Ragged.of([record.generated_s for record in records])
    arrival_s = np.fromiter((record.arrival_s for record in records), float, len(records))
    starts = np.repeat(arrival_s, delivered.sizes())
    slack_s = 1e-9 * (1.0 + np.abs(delivered.values))
    bad = ~np.isfinite(delivered.values) | (generated.values < starts) | (delivered.values < generated.values - slack_s)
    steps = np.diff(delivered.values, prepend=delivered.values[:1])
    steps[delivered.offsets[:-1]] = 0.0
    bad |= steps < 0.0
    if bad.any():
        at = int(np.argmax(bad))
        row = int(np.searchsorted(delivered.offsets, at, side="right")) - 1
        token = at - int(delivered.offsets[row]) + 1
        found = f"token {token} generated {generated.values[at]}, delivered {delivered.values[at]} s"
        raise _breach(2, records[row], policy, found)
