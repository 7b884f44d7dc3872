"""Runs in which planned requests go over the engine without sessions: who has done them, and what comes out."""

from __future__ import annotations

from unittest import mock

import pytest

from discosim.config import load_scenario
from discosim.core.undecided import UndecidedError
from discosim.runs.replicate import _replicate
from discosim.runs.simulate import simulate
from discosim.world.dispatched.planned_run import PlannedRun

SCENARIO = {
    "name": "planned",
    "workload": {
        "kind": "generate",
        "n_requests": 60,
        "n_users": 40,
        "arrivals": {"kind": "poisson", "rate_per_s": 1.5},
        "lengths": {"kind": "digest", "digest": "sharegpt"},
        "max_prompt_tok": 1024,
        "max_output_tok": 1000,
        "over_limit": "clip",
    },
    "devices": [{"profile": "snapdragon-8-elite-llama-3.2-3b"}],
    "server": {
        "kind": "engine",
        "iterations": {"kind": "digest", "digest": "opt-66b-a100-tp4"},
        "prices": {"prompt_usd_per_mtok": 0.5, "output_usd_per_mtok": 1.5},
        "pilot_requests": 50,
    },
    "cost": {"exchange_rate_usd_per_j": 1e-7},
    "policies": [
        {"kind": "race"},
        {"kind": "disco", "constraint": "device", "budget": 0.3, "migration": False},
        {"kind": "disco", "name": "changing hands", "constraint": "device", "budget": 0.3},
    ],
}


@pytest.mark.parametrize(("switch", "way"), [("kernel", "compiled planned engine"), ("no_kernel", "planned engine")])
def test_a_run_says_who_has_done_its_requests_and_comes_out_the_same(switch, way, request):
    request.getfixturevalue(switch)
    auto, simpy = (
        simulate(load_scenario(SCENARIO, overrides=[f"kernel={kernel}", "replications=1"]))
        for kernel in ("auto", "simpy")
    )
    assert [set(done) for done in auto.kernels.values()] == [{"simpy", way}] * 3
    assert all(done[way] == 60 and not done["simpy"] for done in auto.kernels.values())
    assert all(set(done) == {"simpy"} for done in simpy.kernels.values())
    for name in ("columns", "replication_columns", "example_tokens"):
        ours, theirs = getattr(auto, name), getattr(simpy, name)
        assert repr(ours) == repr(theirs), name
    assert repr(auto.summary) == repr(simpy.summary)


def test_what_cannot_be_done_after_all_goes_through_simpy():
    with (
        mock.patch.object(PlannedRun, "over", side_effect=UndecidedError),
        mock.patch("discosim.runs.replicate._replicate", side_effect=_replicate) as tries,
    ):
        found = simulate(load_scenario(SCENARIO, overrides=["replications=1"]))
    assert tries.call_count == 6
    assert all(done == {"simpy": 60} for done in found.kernels.values())
