"""Summaries by hand: every denominator, and the JSON form of the table."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from discosim.core.request import RequestRecord, Segment
from discosim.core.timelines import Timelines
from discosim.metrics.histogram import PooledGaps
from discosim.metrics.summary import SummaryTable, summarise
from discosim.metrics.timeline import request_columns

EMPTY = np.empty(0)


def record(request_id, status, prompt, delivered, **changes) -> RequestRecord:
    delivered = np.asarray(delivered, dtype=float)
    fields = {
        "request_id": request_id,
        "user_id": 0,
        "arrival_s": 10.0 * request_id,
        "prompt_tok": prompt,
        "output_tok": max(delivered.size, 1),
        "reader_tok_per_s": 2.0,
        "ttft_target_s": 1.0,
        "status": status,
        "first_endpoint": "",
        "segments": (),
        "generated_s": delivered,
        "delivered_s": delivered,
        "is_device_dispatched": False,
        "is_server_dispatched": False,
        "n_tok_wasted": 0,
        "server_prompt_tok": 0,
        "server_output_tok": 0,
        "device_prefill_tok": 0.0,
        "device_decode_tok": 0,
        "server_cost_usd": 0.0,
        "device_energy_j": 0.0,
        "unified_cost_usd": 0.0,
    }
    return RequestRecord(**(fields | changes))


@pytest.fixture
def numbers() -> dict[str, float]:
    records = [
        # on time, device only; gaps 0.5, 0.5
        record(
            0,
            "finished",
            100,
            [0.5, 1.0, 1.5],
            first_endpoint="device",
            segments=(Segment("device", 1, 3),),
            is_device_dispatched=True,
            device_decode_tok=3,
            device_energy_j=4.0,
            unified_cost_usd=2.0,
        ),
        # starts late at 2 s, migrates, one pause of 3 s: gaps 0.5, 3.5, 0; both last tokens late, 2 wasted
        record(
            1,
            "finished",
            300,
            [12.0, 12.5, 16.0, 16.0],
            first_endpoint="server",
            segments=(Segment("server", 1, 2), Segment("device", 3, 4)),
            is_device_dispatched=True,
            is_server_dispatched=True,
            server_output_tok=3,
            device_decode_tok=3,
            n_tok_wasted=2,
            server_cost_usd=6.0,
            unified_cost_usd=6.0,
        ),
        record(2, "failed", 600, EMPTY, is_server_dispatched=True, server_cost_usd=3.0, unified_cost_usd=3.0),
        record(3, "rejected", 10_000, EMPTY),
    ]
    pool = PooledGaps()
    return summarise(request_columns(Timelines.of(records), pacer=True, gaps=pool), pool)


EXPECTED = {
    "n_requests": 4,
    "n_finished": 2,
    "n_failed": 1,
    "n_rejected": 1,
    "ttft_mean_s": (0.5 + 2.0) / 2,
    "ttft_p50_s": 1.25,
    "ttft_p99_s": 0.5 + 0.99 * 1.5,
    "tpot_mean_s": (0.5 + 4.0 / 3) / 2,
    "e2e_mean_s": (1.5 + 6.0) / 2,
    "tbt_pooled_p50_s": 0.5,
    "tbt_displayed_pooled_p50_s": 0.5,
    "tbt_request_p99_mean_s": (0.5 + (0.5 + 0.98 * 3.0)) / 2,
    "stall_mean_s": 3.0 / 2,
    "stall_request_share": 0.5,
    "stall_time_share": 3.0 / (3.0 + (2 + 3) / 2),
    "n_stalls_mean": 0.5,
    "n_tok_late_total": 2,
    "n_tok_late_mean": 1.0,
    "n_tok_late_per_migration": 2.0,
    "qoe_andes_ge_0_95_share": 1 / 3,
    "qoe_andes_ge_0_99_share": 1 / 3,
    "ttft_target_attainment": 1 / 3,
    "device_first_share": 0.5,
    "n_tok_device_share": 5 / 7,
    "server_cost_total_usd": 9.0,
    "server_cost_mean_usd": 3.0,
    "device_energy_total_j": 4.0,
    "device_energy_mean_j": 4 / 3,
    "unified_cost_total_usd": 11.0,
    "unified_cost_mean_usd": 11 / 3,
    "n_tok_wasted_total": 2,
    "n_tok_wasted_share": 2 / 9,
    "n_migrations_total": 1,
    "n_migrations_mean": 0.5,
    "budget_used_device": 400 / 1000,
    "budget_used_server": 900 / 1000,
    "span_s": 16.0,
    "throughput_rps": 2 / 16,
    "throughput_tok_per_s": 7 / 16,
}


@pytest.mark.parametrize("name", EXPECTED)
def test_summary_by_hand(numbers, name):
    assert numbers[name] == pytest.approx(EXPECTED[name], rel=1e-9)


def test_mean_qoe_counts_a_failed_request_as_zero(numbers):
    """Late answer: c = 2, 2.5, 6, 6.5 against T = 1, 1.5, 2, 2.5."""
    delay, whole = 1 + 1 + 4 + 4, 4 * 6.5 - 7.0
    assert numbers["qoe_andes_mean"] == pytest.approx((1.0 + (1 - delay / whole) + 0.0) / 3)


def test_the_rare_percentile_needs_ten_thousand_requests():
    def p999(n: int) -> float:
        records = [record(i, "finished", 1, [10.0 * i + i / n]) for i in range(n)]
        return summarise(request_columns(Timelines.of(records), pacer=True), PooledGaps())["ttft_p99_9_s"]

    assert math.isnan(p999(9_999))
    assert p999(10_000) == pytest.approx(0.999, abs=1e-3)


def test_the_table_is_plain_json_with_nulls(numbers):
    table = SummaryTable.of({"a": [numbers], "b": [numbers]}, "a", ["ttft_mean_s", "ttft_p99_9_s"])
    plain = json.loads(json.dumps(table.to_json_dict(), allow_nan=False))
    assert plain["metrics"]["ttft_mean_s"] == {"unit": "s", "direction": "lower"}
    assert plain["policies"]["b"]["ttft_mean_s"] == {
        "mean": 1.25,
        "half_width": None,
        "diff": 0.0,
        "diff_half_width": None,
        "change_pct": 0.0,
        "change_half_width_pct": None,
        "n": 1,
        "n_missing": 0,
    }
    assert plain["policies"]["a"]["ttft_p99_9_s"]["mean"] is None
    assert plain["policies"]["a"]["ttft_p99_9_s"]["n_missing"] == 1


def test_the_table_keeps_the_order_of_policies_and_metrics(numbers):
    table = SummaryTable.of({"z": [numbers] * 2, "a": [numbers] * 2}, "a")
    assert table.policies == ("z", "a")
    assert table.metrics == tuple(numbers)
    assert table.value("z", "n_requests").text() == "4 ± 0"
    assert table.change_pct("z", "ttft_mean_s").mean == 0.0
