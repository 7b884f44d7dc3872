"""Small scenarios in which every policy, endpoint, scheduler and law has work to do, and hashes of what comes out.

They are a ruler, no golden truth: whoever moves code lays it on before and after. To renew the hashes after results
were meant to change, which is said in the change log as **results change**::

    python tests/same_bytes/small_worlds.py
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from discosim.config import load_scenario
from discosim.core.scenario import Scenario
from discosim.runs.result import RunResult
from discosim.runs.simulate import simulate

Plain = dict[str, Any]
HASHES = Path(__file__).parent / "hashes.json"
LONG = ("pd-device", "pice", "all-systems")
"""Those of which one replication says it: they take longest."""
SHIPPED = ("quickstart", "bounds", "engine", "pd-device", "pd-device-exact", "pice", "all-systems")

PRICES = {"prompt_usd_per_mtok": 0.7, "output_usd_per_mtok": 2.0}
PHONES = [
    {"profile": "snapdragon-8-elite-llama-3.2-3b", "share": 2},
    {
        "profile": "pixel-7-pro-bloom-1.1b",
        "throttle": {"onset_s": 4, "sustained": 0.5},
        "cold_start": {"load_s": 1.5, "keep_s": 20},
        "context": "extrapolate",
    },
]
CALM = {"kind": "poisson", "rate_per_s": 0.5}
SHORT = {"kind": "lognormal", "prompt_median_tok": 80, "output_median_tok": 40}


def _world(name: str, policies: list[Plain], **parts: Any) -> Plain:
    workload = {"kind": "generate", "n_requests": 60, "n_users": 12, "arrivals": CALM, "lengths": SHORT}
    plain: Plain = {
        "name": name,
        "seed": 7,
        "replications": 2,
        "workload": workload | parts.pop("workload", {}),
        "devices": PHONES,
        "server": {"kind": "replay", "digest": "openrouter-gpt-5.4", "prices": PRICES},
        "cost": {"exchange_rate_usd_per_j": 1e-7},
        "policies": policies,
    }
    return plain | parts


def _engine(digest: str, scheduler: Plain, **more: Any) -> Plain:
    iterations = {"kind": "digest", "digest": digest}
    return {
        "kind": "engine",
        "iterations": iterations,
        "scheduler": scheduler,
        "pilot_requests": 60,
        "prices": PRICES,
    } | more


RACERS: list[Plain] = [
    {"kind": "server_only", "n_retries": 1},
    {"kind": "device_only"},
    {"kind": "race"},
    {"kind": "stochastic"},
    {"kind": "disco", "name": "DiSCo-S", "constraint": "server", "budget": 0.4},
    {"kind": "disco", "name": "DiSCo-D", "constraint": "device", "budget": 0.4},
    {"kind": "optimal_wait", "constraint": "device", "budget": 0.4},
]
SKETCHERS: list[Plain] = [
    {"kind": "pice", "width": 2},
    {"kind": "fixed_rho"},
    {"kind": "edge_only"},
    {"kind": "edge_router"},
    {"kind": "skeleton_of_thought"},
]
TAKERS: list[Plain] = [
    {"kind": "pd_device"},
    {"kind": "pd_device", "name": "priced", "settings": "priced", "slot_limit_s": 2.0},
    {"kind": "pd_device", "name": "closed", "settings": "closed_loop", "pacer": "feedback"},
    {"kind": "kv_shipping", "kv_bytes_per_tok": 1e5},
    {"kind": "speculative"},
]
LOADED = {"arrivals": {"kind": "gamma", "rate_per_s": 3, "burstiness": 0.5}, "n_users": 60}
EDGE = {"profile": "m4-mac-mini-llama-3.2-3b", "link": {"kind": "lan", "mbit_per_s": 100}}

WORLDS: tuple[Plain, ...] = (
    _world("replay", [*RACERS, {"kind": "oracle", "constraint": "device", "budget": 0.4}]),
    _world(
        "refusals, jitter, a wandering link",
        RACERS,
        server={
            "kind": "replay",
            "digest": "llmperf-together-llama2-70b",
            "ttft_s_per_prompt_tok": 0.001,
            "tbt_jitter_p99_over_p50": 3,
            "failures": "measured",
            "failure_share": 0.2,
            "outages": [{"start_s": 30, "end_s": 50}],
            "prices": PRICES,
        },
        link={"kind": "digest", "digest": "lte-driving", "tokens_per_packet": 3, "uplink_mbit_per_s": 1},
    ),
    _world(
        "measured arrivals and lengths, no pacer",
        RACERS,
        workload={
            "arrivals": {"kind": "clients", "digest": "servegen-deepseek-r1", "rate_per_s": 0.5},
            "lengths": {"kind": "digest", "digest": "servegen-deepseek-r1"},
            "max_output_tok": 800,
            "over_limit": "clip",
        },
        reader={"tok_per_s": "reading", "pacer": False},
        link={"kind": "constant", "rtt_s": 0.08, "outages": [{"start_s": 20, "end_s": 25}]},
    ),
    _world(
        "services by name",
        [
            *RACERS[:2],
            {"kind": "server_only", "name": "own", "service": "own"},
            {"kind": "server_only", "name": "retry", "service": "quick", "n_retries": 2, "retry_service": "own"},
            {"kind": "race", "service": "quick"},
        ],
        services={
            "quick": {
                "kind": "replay",
                "digest": "llmperf-together-llama2-70b",
                "tbt_jitter_p99_over_p50": 3,
                "failures": "measured",
                "failure_share": 0.3,
                "prices": {"prompt_usd_per_mtok": 3, "output_usd_per_mtok": 9},
            },
            "own": _engine("opt-13b-a100-tp1", {"kind": "fcfs"}),
        },
        link={"kind": "digest", "digest": "lte-driving"},
    ),
    _world(
        "asked twice",
        [
            {"kind": "hedge", "tokens_per_request": 0.3, "bucket_size": 2},
            {"kind": "hedge", "name": "again", "second": "server", "quantile": 0.6, "window": 20},
            {"kind": "hedge", "name": "from quick", "service": "quick", "second": "server", "losers": "run_on"},
            {"kind": "hedge", "name": "knows nothing", "second": "quick", "initial": "none", "quantile": 0.5},
        ],
        services={
            "quick": {
                "kind": "replay",
                "digest": "llmperf-together-llama2-70b",
                "failures": "measured",
                "failure_share": 0.3,
                "prices": {"prompt_usd_per_mtok": 3, "output_usd_per_mtok": 9},
            },
        },
    ),
    _world(
        "chunks, and a router that errs",
        [*RACERS, {"kind": "router"}],
        server={
            "kind": "replay",
            "digest": "openrouter-gpt-5.4",
            "chunks": {"digest": "azure-gpt-3.5-0613-chunks"},
            "prices": PRICES,
        },
        link={"kind": "constant", "rtt_s": 0.05, "tokens_per_packet": 2},
        quality={"kind": "joint", "digest": "routellm-gsm8k", "by_length": True},
    ),
    _world("taking over from a replayed service", TAKERS, link={"kind": "constant", "rtt_s": 0.05}),
    _world(
        "sketches at a replayed service",
        SKETCHERS,
        edge=EDGE | {"sharing": "own"},
        answers={"kind": "labels"},
        quality={},
    ),
    _world(
        "engine",
        [*RACERS[:6], *TAKERS],
        workload=LOADED,
        server=_engine("opt-13b-a100-tp1", {"kind": "fcfs"}, kv_tok=6000, n_replicas=2, router="least_loaded"),
    ),
    _world(
        "chunks, pools, packets",
        [*RACERS[:3], *TAKERS[:2]],
        workload=LOADED,
        server=_engine(
            "llama2-70b-a100-tp4",
            {"kind": "fcfs_chunked", "token_budget": 128},
            prefill_pool={"kv_gbit_per_s": 5},
        ),
        link={"kind": "constant", "rtt_s": 0.05, "tokens_per_packet": 4},
    ),
    _world(
        "sketches at an engine",
        SKETCHERS,
        workload=LOADED,
        server=_engine("llama2-70b-a100-tp8", {"kind": "fcfs"}),
        edge=EDGE | {"n_boxes": 2, "memory_tok": 2000},
        quality={},
    ),
    *(
        _world(
            f"scheduler {kind}",
            [RACERS[0], RACERS[4]],
            workload=LOADED | {"lengths": {"kind": "lognormal", "prompt_median_tok": 200, "output_median_tok": 120}},
            server=_engine(
                "opt-66b-a100-tp4",
                {"kind": kind},
                kv_tok=4000,
                preemption={"kind": "swap", "host_kv_tok": 20_000} if is_swapping else {"kind": "recompute"},
            ),
        )
        for kind, is_swapping in (("andes_v1", True), ("andes_v2", False), ("andes_code", True), ("lqsf", False))
    ),
    _world(
        "vllm-v1",
        [RACERS[0], RACERS[4]],
        workload=LOADED,
        server=_engine("opt-66b-a100-tp4", {"token_budget": 512}, kv_tok=4000, flavour="vllm-v1"),
    ),
    _world(
        "scheduler tgi",
        [RACERS[0], RACERS[4]],
        workload=LOADED,
        server=_engine("opt-66b-a100-tp4", {"kind": "tgi"}, kv_tok=4000),
    ),
    _world(
        "round robin, prefixes",
        [RACERS[0]],
        workload={"kind": "replay", "file": "prefixes.jsonl", "n_users": 5},
        server=_engine("llama2-70b-h100-tp4", {"kind": "round_robin", "quantum": 20}, prefix_cache_tok=8192),
    ),
    _world(
        "prefixes inside the memory",
        [RACERS[0]],
        workload={"kind": "replay", "file": "prefixes.jsonl", "n_users": 5},
        server=_engine("llama2-70b-h100-tp4", {"kind": "fcfs"}, prefix_cache="inside", kv_tok=8192),
    ),
)


def scenario(world: Plain, folder: Path) -> Scenario:
    """Return a world's scenario; the trace that one of them replays is written into ``folder``."""
    if world["workload"]["kind"] == "replay":
        path = folder / world["workload"]["file"]
        path.write_text("".join(json.dumps(row) + "\n" for row in _prefixes()), encoding="utf-8")
        kept = {key: world["workload"][key] for key in ("kind", "n_users")}
        world = world | {"workload": {**kept, "file": str(path)}}
    return load_scenario(world)


def _prefixes() -> list[Plain]:
    """Return requests of which every third begins like the one before."""
    rng = np.random.default_rng(3)
    rows: list[Plain] = []
    for i in range(60):
        n_blocks = int(rng.integers(1, 6))
        start = rows[-1]["hash_ids"][:2] if i % 3 == 2 else []
        ids = [*start, *range(1000 * i, 1000 * i + n_blocks)]
        rows.append({"timestamp": 400 * i, "input_length": 512 * len(ids) - 100, "output_length": 30, "hash_ids": ids})
    return rows


def hashes_of(result: RunResult) -> dict[str, str]:
    """Return a hash of each table of a result, by content: names, types and every bit of every value."""
    summary = json.dumps(result.summary.to_json_dict(), sort_keys=True).encode()
    hashes = {
        "requests": _of_columns(result.columns),
        "replications": _of_columns(result.replication_columns),
        "example_tokens": _of_columns(result.example_columns),
        "summary": hashlib.sha256(summary).hexdigest()[:16],
    }
    if result.endpoint_columns:
        hashes["endpoints"] = _of_columns(result.endpoint_columns)
    return hashes


def _of_columns(columns: dict[str, Any]) -> str:
    text = hashlib.sha256()
    for name, values in columns.items():
        is_text = values.dtype.kind in "OU"
        content = json.dumps(values.tolist()).encode() if is_text else np.ascontiguousarray(values).tobytes()
        text.update(f"{name} {'text' if is_text else values.dtype.str} ".encode() + content)
    return text.hexdigest()[:16]


def shipped(name: str) -> Scenario:
    """Return a shipped scenario, a replication or two of it: the luck of a replication depends on none before it."""
    return load_scenario(name, overrides=[f"replications={1 if name in LONG else 2}"])


def all_hashes(names: Sequence[str] = SHIPPED) -> dict[str, dict[str, dict[str, str]]]:
    """Return the hashes of all worlds and of shipped scenarios."""
    with TemporaryDirectory() as folder:
        small = {world["name"]: hashes_of(simulate(scenario(world, Path(folder)))) for world in WORLDS}
    return {"small": small, "shipped": {name: hashes_of(simulate(shipped(name))) for name in names}}


if __name__ == "__main__":
    HASHES.write_text(json.dumps(all_hashes(), indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(f"{HASHES}\n")
