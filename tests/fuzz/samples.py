"""What random scenarios may hold where the declarations do not say it: the size of a run, and what has no default."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from discosim.traces.catalogue import list_digests

Rng = np.random.Generator
Plain = dict[str, Any]


def one_of(*values: Any) -> Callable[[Rng], Any]:
    return lambda rng: values[int(rng.integers(len(values)))]


def log_uniform(low: float, high: float) -> Callable[[Rng], float]:
    return lambda rng: float(np.exp(rng.uniform(np.log(low), np.log(high))))


def whole(low: int, high: int) -> Callable[[Rng], int]:
    return lambda rng: int(rng.integers(low, high + 1))


def digests(kind: str) -> Callable[[Rng], str]:
    names = [entry.name for entry in list_digests(kind)]
    return one_of(*names)


def window(rng: Rng) -> list[Plain]:
    start_s = float(rng.choice([0.0, 5.0, 60.0]))
    return [{"start_s": start_s, "end_s": start_s + float(rng.choice([0.5, 20.0, 1e4]))}][: int(rng.integers(2))]


SAMPLES: dict[tuple[str, str], Callable[[Rng], Any]] = {
    ("Scenario", "name"): one_of("fuzz", "a b", "größe", "1e3", "null", "x # y"),
    ("Scenario", "seed"): whole(0, 2**31),
    ("Scenario", "replications"): whole(1, 2),
    ("Scenario", "kernel"): one_of("auto", "simpy"),
    ("*", "rate_per_s"): log_uniform(0.02, 30.0),
    ("*", "n_requests"): whole(1, 25),
    ("*", "n_users"): one_of(3, 5, 40),
    ("*", "outages"): window,
    ("ConstantLengths", "prompt_tok"): one_of(1, 10, 300, 3000),
    ("ConstantLengths", "output_tok"): one_of(1, 2, 30, 400),
    ("LognormalLengths", "prompt_median_tok"): log_uniform(1.0, 500.0),
    ("LognormalLengths", "output_median_tok"): log_uniform(1.0, 200.0),
    ("*", "max_prompt_tok"): one_of(None, 50, 2000),
    ("*", "max_output_tok"): one_of(None, 20, 500),
    ("FileLengths", "file"): one_of("given later"),
    ("FileLengths", "format"): one_of("auto"),
    ("ReplayedWorkload", "past_share"): one_of(None, 0.2, 0.6),
    ("ReplayedWorkload", "time_unit"): one_of("auto", "s"),
    ("ReplayedWorkload", "columns"): one_of(()),
    ("*", "min_points"): whole(1, 3),
    ("DigestArrivals", "digest"): one_of("azure-conv", "azure-code", "mooncake-conversation"),
    ("DigestArrivals", "rate_profile"): one_of(False),
    ("ClientArrivals", "digest"): digests("clients"),
    ("ClosedLoopArrivals", "users"): one_of(3),  # replaced by the number of users
    ("ConstantThink", "mean_s"): one_of(0.0, 3.0),
    ("ExponentialThink", "mean_s"): log_uniform(0.01, 20.0),
    ("LognormalThink", "median_s"): log_uniform(0.01, 20.0),
    ("DigestLengths", "digest"): lambda rng: digests(one_of("workload", "clients")(rng))(rng),
    ("Device", "profile"): digests("device"),
    ("Device", "profile_file"): one_of(None),
    ("Device", "name"): one_of(None, "my phone"),
    ("Device", "prefill_tok_per_s"): one_of(None, 5.0, 300.0),
    ("Device", "chunk_tok"): one_of(None, "none", 1, 100),
    ("Device", "max_context_tok"): one_of(None, 200),
    ("Battery", "capacity_wh"): log_uniform(1e-4, 1e-2),
    ("Waiting", "wait_w"): one_of(0.0, 0.8),
    ("Waiting", "receive_w"): one_of(None, 0.0, 1.2),
    ("Device", "decode_tok_per_s"): one_of(None, 3.0, 40.0),
    ("Device", "prefill_s_per_tok"): one_of(None, 0.0, 0.01),
    ("Device", "prefill_intercept_s"): one_of(None, 0.0, 0.3),
    ("Device", "prefill_j_per_tok"): one_of(0.0, 0.2),
    ("Device", "decode_j_per_tok"): one_of(0.0, 0.4),
    ("Device", "decode_j_per_tok_per_b"): one_of(None, 0.1),
    ("Device", "decode_over_prefill"): one_of(None, 16.0),
    ("EdgeTier", "profile"): digests("device"),
    ("EdgeTier", "decode_tok_per_s"): one_of(None, 60.0),
    ("EdgeTier", "prefill_s_per_tok"): one_of(None, 0.0),
    ("LanLink", "mbit_per_s"): one_of(None, 1.0),
    ("Throttle", "onset_s"): one_of(0.0, 3.0),
    ("Throttle", "sustained"): one_of(0.3, 1.0),
    ("ColdStart", "load_s"): one_of(0.0, 2.0),
    ("LognormalResidual", "prefill_cv"): one_of(0.0, 0.3, 2.0),
    ("LognormalResidual", "first"): one_of(1.0, 2.5),
    ("QuantileResidual", "levels"): one_of((0, 0.9, 1)),
    ("QuantileResidual", "prefill"): one_of((0.7, 1.1, 4)),
    ("QuantileResidual", "decode"): one_of(None, (0.5, 1, 3)),
    ("QuantileResidual", "stall_share"): one_of(0.1),
    ("QuantileResidual", "stall_s"): one_of((0.5, 2, 20)),
    ("MeasuredHeat", "start"): one_of(0.0),
    ("GivenHeat", "heating_s"): log_uniform(0.5, 60.0),
    ("GivenHeat", "cooling_s"): log_uniform(0.5, 200.0),
    ("GivenHeat", "floor"): one_of(0.001, 0.4, 1.0),
    ("ReplayedServer", "digest"): digests("latency"),
    ("ReplayedServer", "ttft_s_per_prompt_tok"): one_of(0.0, 0.001),
    ("ReplayedServer", "ttft_reference_prompt_tok"): one_of(0, 100),
    ("ReplayedServer", "tbt_jitter_p99_over_p50"): one_of(1.0, 3.0),
    ("ReplayedServer", "chunks"): lambda rng: {"digest": digests("chunks")(rng)},
    ("ReplayedServer", "failure_share"): one_of(None, 0.3, 1.0),
    ("ReplayedServer", "failure_run"): one_of(3.0),
    ("ReplayedServer", "start_hour"): one_of(None, 0.0, 23.5),
    ("Capacity", "concurrent"): one_of(1, 3),
    ("Capacity", "tok_per_s"): one_of(50.0),
    ("RateLimit", "requests_per_s"): one_of(0.05, 2.0),
    ("RateLimit", "burst"): one_of(1, 4),
    ("Quota", "requests_per_user_per_day"): one_of(1, 5),
    ("Quota", "tok_per_user_per_day"): one_of(None, 400),
    ("*", "prompt_usd_per_mtok"): one_of(0, 0.7),
    ("*", "output_usd_per_mtok"): one_of(0, 2),
    ("*", "source"): one_of("", "a: b"),
    ("DigestIterations", "digest"): digests("engine"),
    ("ConstantIterations", "prefill_s"): log_uniform(0.01, 0.5),
    ("ConstantIterations", "decode_s"): log_uniform(0.005, 0.1),
    ("PhysicsIterations", "model"): one_of("Llama-3.1-8B"),
    ("PhysicsIterations", "model_file"): one_of(None),
    ("PhysicsIterations", "gpu"): one_of("H100-SXM", "RTXPRO6000"),
    ("PhysicsIterations", "tp"): one_of(1, 2),
    ("PhysicsIterations", "ep"): one_of(1),
    ("PhysicsIterations", "memory_share"): one_of(0.9),
    ("PhysicsIterations", "coefficients"): one_of(None),
    ("EngineServer", "n_replicas"): whole(1, 3),
    ("EngineServer", "kv_tok"): one_of(400, 5000, 60_000),
    ("EngineServer", "kv_bytes_per_tok"): one_of(1e5, 1e6),
    ("EngineServer", "max_batch"): one_of(1, 4, 256),
    ("EngineServer", "max_context_tok"): one_of(None, 2000),
    ("EngineServer", "prefix_cache_tok"): one_of(0),
    ("EngineServer", "pilot_requests"): whole(1, 40),
    ("PrefillPool", "kv_gbit_per_s"): log_uniform(0.05, 200.0),
    ("PrefillPool", "latency_s"): one_of(0.0, 0.01),
    ("Swap", "host_kv_tok"): one_of(500, 100_000),
    ("ConstantLink", "rtt_s"): one_of(0, 0.05, 0.8),
    ("*", "uplink_mbit_per_s"): one_of(None, 0.5),
    ("*", "tokens_per_packet"): one_of(1, 1, 2, 7),
    ("DigestLink", "digest"): digests("rtt"),
    ("DigestLink", "digest_file"): one_of(None),
    ("DigestLink", "series"): one_of(None),
    ("DigestLink", "series_format"): one_of("auto"),
    ("DigestLink", "series_group"): one_of(None),
    ("JointQuality", "digest"): digests("quality"),
    ("Reader", "tok_per_s"): one_of(4.8, 1.0, 30.0, "reading", "listening"),
    ("Reader", "ttft_prompt_tok_per_s"): one_of(None, 5000.0, 40.0),
    ("EdgeTier", "memory_tok"): one_of(300, 16384),
    ("Cost", "exchange_rate_usd_per_j"): one_of(0, 1e-7, 1e-5),
    ("ServerOnly", "n_retries"): whole(0, 2),
    ("*", "service"): one_of("server"),
    ("Hedge", "second"): one_of("device", "device", "server"),
    ("Hedge", "quantile"): one_of(0.0, 0.5, 0.9),
    ("Hedge", "window"): one_of(1, 20),
    ("Hedge", "bucket_size"): one_of(1.0, 3.0),
    ("*", "retry_service"): one_of(None),
    ("KVShipping", "kv_bytes_per_tok"): log_uniform(1e4, 1e6),
    ("PDDevice", "cloud_tok"): one_of(None, 1, 20),
    ("PDDevice", "slot_limit_s"): one_of(None, 0.5),
    ("PDDevice", "reprice_every_s"): one_of(None, 5.0),
    ("PDDevice", "cloud_slots"): one_of(None, 2.0),
    ("FcfsChunked", "token_budget"): one_of(16, 512),
    ("Tgi", "max_batch_total_tok"): one_of(None, 3000),
    ("Tgi", "max_new_tok"): one_of(None, 50),
    ("SkeletonOfThought", "max_points"): whole(3, 12),
    ("BurstArrivals", "intensity"): one_of(1.0, 1.4),
    ("BurstArrivals", "width"): one_of(0.1, 0.65),
    ("AndesV1", "max_preemptions"): one_of(None, 0.4, 1.0),
    ("*", "solver"): one_of("greedy"),
}
