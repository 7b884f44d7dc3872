"""One source of truth: what is computed, what is declared and what is documented are the same."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from discosim.core.errors import UserError
from discosim.core.timelines import Timelines
from discosim.metrics.contrast import TRAPS
from discosim.metrics.definitions import (
    DEFINITIONS,
    REQUEST_METRICS,
    STREAMING_METRICS,
    SUMMARY_METRICS,
    TARGET_METRICS,
    TOKEN_METRICS,
    all_definitions,
    definition,
    explain,
)
from discosim.metrics.histogram import PooledGaps
from discosim.metrics.page import metrics_page
from discosim.metrics.summary import HEADLINE, summarise
from discosim.metrics.timeline import request_columns

PROMISED = {
    "first_endpoint",
    "policy",
    "ttft_target_s",
    "reader_tok_per_s",
    "server_prompt_tok",
    "device_decode_tok",
    "tpot_s",
    "prompt_tok",
    "status",
    "output_tok",
    "tbt_p99_s",
    "n_tok_wasted",
    "qoe_andes",
    "replication",
    "arrival_s",
    "request_id",
    "server_output_tok",
    "n_tok_device",
    "server_cost_usd",
    "n_migrations",
    "unified_cost_usd",
    "tbt_max_s",
    "n_tok_late",
    "n_tok_server",
    "device_prefill_tok",
    "stall_s",
    "e2e_s",
    "device_energy_j",
    "user_id",
    "ttft_s",
    "n_stalls",
}
DOCS = Path(__file__).parents[2] / "docs"


def test_names_are_unique():
    streams = (*STREAMING_METRICS, *TARGET_METRICS)
    names = Counter(m.name for m in (*REQUEST_METRICS, *TOKEN_METRICS, *SUMMARY_METRICS, *streams))
    assert [name for name, count in names.items() if count > 1] == []
    assert len(all_definitions()) == len(names)


def test_the_promised_columns_are_declared():
    assert {m.name for m in REQUEST_METRICS} >= PROMISED


def test_computed_columns_are_the_declared_ones_in_order_and_type():
    columns = request_columns(Timelines.of([]), pacer=True)
    declared = {m.name: m.dtype for m in REQUEST_METRICS if m.name not in ("policy", "replication")}
    kinds = {"f": "float64", "i": "int64", "b": "bool", "O": "string"}
    assert {name: kinds[values.dtype.kind] for name, values in columns.items()} == declared
    assert list(columns) == list(declared)


def test_computed_summaries_are_the_declared_ones_in_order():
    numbers = summarise(request_columns(Timelines.of([]), pacer=True), PooledGaps())
    assert list(numbers) == [m.name for m in SUMMARY_METRICS]
    assert all(isinstance(x, float) for x in numbers.values())
    assert set(HEADLINE) <= set(numbers)


def test_the_unit_is_the_suffix_of_the_name():
    suffixes = {
        "_tok_s": "tok s",
        "_tok_per_s": "tok/s",
        "_s": "s",
        "_usd": "USD",
        "_j": "J",
        "_rps": "1/s",
        "_share": "1",
        "_percent": "%",
    }
    for metric in all_definitions():
        unit = next((u for suffix, u in suffixes.items() if metric.name.endswith(suffix)), None)
        assert unit in (None, metric.unit), metric.name


@pytest.mark.parametrize("metric", all_definitions(), ids=lambda m: m.name)
def test_every_definition_is_complete(metric):
    assert metric.formula
    assert metric.source
    assert metric.description.endswith(".")
    assert metric.field_metadata()["unit"] == metric.unit
    text = explain(metric.name)
    assert text.startswith(metric.name)
    assert metric.formula.split()[0] in text
    assert max(map(len, text.splitlines())) <= 100


def test_unknown_names_are_answered_with_near_ones():
    with pytest.raises(UserError, match="unknown metric 'ttft'; did you mean ttft_target_s, ttft_s"):
        definition("ttft")
    with pytest.raises(UserError, match="qoe_andes"):
        explain("qoe_ande")
    with pytest.raises(UserError, match="lists all"):
        definition("zzzz")


def test_words_of_other_tools_lead_to_ours():
    assert "norm_latency_s is what GuideLLM calls time_per_output_token_ms" in explain("time_per_output_token_ms")
    assert "tpot_s is what AIPerf calls inter_token_latency" in explain("inter_token_latency")


def test_traps_are_attached_to_metrics():
    for trap in TRAPS:
        assert all(any(name.startswith(stem) for name in DEFINITIONS) for stem in trap.stems), trap.text
    assert "norm_latency_s, not tpot_s" in " ".join(explain("tpot_s").split())


def test_the_page_is_the_generated_one():
    assert (DOCS / "metrics.md").read_text(encoding="utf-8") == metrics_page()


def test_summaries_of_no_requests_are_undefined_not_wrong():
    numbers = summarise(request_columns(Timelines.of([]), pacer=True), PooledGaps())
    counted = {name for name, value in numbers.items() if not np.isnan(value)}
    assert counted == {name for name in numbers if name.startswith("n_") and name.count("_") == 1} | {
        name for name in numbers if "_total" in name
    }
