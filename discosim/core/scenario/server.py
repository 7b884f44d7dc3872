"""The service, seen from outside or from inside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from discosim.core.scenario.engine import Iterations, Preemption, PrefillPool, Recompute, SchedulerSpec
from discosim.core.scenario.limits import Capacity, Quota, RateLimit
from discosim.core.scenario.outage import Outage
from discosim.core.scenario.prices import Prices
from discosim.core.spec import spec


@dataclass(frozen=True, kw_only=True)
class Chunks:
    """How many tokens of a stream come together, and how long gaps between such events are."""

    digest: str | None = spec(
        None, doc="Name of a digest of chunks (`discosim traces list`); either this or `digest_file`."
    )
    digest_file: str | None = spec(
        None,
        doc="Path of a digest of your own streams (`discosim traces digest-chunks`), relative to the config file.",
    )


@dataclass(frozen=True, kw_only=True)
class ReplayedServer:
    """A service seen from outside: TTFT and TPOT replayed from a measured digest or from a raw series."""

    kind: Literal["replay"] = spec("replay", doc="Replay measured TTFT and TPOT.")
    digest: str | None = spec(
        None, doc="Name of a latency digest (`discosim traces list`); either this, `digest_file` or `series`."
    )
    digest_file: str | None = spec(
        None,
        doc="Path of a digest of your own service (`discosim traces digest-latency`), relative to the config file.",
    )
    series: str | None = spec(
        None,
        doc="Path of a per-request latency file, relative to the config file, replayed in order from a random start.",
    )
    series_format: str = spec("auto", doc="Format of `series`.")
    series_group: str | None = spec(None, doc="Which service of `series`, where it holds several.", min_length=1)
    series_unit: Literal["auto", "s", "ms", "us", "ns"] = spec(
        "auto", doc="What the times of `series` are in; auto is the format's own unit.", since="0.2"
    )
    ttft_s_per_prompt_tok: float = spec(
        0.0, doc="Extra TTFT per prompt token above `ttft_reference_prompt_tok`.", unit="s/tok", ge=0
    )
    ttft_reference_prompt_tok: int = spec(0, doc="Prompt length at which the digest was measured.", unit="tok", ge=0)
    tbt_jitter_p99_over_p50: float = spec(
        1.0, doc="Ratio p99/p50 of log-normal gaps inside one answer; 1 gives equal gaps.", ge=1
    )
    chunks: Chunks | None = spec(
        None,
        doc="Let tokens arrive in bursts as measured, at the same TTFT and time per token; null for one by one.",
        since="0.2",
    )
    failures: Literal["off", "measured", "runs"] = spec(
        "off",
        doc="`measured` lets requests fail with the measured share, each by itself; `runs` in runs, as long as measured.",
    )
    failure_share: float | None = spec(
        None, doc="Replace the measured share; has no effect where failures are off.", ge=0, le=1
    )
    failure_run: float | None = spec(
        None, doc="Replace the measured mean number of refusals in a row; needs `failures: runs`.", ge=1, since="0.2"
    )
    failure_after_s: float = spec(
        0.5, doc="Time at the server before a failing request is refused (our choice).", unit="s", ge=0
    )
    outages: tuple[Outage, ...] = spec((), doc="Outage windows.")
    ttft_slope: Literal["measured", "off"] = spec(
        "measured",
        doc="`measured` lets the TTFT grow with the prompt as own rows show it, where they do and `ttft_s_per_prompt_tok` is 0.",
        since="0.2",
    )
    start_hour: float | None = spec(
        None,
        doc="Hour of the day at time 0: times follow the hours of own rows that show them; null for no hours.",
        unit="h",
        ge=0,
        lt=24,
        since="0.2",
    )
    capacity: Capacity | None = spec(
        None,
        doc="What it works on at once, and queues beyond; null for a service that load does not change.",
        since="0.2",
    )
    rate_limit: RateLimit | None = spec(None, doc="Requests that it takes a second; null for no limit.", since="0.2")
    quota: Quota | None = spec(None, doc="What a user may ask for in a day; null for no limit.", since="0.2")
    prices: Prices = spec(doc="Prices.")


@dataclass(frozen=True, kw_only=True)
class EngineServer:
    """A service seen from inside: continuous batching, KV memory and a scheduler; its queue answers to the load."""

    kind: Literal["engine"] = spec("engine", doc="Simulate an inference engine.")
    flavour: Literal["vllm-v1", "vllm-v0", "tgi-2", "sglang"] | None = spec(
        None,
        doc="The make of the server: sets scheduler, batch and memory keys that are not given to its defaults; null for none.",
        since="0.2",
    )
    iterations: Iterations = spec(doc="How long an iteration takes.", discriminator="kind")
    n_replicas: int = spec(1, doc="Replicas (of the decode pool, where prefill has its own).", ge=1)
    lockstep: bool = spec(
        False,
        doc="Let the replicas step together, each iteration as long as the slowest's: data parallelism with expert parallelism; a cost model with experts sees the tokens of all.",
        since="0.2",
    )
    router: Literal["round_robin", "least_loaded", "shortest_queue"] = spec(
        "round_robin",
        doc="Who gets a request: the next replica, the one with fewest live requests, or the one with fewest tokens to prefill.",
    )
    scheduler: SchedulerSpec = spec(
        SchedulerSpec, doc="Who decides what a replica does next (`discosim explain scheduler`)."
    )
    kv_tok: int | None = spec(None, doc="KV memory of a replica; null takes the digest's.", unit="tok", ge=1)
    kv_bytes_per_tok: float | None = spec(
        None, doc="Size of one token's KV cache; null takes the digest's.", unit="B", gt=0
    )
    block_tok: int = spec(16, doc="Tokens per KV block (vLLM's default, recollected).", unit="tok", ge=1)
    watermark: float = spec(
        0.01, doc="Share of the blocks that admission leaves free (vLLM's default in V0; V1 has none).", ge=0, lt=1
    )
    max_batch: int = spec(
        256,
        doc="Most requests in a batch (vLLM's default; V1's is 1,024 on GPUs of 70 GiB and more, A100 aside).",
        ge=1,
    )
    max_context_tok: int | None = spec(
        None, doc="Longest prompt plus answer, longer ones are rejected; null takes the digest's.", unit="tok", ge=1
    )
    async_scheduling: bool = spec(
        False,
        doc="Decide on an iteration while the one before runs, on what had happened when that one began (vLLM's default since 0.16).",
        since="0.2",
    )
    preemption: Preemption = spec(Recompute, doc="What happens to a preempted request.", discriminator="kind")
    prefix_cache: Literal["beside", "inside"] = spec(
        "beside",
        doc="`inside`: free blocks of the KV memory keep what they hold until they are taken, least recently used first; preempted requests and, in a trace with `hash_ids`, prompts find it (vLLM V1, SGLang). `beside`: see `prefix_cache_tok`.",
        since="0.2",
    )
    prefix_cache_tok: int = spec(
        0,
        doc="Prompt tokens whose prefix a replica remembers, beside its KV memory, least recently used out first; needs a trace with `hash_ids`. A hit saves prefill time.",
        unit="tok",
        ge=0,
    )
    prefix_block_tok: int = spec(512, doc="Tokens per hashed block of the trace (Mooncake: 512).", unit="tok", ge=1)
    prefill_pool: PrefillPool | None = spec(None, doc="Replicas of their own for prefill; null for none.")
    pilot_requests: int = spec(
        2000, doc="Requests of the pilot run whose TTFTs are the history that policies learn from.", ge=1
    )
    prices: Prices = spec(doc="Prices.")


Server = ReplayedServer | EngineServer
