"""The server around the iteration times: what a scenario says of it, or its make and settings do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from discosim.calibrate.fit import MakeModel
from discosim.config import load_scenario
from discosim.core.errors import UserError
from discosim.core.scenario import EngineServer, Scenario
from discosim.runs.build_engine import engine_model
from discosim.traces.server_meta import ServerMeta
from discosim.world.engine.costs.base import CostModel
from discosim.world.engine.engine import EngineModel

_STAND_IN: Mapping[str, Any] = {"kind": "constant", "prefill_s": 1.0, "decode_s": 1.0}
_PRICES: Mapping[str, Any] = {"prompt_usd_per_mtok": 0.0, "output_usd_per_mtok": 0.0, "source": "assumption"}


def server_keys(
    flavour: str,
    meta: ServerMeta | None = None,
    *,
    max_batch: int | None = None,
    token_budget: int | None = None,
    n_replicas: int | None = None,
) -> dict[str, Any]:
    """Return the keys of a scenario's ``server`` that a make, a server's own settings and options say.

    Options come before settings, settings before what the make does by default.
    """
    keys: dict[str, Any] = {"kind": "engine", "flavour": flavour}
    batch = max_batch or (meta.max_num_seqs if meta else None)
    budget = token_budget or (meta.max_num_batched_tok if meta else None)
    replicas = n_replicas or (meta.data_parallel if meta else None)
    if batch:
        keys["max_batch"] = batch
    if budget and flavour == "vllm-v1":
        keys["scheduler"] = {"kind": "fcfs_chunked", "token_budget": budget}
    elif budget and flavour in {"vllm-v0", "sglang"}:
        keys["scheduler"] = {"kind": "fcfs", "max_prefill_tok": budget}
    elif budget:
        keys["scheduler"] = {"kind": "tgi", "max_batch_prefill_tok": budget}
    if replicas and replicas > 1:
        keys["n_replicas"] = replicas
        if meta is not None and meta.expert_parallel:
            keys["lockstep"] = True
    if meta is not None and meta.async_scheduling is not None:
        keys["async_scheduling"] = meta.async_scheduling
    if meta is not None and meta.block_tok:
        keys["block_tok"] = meta.block_tok
    return keys


def scenario_of(
    keys: Mapping[str, Any], digest: Path | None, workload: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return a whole scenario, as plain data, of a server and its digest."""
    iterations = _STAND_IN if digest is None else {"kind": "file", "file": str(digest)}
    stand_in = {} if digest is not None else {"kv_tok": 1_000_000}
    return {
        "name": "calibrated",
        "workload": workload
        or {
            "kind": "generate",
            "n_requests": 300,
            "arrivals": {"kind": "poisson", "rate_per_s": 1.0},
            "lengths": {"kind": "constant", "prompt_tok": 500, "output_tok": 200},
        },
        "devices": [{"profile": "snapdragon-8-elite-llama-3.2-3b"}],
        "server": {**keys, **stand_in, "iterations": dict(iterations), "prices": dict(_PRICES)},
        "link": {"kind": "constant", "rtt_s": 0.0},
        "cost": {"exchange_rate_usd_per_j": 1.0e-7},
        "policies": [{"kind": "server_only"}],
    }


def engine_of(scenario: Scenario) -> EngineServer:
    """Return the white-box server of a scenario; refuse another."""
    if not isinstance(scenario.server, EngineServer):
        raise UserError(f"expected an engine (got kind {scenario.server.kind})", where="server.kind")
    return scenario.server


def server_of(keys: Mapping[str, Any]) -> EngineServer:
    """Return the server of such keys, checked as a scenario's is."""
    return engine_of(load_scenario(scenario_of(keys, None)))


def maker(server: EngineServer) -> MakeModel:
    """Return what makes this server's engine with other iteration times and another KV memory."""
    base = engine_model(server)

    def make(cost: CostModel, kv_tok: float) -> EngineModel:
        blocks = max(1, int(kv_tok) // base.replica.block_tok)
        return replace(
            base,
            replica=replace(base.replica, cost=cost, kv_blocks=blocks),
            max_context_tok=None,
            fastest_iteration_s=1e-6,
        )

    return make
