"""Every run checks itself: the numbered invariants of docs/invariants.md, on every request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discosim.core.errors import InvariantError
from discosim.core.timeline import Floats, Ints
from discosim.core.timelines import Segments, Timelines
from discosim.metrics.endpoints import shown_by_name
from discosim.world.meter import Meter

Columns = Mapping[str, NDArray[Any]]
REL, ABS = 1e-9, 1e-12
PARTS = (
    "server_prompt_tok",
    "server_output_tok",
    "device_prefill_tok",
    "device_decode_tok",
    "device_energy_j",
    "device_waiting_j",
    "edge_prefill_tok",
    "edge_decode_tok",
    "edge_box_s",
    "edge_energy_j",
    "edge_cost_usd",
)
BY_NAME = (
    ("server", "prompt_tok", "server_prompt_tok"),
    ("server", "output_tok", "server_output_tok"),
    ("server", "cost_usd", "server_cost_usd"),
    ("server", "gpu_s", "gpu_s"),
    ("server", "kv_tok_s", "kv_tok_s"),
    ("device", "prompt_tok", "device_prefill_tok"),
    ("device", "output_tok", "device_decode_tok"),
    ("device", "energy_j", "device_energy_j"),
    ("edge", "prompt_tok", "edge_prefill_tok"),
    ("edge", "output_tok", "edge_decode_tok"),
    ("edge", "energy_j", "edge_energy_j"),
    ("edge", "cost_usd", "edge_cost_usd"),
)
"""Role, number by name, and the column of requests that the numbers of the role add up to."""


def check_complete(request_ids: NDArray[np.int64], n_requests: int, policy: str) -> None:
    """Check INV-1: every request that arrived has exactly one record."""
    if request_ids.size != n_requests or not np.array_equal(np.sort(request_ids), np.arange(n_requests)):
        lost = np.setdiff1d(np.arange(n_requests), request_ids)[:5].tolist()
        raise InvariantError(
            f"INV-1: {n_requests} requests arrived, {request_ids.size} records came out under {policy}; missing {lost}"
        )


def check_timelines(timelines: Timelines, policy: str) -> None:
    """Check INV-2 and INV-3 on a batch of requests: causal times, each token once and in order.

    Raises
    ------
    InvariantError
        With the invariant, the policy, the request and what was found.
    """
    n_shown = timelines.delivered_s.sizes()
    wanted = np.where(timelines["status"] == "finished", timelines["output_tok"], 0)
    good = (n_shown == wanted) & (timelines.generated_s.sizes() == wanted) & _covered(timelines.segments, wanted)
    if not good.all():
        row = int(np.argmin(good))
        found = f"{n_shown[row]} of {wanted[row]} tokens, segments {timelines.segments.row(row)}"
        raise _breach(3, int(timelines["request_id"][row]), policy, found)
    shown = np.flatnonzero(n_shown)
    if shown.size:
        _check_times(timelines, shown, policy)


def check_columns(columns: Columns, meter: Meter, policy: str, server_usd: NDArray[np.float64] | None = None) -> None:
    """Check INV-4 and INV-5: cost is the sum of its parts, and every shown token was generated and paid for.

    ``server_usd`` is what each request costs at all services, as `check_endpoints` says; by ``meter`` where left out.
    """
    usd = _usd(meter, columns["server_prompt_tok"], columns["server_output_tok"]) if server_usd is None else server_usd
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


def check_endpoints(
    columns: Columns, timelines: Timelines, meters: Mapping[str, Meter], policy: str
) -> NDArray[np.float64]:
    """Check INV-4 and INV-5 endpoint by endpoint; return what each request costs at all services, in USD.

    Parameters
    ----------
    columns : mapping of str to array
        Columns of the requests.
    timelines : Timelines
        What they are made of.
    meters : mapping of str to Meter
        Prices of every service.
    policy : str
        For messages.

    Raises
    ------
    InvariantError
        If numbers by name do not add up to those of their role, or a name has shown more than it made.
    """
    work, n_rows = timelines.work, len(timelines)
    row, amounts, role = work.row_of_each(), work.amounts, work.role_of_each()
    bad = np.zeros(n_rows, dtype=np.bool_)
    for held, amount, column in BY_NAME:
        total = np.bincount(row, weights=np.where(role == held, amounts[amount], 0.0), minlength=n_rows)
        wanted = columns[column] - columns["device_waiting_j"] if column == "device_energy_j" else columns[column]
        bad |= ~_close(total, wanted)
    usd = np.zeros(n_rows)
    for code, name in enumerate(work.endpoints):
        if work.roles[code] == "server":
            mine = work.code == code
            owed = _usd(meters[name], amounts["prompt_tok"][mine], amounts["output_tok"][mine])
            bad[row[mine][~_close(amounts["cost_usd"][mine], owed)]] = True
            np.add.at(usd, row[mine], owed)
    _raise_first(bad, columns, 4, policy, "numbers by endpoint do not add up to those of their role")
    bad[row[shown_by_name(timelines) > amounts["output_tok"]]] = True
    _raise_first(bad, columns, 5, policy, "an endpoint has shown a token that it did not generate")
    return usd


def _usd(meter: Meter, prompt_tok: NDArray[Any], output_tok: NDArray[Any]) -> NDArray[np.float64]:
    usd: NDArray[np.float64] = meter.server_usd(1.0, 0.0) * prompt_tok + meter.server_usd(0.0, 1.0) * output_tok
    return usd


def _covered(segments: Segments, wanted: Ints) -> NDArray[np.bool_]:
    """Tell of each row whether its segments run from token 1 to the last one wanted without gap or overlap."""
    is_first = np.zeros(segments.code.size + 1, dtype=np.bool_)  # one more than there are: a last row may be empty
    is_first[segments.offsets] = True
    before = np.zeros(segments.code.size, dtype=np.int64)
    before[1:] = segments.last_token[:-1]
    before[is_first[:-1]] = 0
    bad = (segments.first_token != before + 1) | (segments.last_token < segments.first_token)
    ends = segments.offsets[1:]
    done = np.where(np.diff(segments.offsets) > 0, segments.last_token[ends - 1] if segments.code.size else 0, 0)
    covered: NDArray[np.bool_] = done == wanted
    if bad.any():
        covered[segments.row_of_each()[bad]] = False
    return covered


def _check_times(timelines: Timelines, shown: Ints, policy: str) -> None:
    """INV-2: times are finite, in order and causal, token by token."""
    delivered, generated = timelines.delivered_s, timelines.generated_s.values
    first = delivered.offsets[:-1][shown]
    arrival_s = timelines["arrival_s"][shown]
    slack_s = REL * (1.0 + float(arrival_s.max()))  # from times that no policy makes: a NaN must not spread
    if _are_good(delivered.values, generated, first, delivered.offsets[1:][shown] - 1, arrival_s, slack_s):
        return
    # written so that NaN fails every comparison
    good = delivered.values >= generated - slack_s
    good &= delivered.values < np.inf
    good[1:] &= delivered.values[1:] >= delivered.values[:-1]
    good[first] = np.isfinite(delivered.values[first]) & (delivered.values[first] >= generated[first] - slack_s)
    good[first] &= np.minimum.reduceat(generated, first) >= arrival_s
    at = int(np.argmin(good))
    row = int(np.searchsorted(delivered.offsets, at, side="right")) - 1
    token = at - int(delivered.offsets[row]) + 1
    found = f"token {token} generated at {generated[at]} s, delivered at {delivered.values[at]} s"
    raise _breach(2, int(timelines["request_id"][row]), policy, found)


def _are_good(
    delivered_s: Floats, generated_s: Floats, first: Ints, last: Ints, arrival_s: Floats, slack_s: float
) -> bool:
    """Tell whether no time can be found fault with, in few passes: what is in order is finite if its ends are."""
    in_order = np.ones(delivered_s.size, dtype=np.bool_)
    np.greater_equal(delivered_s[1:], delivered_s[:-1], out=in_order[1:])
    in_order[first] = np.isfinite(delivered_s[first]) & (delivered_s[last] < np.inf)
    in_order[first] &= np.minimum.reduceat(generated_s, first) >= arrival_s
    is_one = delivered_s.ctypes.data == generated_s.ctypes.data  # a token is there when it is made
    return bool(in_order.all()) and (is_one or bool((delivered_s >= generated_s - slack_s).all()))


def _close(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.bool_]:
    near: NDArray[np.bool_] = np.abs(a - b) <= ABS + REL * np.abs(b)
    return near


def _raise_first(bad: NDArray[np.bool_], columns: Columns, number: int, policy: str, found: str) -> None:
    if bad.any():
        raise _breach(number, int(columns["request_id"][int(np.argmax(bad))]), policy, found)


def _breach(number: int, request_id: int, policy: str, found: str) -> InvariantError:
    return InvariantError(f"INV-{number}: request {request_id} under {policy}: {found}")
