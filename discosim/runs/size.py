"""Whether a run can be held: asked before anything is drawn, and again before the first world begins."""

from __future__ import annotations

import math

import numpy as np

from discosim.core.errors import UserError
from discosim.core.machine import memory_bytes
from discosim.core.request import RequestTable
from discosim.core.scenario import Scenario
from discosim.runs.collect import BATCH

REQUEST_BYTES = 1_000
"""Of a request while its replication runs: its row of the table, its luck, its share of a world (measured)."""

ROW_BYTES = 500
"""Of a request under one policy in one replication, kept until the run is written (measured: 54 columns)."""

ENDPOINT_BYTES = 250
"""Beside such a row where there are services: of the two endpoints that most policies ask, some 120 each (counted)."""

TOKEN_BYTES = 150
"""Of a token of a request that is not yet turned into columns (measured)."""

MOST_SPAN_S = 1e10
"""300 years; beyond it a float has no microseconds left."""


def check_rows(scenario: Scenario, n_policies: int) -> None:
    """Refuse a scenario whose table of requests no memory of this machine holds.

    Raises
    ------
    UserError
        With what is needed and what there is.
    """
    n = scenario.workload.n_requests
    if n is not None:
        rows = f"{n:,} requests under {n_policies} policies in {scenario.replications:,} replications"
        _refuse_beyond(n * _request_bytes(scenario, n_policies), rows)


def check_requests(requests: RequestTable, scenario: Scenario, n_policies: int) -> None:
    """Refuse requests whose tokens no memory of this machine holds, or that span more time than a float can tell.

    Raises
    ------
    UserError
        With what is needed and what there is.
    """
    last_s = 0.0 if requests.loop else float(requests.arrival_s.max(initial=0.0))
    if not last_s <= MOST_SPAN_S:
        raise UserError(
            f"the last request arrives after {last_s:.3g} s; at most {MOST_SPAN_S:.0e} s can be told apart (a rate is "
            "too small, or a scale of time too large)",
            where="workload",
        )
    n = len(requests)
    tok = np.where(requests.rejected, 0, requests.output_tok)
    longest = float(np.sort(tok)[-BATCH:].sum())  # a batch is turned into columns at a time
    need = n * _request_bytes(scenario, n_policies) + longest * TOKEN_BYTES
    _refuse_beyond(need, f"{n:,} requests of up to {int(tok.max(initial=0)):,} output tokens")


def _request_bytes(scenario: Scenario, n_policies: int) -> int:
    row_bytes = ROW_BYTES + ENDPOINT_BYTES * bool(scenario.services)
    return REQUEST_BYTES + row_bytes * n_policies * scenario.replications


def _refuse_beyond(need_bytes: float, what: str) -> None:
    have_bytes = memory_bytes()
    if need_bytes > have_bytes and math.isfinite(have_bytes):
        raise UserError(
            f"{what} take about {need_bytes / 1e9:,.0f} GB of memory, this machine has {have_bytes / 1e9:,.0f} GB; "
            "ask for less, or for the replications one by one with `discosim sweep`",
            where="workload",
        )
