"""A server's make sets the keys that are not given, and a scenario that was written out again says the same."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import yaml

from discosim.cli_engine import FLAVOURS as OFFERED
from discosim.config import dump_scenario, load_scenario
from discosim.config.flavours import FLAVOURS
from discosim.config.shape import keys_of, without_none
from discosim.core.errors import UserError
from discosim.core.scenario import EngineServer
from discosim.runs.build_engine import engine_model


def server(**keys: Any) -> EngineServer:
    held = load_scenario(scenario(**keys)).server
    assert isinstance(held, EngineServer)
    return held


def scenario(**keys: Any) -> dict[str, Any]:
    return {
        "name": "flavours",
        "workload": {
            "kind": "generate",
            "n_requests": 10,
            "arrivals": {"kind": "poisson", "rate_per_s": 1.0},
            "lengths": {"kind": "constant", "prompt_tok": 100, "output_tok": 10},
        },
        "devices": [{"profile": "snapdragon-8-elite-llama-3.2-3b"}],
        "server": {
            "kind": "engine",
            "iterations": {"kind": "digest", "digest": "llama2-70b-a100-tp4"},
            "pilot_requests": 5,
            "prices": {"prompt_usd_per_mtok": 1, "output_usd_per_mtok": 1},
            **keys,
        },
        "cost": {"exchange_rate_usd_per_j": 0},
        "policies": [{"kind": "server_only"}],
    }


def test_every_flavour_that_may_be_written_is_known():
    members = get_args(without_none(keys_of(EngineServer)["flavour"].type)[0])
    assert set(members) == set(FLAVOURS) == set(OFFERED)


def test_a_make_sets_what_is_not_given():
    held = server(flavour="vllm-v1")
    assert (held.scheduler.kind, held.scheduler.options) == (
        "fcfs_chunked",
        {"token_budget": 2048, "preempts": "running", "blocks": "by_chunk"},
    )
    assert (held.max_batch, held.watermark, held.async_scheduling) == (256, 0.0, True)
    assert server(flavour="tgi-2").scheduler.kind == "tgi"
    assert server(flavour="sglang").block_tok == 1
    # what was the default before there were makes is V0's
    plain, v0 = server(), server(flavour="vllm-v0")
    assert {key for key in keys_of(EngineServer) if getattr(plain, key) != getattr(v0, key)} == {"flavour"}


def test_what_is_given_wins():
    held = server(flavour="vllm-v1", max_batch=64, async_scheduling=False)
    assert (held.max_batch, held.async_scheduling, held.watermark) == (64, False, 0.0)
    for scheduler in ({"token_budget": 8192}, {"kind": "fcfs_chunked", "token_budget": 8192}):
        options = server(flavour="vllm-v1", scheduler=scheduler).scheduler.options
        assert options == {"token_budget": 8192, "preempts": "running", "blocks": "by_chunk"}
    # another scheduler has options of its own
    assert server(flavour="tgi-2", scheduler={"kind": "fcfs_chunked"}).scheduler.options["preempts"] == "decoding"
    override = load_scenario(scenario(flavour="vllm-v1"), overrides=["server.scheduler.token_budget=4096"])
    assert override.server.scheduler.options["token_budget"] == 4096


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_written_scenario_is_a_fixed_point_and_says_all(flavour, monkeypatch):
    first = load_scenario(scenario(flavour=flavour, max_batch=77))
    text = dump_scenario(first)
    assert load_scenario(yaml.safe_load(text)) == first
    monkeypatch.setitem(FLAVOURS, flavour, {"scheduler": {"kind": "fcfs"}})  # even if a make should change
    assert load_scenario(yaml.safe_load(text)) == first
    assert engine_model(first.server).replica.max_batch == 77


def test_an_unknown_make_is_refused_with_those_there_are():
    with pytest.raises(UserError, match=r"server.flavour: unknown value 'vllm'; did you mean 'vllm-v1'"):
        server(flavour="vllm")


def test_a_scheduler_that_cannot_decide_ahead_says_so():
    with pytest.raises(UserError, match=r"server.async_scheduling: scheduler round_robin .* cannot decide ahead"):
        server(flavour="vllm-v1", scheduler={"kind": "round_robin"})
    server(flavour="vllm-v1", scheduler={"kind": "round_robin"}, async_scheduling=False)
