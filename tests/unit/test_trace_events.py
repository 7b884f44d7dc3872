"""The timeline for Perfetto: well-formed, complete, and in agreement with the run."""

from __future__ import annotations

import itertools
import json

import pytest

from discosim.config import load_scenario
from discosim.core.errors import UserError
from discosim.runs.simulate import simulate
from discosim.runs.trace_events import write_trace_events

SETS = ["replications=1", "workload.n_requests=60", "server.pilot_requests=20", "server.n_replicas=2"]


@pytest.fixture(scope="module")
def scenario():
    return load_scenario("engine", overrides=SETS)


@pytest.fixture(scope="module")
def events(scenario, tmp_path_factory):
    path = tmp_path_factory.mktemp("events") / "timeline.json"
    assert "left out" not in write_trace_events(scenario, path, "DiSCo-D+M")
    assert list(path.parent.iterdir()) == [path]
    return json.loads(path.read_text())["traceEvents"]


def test_iterations_lie_side_by_side_on_their_replica(events):
    slices = [event for event in events if event["ph"] == "X"]
    assert {event["name"] for event in slices} <= {"prefill", "decode", "mixed", "swap"}
    for pid in (0, 1):
        mine = sorted((e for e in slices if e["pid"] == pid), key=lambda e: e["ts"])
        assert mine
        for before, after in itertools.pairwise(mine):
            assert before["dur"] > 0
            assert after["ts"] >= before["ts"] + before["dur"] - 1e-3  # microseconds
        assert any(e["ph"] == "M" and e["pid"] == pid and e["args"]["name"] == f"replica {pid}" for e in events)


def test_requests_begin_and_end_in_pairs_and_agree_with_the_table(scenario, events):
    table = simulate(scenario).requests
    mine = table[table.policy == "DiSCo-D+M"].set_index("request_id")
    begun = {(e["name"], e["id"]): e["ts"] for e in events if e["ph"] == "b"}
    ended = {(e["name"], e["id"]): e["ts"] for e in events if e["ph"] == "e"}
    assert begun.keys() == ended.keys()
    for (name, request_id), ts in begun.items():
        row = mine.loc[request_id]
        if name.endswith("waiting"):
            assert ts == pytest.approx(1e6 * row.arrival_s)
            assert ended[name, request_id] - ts == pytest.approx(1e6 * row.ttft_s, rel=1e-6, abs=1)
    assert sum(e["ph"] == "n" for e in events) == mine.n_migrations.sum() > 0


def test_a_policy_that_is_not_there_is_named(scenario, tmp_path):
    with pytest.raises(UserError, match="Known: DiSCo-D, "):
        write_trace_events(scenario, tmp_path / "x.json", "DiSCo-X")
    assert list(tmp_path.iterdir()) == []
