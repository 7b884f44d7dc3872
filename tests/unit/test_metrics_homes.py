"""One number has one home: the function that a definition names gives the number that the files hold."""

from __future__ import annotations

import importlib
from collections import Counter
from typing import Any

import numpy as np
import pytest

from discosim import load_scenario
from discosim.config import build_policy
from discosim.core.request import RequestRecord
from discosim.core.rng import RandomStreams
from discosim.core.timelines import Timelines
from discosim.metrics import capacity, numbers, streaming
from discosim.metrics.accuracy import accuracy_numbers, right_column
from discosim.metrics.battery import battery_columns, battery_numbers
from discosim.metrics.cost import cost_columns
from discosim.metrics.declare import MetricDefinition
from discosim.metrics.definitions import STREAMING_METRICS, all_definitions
from discosim.metrics.events import event_columns, event_numbers
from discosim.metrics.histogram import GapHistogram, PooledGaps
from discosim.metrics.summary import summarise
from discosim.metrics.timeline import _by_pacer, latency_columns, request_columns, visible_columns
from discosim.metrics.waiting import waiting_numbers
from discosim.runs.batteries import batteries_of
from discosim.runs.build import build
from discosim.runs.collect import Collector
from discosim.runs.gathered import stacked
from discosim.runs.replicate import prepared
from discosim.world.luck import Luck
from discosim.world.world import World

SCENARIO: dict[str, Any] = {
    "name": "an engine, an edge, sketches",
    "seed": 7,
    "workload": {
        "kind": "generate",
        "n_requests": 60,
        "n_users": 12,
        "arrivals": {"kind": "poisson", "rate_per_s": 1.0},
        "lengths": {"kind": "lognormal", "prompt_median_tok": 80, "output_median_tok": 200},
        "max_output_tok": 600,
        "over_limit": "clip",
    },
    "devices": [{"profile": "snapdragon-8-elite-llama-3.2-3b", "battery": {"capacity_wh": 18, "drain_w": 0.5}}],
    "server": {
        "kind": "engine",
        "iterations": {"kind": "digest", "digest": "llama2-70b-a100-tp8"},
        "scheduler": {"kind": "fcfs"},
        "pilot_requests": 60,
        "prices": {"prompt_usd_per_mtok": 0.7, "output_usd_per_mtok": 2.0},
    },
    "edge": {"profile": "m4-mac-mini-llama-3.2-3b", "link": {"kind": "lan", "mbit_per_s": 100}},
    "quality": {},
    "cost": {"exchange_rate_usd_per_j": 1e-7},
    "policies": [{"kind": "skeleton_of_thought"}],
}

Numbers = dict[str, Any]


@pytest.fixture(scope="module")
def homes() -> tuple[dict[str, Numbers], Numbers, Numbers]:
    """What every home computes for one world, by its name, and all columns and the whole summary of that world."""
    scenario = load_scenario(SCENARIO)
    parts = build(scenario)
    table = parts.requests(0)
    world = World(parts.model, table, Luck(RandomStreams(scenario.seed, 0), len(table)))
    records: list[RequestRecord] = []
    world.run(prepared(build_policy(scenario.policies[0]), parts.view, world), records.append)
    flat = Timelines.of(records)
    gaps = PooledGaps()
    columns = request_columns(flat, pacer=True, gaps=gaps) | event_columns(flat, gaps.events)
    right = np.arange(len(flat)) % 2 == 0, np.arange(len(flat)) % 3 == 0
    columns |= right_column(columns, *right)
    inside, edge = world.engine_figures(), world.edge_figures()
    batteries = batteries_of(world.fleet, columns)
    assert batteries is not None
    columns |= battery_columns(columns, batteries)
    summary = summarise(columns, gaps, inside, edge, batteries)
    finished = columns["status"] == "finished"
    done = {name: values[finished] for name, values in columns.items()}
    n, n_served = int(finished.sum()), int((columns["status"] != "rejected").sum())
    collector = Collector("sketches", parts.model.meter, True, range(60))
    collector.take(flat)
    rows = np.flatnonzero(flat.delivered_s.sizes())
    assert rows.size == len(flat)  # so that the columns are the function's own, whole
    assert (flat["sketch_tok"] > 0).any()
    ttft, qoe = columns["ttft_s"], columns["qoe_andes"]
    metrics = "discosim.metrics."
    found: dict[str, Numbers] = {
        "discosim.runs.gathered.stacked": {
            name: values
            for name, values in stacked({("sketches", 0): dict(columns)}).items()
            if name in {"policy", "replication"}
        },
        "discosim.runs.collect.Collector.tokens": collector.tokens(),
        f"{metrics}cost.cost_columns": cost_columns(flat),
        f"{metrics}timeline.latency_columns": latency_columns(
            flat, *next(_by_pacer(flat, pacer=True, gaps=PooledGaps()))
        ),
        f"{metrics}timeline.visible_columns": visible_columns(flat, ttft, qoe),
        f"{metrics}events.event_columns": event_columns(flat, GapHistogram()),
        f"{metrics}events.event_numbers": event_numbers(done, gaps.events),
        f"{metrics}accuracy.right_column": right_column(columns, *right),
        f"{metrics}accuracy.accuracy_numbers": accuracy_numbers(columns),
        f"{metrics}waiting.waiting_numbers": waiting_numbers(columns),
        f"{metrics}numbers.request_counts": numbers.request_counts(columns["status"]),
        f"{metrics}numbers.distribution": {
            **numbers.distribution("ttft", ttft[finished]),
            **numbers.distribution("tpot", done["tpot_s"]),
            **numbers.distribution("e2e", done["e2e_s"]),
            **numbers.distribution("queue", done["queue_s"]),
        },
        f"{metrics}numbers.pooled_numbers": numbers.pooled_numbers(done, gaps),
        f"{metrics}numbers.reading_numbers": numbers.reading_numbers(done, n),
        f"{metrics}numbers.quality_numbers": numbers.quality_numbers(columns, n_served),
        f"{metrics}numbers.endpoint_numbers": numbers.endpoint_numbers(columns, done, n, n_served),
        f"{metrics}numbers.throughput_numbers": numbers.throughput_numbers(columns, done, n),
        f"{metrics}battery.battery_columns": {**battery_columns(columns, batteries)},
        f"{metrics}battery.battery_numbers": battery_numbers(columns, batteries, summary["span_s"]),
        f"{metrics}numbers.sketch_numbers": numbers.sketch_numbers(columns, done, n, n_served),
        f"{metrics}numbers.warmup_numbers": numbers.warmup_numbers(done, n),
        "discosim.world.engine.engine.Engine.figures": inside or {},
        "discosim.world.edge.tier.EdgeTier.figures": edge or {},
    }
    return found, columns, summary


def named(path: str) -> Any:
    """Return what ``module.function`` or ``module.Class.method`` names."""
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError:
        return getattr(named(module), name)


@pytest.mark.parametrize("metric", all_definitions(), ids=lambda m: m.name)
def test_a_definition_names_a_function(metric: MetricDefinition) -> None:
    assert callable(named(metric.computed_by))


def test_the_named_function_gives_the_number_and_no_other_does(
    homes: tuple[dict[str, Numbers], Numbers, Numbers],
) -> None:
    found, columns, summary = homes
    declared = [metric for metric in all_definitions() if metric.level != "on_demand"]
    for metric in declared:
        value = found[metric.computed_by][metric.name]
        if metric.level == "summary":
            np.testing.assert_equal(float(value), summary[metric.name], err_msg=metric.name)
        elif metric.name in columns:
            np.testing.assert_array_equal(value, columns[metric.name], err_msg=metric.name)
    assert set(found) == {metric.computed_by for metric in declared}
    times = Counter(name for held in found.values() for name in held)
    assert [name for name, k in times.items() if k > 1] == ["request_id"]  # a column of both files
    assert set(times) == {metric.name for metric in declared}


def test_metrics_on_demand_are_functions_of_their_own() -> None:
    own = {id(getattr(streaming, name)) for name in dir(streaming)} | {id(capacity.capacity)}
    homes_of = [metric.computed_by for metric in STREAMING_METRICS]
    assert len(set(homes_of)) == len(homes_of)
    assert {id(named(home)) for home in homes_of} <= own
