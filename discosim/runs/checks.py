"""Every run checks itself: the numbered invariants of docs/invariants.md, on every record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discosim.core.errors import InvariantError
from discosim.core.request import RequestRecord, Segment
from discosim.core.timeline import Ragged
from discosim.world.meter import Meter

Columns = Mapping[str, NDArray[Any]]
REL, ABS = 1e-9, 1e-12
PARTS = (
    "server_prompt_tok",
    "server_output_tok",
    "device_prefill_tok",
    "device_decode_tok",
    "device_energy_j",
    "edge_prefill_tok",
    "edge_decode_tok",
    "edge_box_s",
    "edge_energy_j",
    "edge_cost_usd",
)


def check_complete(request_ids: NDArray[np.int64], n_requests: int, policy: str) -> None:
    """Check INV-1: every request that arrived has exactly one record."""
    if request_ids.size != n_requests or not np.array_equal(np.sort(request_ids), np.arange(n_requests)):
        lost = np.setdiff1d(np.arange(n_requests), request_ids)[:5].tolist()
        raise InvariantError(
            f"INV-1: {n_requests} requests arrived, {request_ids.size} records came out under {policy}; missing {lost}"
        )


def check_records(records: Sequence[RequestRecord], policy: str) -> None:
    """Check INV-2 and INV-3 on a batch of records: causal times, each token once and in order.

    Raises
    ------
    InvariantError
        With the invariant, the policy, the request and what was found.
    """
    shown = []
    for record in records:
        n_shown = record.delivered_s.size
        wanted = record.output_tok if record.status == "finished" else 0
        if n_shown != wanted or record.generated_s.size != wanted or not _covers(record.segments, wanted):
            raise _breach(3, record.request_id, policy, f"{n_shown} of {wanted} tokens, segments {record.segments}")
        if n_shown:
            shown.append(record)
    if shown:
        _check_times(shown, policy)


def check_columns(columns: Columns, meter: Meter, policy: str) -> None:
    """Check INV-4 and INV-5: cost is the sum of its parts, and every shown token was generated and paid for."""
    usd = meter.server_usd(1.0, 0.0) * columns["server_prompt_tok"]
    usd = usd + meter.server_usd(0.0, 1.0) * columns["server_output_tok"]
    energy_j = columns["device_energy_j"] + columns["edge_energy_j"]
    unified = columns["server_cost_usd"] + columns["edge_cost_usd"] + meter.exchange_rate_usd_per_j * energy_j
    bad = ~_close(columns["server_cost_usd"], usd) | ~_close(columns["unified_cost_usd"], unified)
    for part in PARTS:
        bad |= columns[part] < 0
    _raise_first(bad, columns, 4, policy, "the cost is not the sum of its parts, or a part is negative")
    generated = columns["server_output_tok"] + columns["device_decode_tok"] + columns["edge_decode_tok"]
    shown = columns["n_tok_server"] + columns["n_tok_device"] + columns["n_tok_edge"]
    bad = columns["n_tok_server"] + columns["sketch_tok"] > columns["server_output_tok"]
    bad |= columns["n_tok_device"] > columns["device_decode_tok"]
    bad |= columns["n_tok_edge"] > columns["edge_decode_tok"]
    bad |= columns["n_tok_wasted"] != generated - shown - columns["sketch_tok"]
    _raise_first(bad, columns, 5, policy, "a shown token was not generated, or a generated one is not accounted for")


def _covers(segments: tuple[Segment, ...], n: int) -> bool:
    """Tell whether the segments run from token 1 to token n without gap or overlap."""
    done = 0
    for segment in segments:
        if segment.first_token != done + 1 or segment.last_token < segment.first_token:
            return False
        done = segment.last_token
    return done == n


def _check_times(records: Sequence[RequestRecord], policy: str) -> None:
    """INV-2: times are finite, in order and causal, token by token."""
    delivered = Ragged.of([record.delivered_s for record in records])
    generated = np.concatenate([record.generated_s for record in records])
    first = delivered.offsets[:-1]
    arrival_s = np.fromiter((record.arrival_s for record in records), float, len(records))
    slack_s = REL * (1.0 + float(arrival_s.max()))  # from times that no policy makes: a NaN must not spread
    # written so that NaN fails every comparison
    good = delivered.values >= generated - slack_s
    good &= delivered.values < np.inf
    good[1:] &= delivered.values[1:] >= delivered.values[:-1]
    good[first] = np.isfinite(delivered.values[first]) & (delivered.values[first] >= generated[first] - slack_s)
    good[first] &= np.minimum.reduceat(generated, first) >= arrival_s
    if good.all():
        return
    at = int(np.argmin(good))
    row = int(np.searchsorted(delivered.offsets, at, side="right")) - 1
    token = at - int(delivered.offsets[row]) + 1
    found = f"token {token} generated at {generated[at]} s, delivered at {delivered.values[at]} s"
    raise _breach(2, records[row].request_id, policy, found)


def _close(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.bool_]:
    near: NDArray[np.bool_] = np.abs(a - b) <= ABS + REL * np.abs(b)
    return near


def _raise_first(bad: NDArray[np.bool_], columns: Columns, number: int, policy: str, found: str) -> None:
    if bad.any():
        raise _breach(number, int(columns["request_id"][int(np.argmax(bad))]), policy, found)


def _breach(number: int, request_id: int, policy: str, found: str) -> InvariantError:
    return InvariantError(f"INV-{number}: request {request_id} under {policy}: {found}")
