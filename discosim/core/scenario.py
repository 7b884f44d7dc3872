"""The scenario: frozen plain data that holds everything which decides a result.

Each class is one ``kind:`` of one section of a YAML file. Ranges and meanings stand in the fields, so that the
config layer, the JSON Schema and the reference page are all read off this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from discosim.core.edge_scenario import Answers, EdgeTier, Quality, ShareOfAnswers
from discosim.core.engine_scenario import Iterations, Preemption, PrefillPool, Recompute, SchedulerSpec
from discosim.core.spec import spec

# --- workload -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class PoissonArrivals:
    """Exponential gaps between requests."""

    kind: Literal["poisson"] = spec("poisson", doc="Exponential gaps.")
    rate_per_s: float = spec(doc="Mean request rate over all users.", unit="1/s", gt=0)


@dataclass(frozen=True, kw_only=True)
class GammaArrivals:
    """Gamma gaps; smaller burstiness is burstier, 1 is Poisson (the convention of vLLM's load generator)."""

    kind: Literal["gamma"] = spec("gamma", doc="Gamma gaps.")
    rate_per_s: float = spec(doc="Mean request rate over all users.", unit="1/s", gt=0)
    burstiness: float = spec(1.0, doc="Shape of the gamma law; CV of the gaps is 1/sqrt(burstiness).", gt=0)


@dataclass(frozen=True, kw_only=True)
class BurstArrivals:
    """Andes' two-phase load: a burst, then a calm phase, Poisson inside each."""

    kind: Literal["burst"] = spec("burst", doc="Alternating burst and calm phases.")
    rate_per_s: float = spec(doc="Mean request rate over a whole cycle.", unit="1/s", gt=0)
    intensity: float = spec(2.0, doc="Burst rate over mean rate; intensity * width must stay below 1.", ge=1)
    width: float = spec(0.35, doc="Share of the cycle that is burst.", gt=0, lt=1)
    cycle_s: float = spec(1200.0, doc="Length of one cycle.", unit="s", gt=0)


@dataclass(frozen=True, kw_only=True)
class DigestArrivals:
    """Gaps drawn from the measured gap law of a workload digest, with its lag-1 autocorrelation."""

    kind: Literal["digest"] = spec("digest", doc="Gaps from a measured digest.")
    digest: str = spec(doc="Name of a workload digest (`discosim traces list`).", min_length=1)
    rate_per_s: float | None = spec(
        None, doc="Scale the gaps to this mean rate; null keeps the measured one.", unit="1/s", gt=0
    )
    rate_profile: bool = spec(False, doc="Use rate-detrended gaps and replay the measured slow rate profile.")


@dataclass(frozen=True, kw_only=True)
class ClientArrivals:
    """Superposed renewal processes, one per client of a client-level digest (ServeGen's view)."""

    kind: Literal["clients"] = spec("clients", doc="One renewal process per measured client.")
    digest: str = spec(doc="Name of a client-level digest.", min_length=1)
    rate_per_s: float | None = spec(None, doc="Scale all clients to this total mean rate.", unit="1/s", gt=0)
    start_hour: float = spec(0.0, doc="Hour of the measured day at which the simulation starts.", unit="h", ge=0, lt=24)


Arrivals = PoissonArrivals | GammaArrivals | BurstArrivals | DigestArrivals | ClientArrivals


@dataclass(frozen=True, kw_only=True)
class ConstantLengths:
    """Every request alike."""

    kind: Literal["constant"] = spec("constant", doc="Every request alike.")
    prompt_tok: int = spec(doc="Prompt tokens.", unit="tok", ge=1)
    output_tok: int = spec(doc="Output tokens.", unit="tok", ge=1)


@dataclass(frozen=True, kw_only=True)
class LognormalLengths:
    """Independent log-normal prompt and output lengths, rounded, at least one token."""

    kind: Literal["lognormal"] = spec("lognormal", doc="Independent log-normal lengths.")
    prompt_median_tok: float = spec(doc="Median prompt length.", unit="tok", ge=1)
    prompt_sigma: float = spec(1.0, doc="Sigma of log prompt length.", ge=0)
    output_median_tok: float = spec(doc="Median output length.", unit="tok", ge=1)
    output_sigma: float = spec(0.7, doc="Sigma of log output length.", ge=0)


@dataclass(frozen=True, kw_only=True)
class DigestLengths:
    """Prompt and output lengths drawn jointly from a workload digest."""

    kind: Literal["digest"] = spec("digest", doc="Joint lengths from a measured digest.")
    digest: str = spec(doc="Name of a workload digest (`discosim traces list`).", min_length=1)


@dataclass(frozen=True, kw_only=True)
class FileLengths:
    """Prompt and output lengths of a file of your own: a table of lengths, or the lengths of a request trace."""

    kind: Literal["file"] = spec("file", doc="Joint lengths from a file.")
    file: str = spec(doc="Path of the table of lengths or of a trace, relative to the config file.", min_length=1)
    format: str = spec("auto", doc="Format of the file (`discosim traces check` names it); auto looks at the header.")
    order: Literal["resample", "in_order"] = spec(
        "resample",
        doc="`resample` draws rows with replacement; `in_order` takes them one after another and begins again at the end.",
    )


Lengths = ConstantLengths | LognormalLengths | DigestLengths | FileLengths


@dataclass(frozen=True, kw_only=True)
class GeneratedWorkload:
    """Requests drawn from an arrival law and a length law, anew in every replication."""

    kind: Literal["generate"] = spec("generate", doc="Draw requests from laws.")
    n_requests: int = spec(1000, doc="Requests per replication.", ge=1)
    n_users: int = spec(100, doc="Users (one device each); requests are given to users uniformly at random.", ge=1)
    arrivals: Arrivals = spec(doc="Arrival law.", discriminator="kind")
    lengths: Lengths = spec(doc="Length law.", discriminator="kind")
    max_prompt_tok: int | None = spec(None, doc="Longest accepted prompt.", unit="tok", ge=1)
    max_output_tok: int | None = spec(None, doc="Longest accepted output.", unit="tok", ge=1)
    over_limit: Literal["reject", "clip"] = spec(
        "reject",
        doc="What happens above a limit: the request is kept as `rejected`, or clipped; both are counted.",
    )


@dataclass(frozen=True, kw_only=True)
class ReplayedWorkload:
    """Requests read from a trace file; the same in every replication."""

    kind: Literal["replay"] = spec("replay", doc="Replay a trace file.")
    file: str = spec(doc="Path of the trace, relative to the config file.", min_length=1)
    format: str = spec("auto", doc="Trace format (`discosim traces check` names it); auto looks at the header.")
    time_unit: Literal["auto", "s", "ms", "us", "ns"] = spec(
        "auto", doc="What the arrivals in the file are in; auto takes what its format declares.", since="0.2"
    )
    n_requests: int | None = spec(None, doc="Use the first so many requests.", ge=1)
    n_users: int = spec(100, doc="Users (one device each), where the trace names none.", ge=1)
    time_scale: float = spec(1.0, doc="Multiply every arrival time by this.", gt=0)
    ties: Literal["keep", "spread"] = spec(
        "keep", doc="`spread` places requests of one clock tick uniformly inside it."
    )
    max_prompt_tok: int | None = spec(None, doc="Longest accepted prompt.", unit="tok", ge=1)
    max_output_tok: int | None = spec(None, doc="Longest accepted output.", unit="tok", ge=1)
    over_limit: Literal["reject", "clip"] = spec("reject", doc="What happens above a limit; counted either way.")
    past_share: float | None = spec(
        None,
        doc="Hold this first share of the requests out: policies learn from it, and the run is the rest. Null lets them "
        "learn from blocks drawn anew from the trace's own law.",
        gt=0,
        lt=1,
        since="0.2",
    )


Workload = GeneratedWorkload | ReplayedWorkload

# --- device ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Throttle:
    """A two-speed thermal model: a device that has been busy too long runs at a sustained fraction of its speed."""

    onset_s: float = spec(doc="Busy time at full speed before throttling, from cold.", unit="s", ge=0)
    sustained: float = spec(doc="Speed while hot, as a share of full speed.", gt=0, le=1)
    cooling: float = spec(1.0, doc="Seconds of heat lost per idle second.", gt=0)


@dataclass(frozen=True, kw_only=True)
class ColdStart:
    """A model that has to be loaded before the device can work, and is dropped from memory when idle for long."""

    load_s: float = spec(doc="Time to load the model.", unit="s", ge=0)
    keep_s: float = spec(300.0, doc="Idle time after which the model is dropped.", unit="s", ge=0)


@dataclass(frozen=True, kw_only=True)
class Device:
    """One kind of device of the fleet: a measured profile, and what the scenario changes about it."""

    profile: str = spec(doc="Name of a device profile (`discosim traces list`).", min_length=1)
    share: float = spec(1.0, doc="Share of the users who own it (shares are normalised).", gt=0)
    decode_tok_per_s: float | None = spec(None, doc="Replace the measured decode rate.", unit="tok/s", gt=0)
    prefill_s_per_tok: float | None = spec(None, doc="Replace the measured prefill time per token.", unit="s/tok", ge=0)
    prefill_intercept_s: float | None = spec(None, doc="Replace the measured fixed prefill time.", unit="s", ge=0)
    prefill_j_per_tok: float | None = spec(None, doc="Replace the energy per prompt token.", unit="J/tok", ge=0)
    decode_j_per_tok: float | None = spec(None, doc="Replace the energy per decoded token.", unit="J/tok", ge=0)
    context: Literal["enforce", "extrapolate"] = spec(
        "enforce", doc="Fail above the profile's context length, or extrapolate its speed."
    )
    throttle: Throttle | None = spec(None, doc="Thermal throttling; null for none.")
    cold_start: ColdStart | None = spec(None, doc="Loading the model; null for a model that is always in memory.")


# --- server ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Prices:
    """What the server bills."""

    prompt_usd_per_mtok: float = spec(doc="Price of a million prompt tokens.", unit="USD", ge=0)
    output_usd_per_mtok: float = spec(doc="Price of a million output tokens.", unit="USD", ge=0)
    source: str = spec("", doc="Where the price is known from; printed with every result.")


@dataclass(frozen=True, kw_only=True)
class Outage:
    """A window in which a server refuses every request, or a last hop lets nothing pass."""

    start_s: float = spec(doc="Start of the window.", unit="s", ge=0)
    end_s: float = spec(doc="End of the window.", unit="s", gt=0)


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
    series_unit: Literal["auto", "s", "ms", "us"] = spec(
        "auto", doc="What the times of `series` are in; auto is the format's own unit.", since="0.2"
    )
    ttft_s_per_prompt_tok: float = spec(
        0.0, doc="Extra TTFT per prompt token above `ttft_reference_prompt_tok`.", unit="s/tok", ge=0
    )
    ttft_reference_prompt_tok: int = spec(0, doc="Prompt length at which the digest was measured.", unit="tok", ge=0)
    tbt_jitter_p99_over_p50: float = spec(
        1.0, doc="Ratio p99/p50 of log-normal gaps inside one answer; 1 gives equal gaps.", ge=1
    )
    failures: Literal["off", "measured"] = spec("off", doc="`measured` lets requests fail with the measured share.")
    failure_share: float | None = spec(None, doc="Replace the measured share; needs `failures: measured`.", ge=0, le=1)
    failure_after_s: float = spec(
        0.5, doc="Time at the server before a failing request is refused (our choice).", unit="s", ge=0
    )
    outages: tuple[Outage, ...] = spec((), doc="Outage windows.")
    prices: Prices = spec(doc="Prices.")


@dataclass(frozen=True, kw_only=True)
class EngineServer:
    """A service seen from inside: continuous batching, KV memory and a scheduler; its queue answers to the load."""

    kind: Literal["engine"] = spec("engine", doc="Simulate an inference engine.")
    iterations: Iterations = spec(doc="How long an iteration takes.", discriminator="kind")
    n_replicas: int = spec(1, doc="Replicas (of the decode pool, where prefill has its own).", ge=1)
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
    watermark: float = spec(0.01, doc="Share of the blocks that admission leaves free (vLLM's default).", ge=0, lt=1)
    max_batch: int = spec(256, doc="Most requests in a batch (vLLM's default).", ge=1)
    max_context_tok: int | None = spec(
        None, doc="Longest prompt plus answer, longer ones are rejected; null takes the digest's.", unit="tok", ge=1
    )
    preemption: Preemption = spec(Recompute, doc="What happens to a preempted request.", discriminator="kind")
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

# --- last hop -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class NoLink:
    """No last hop: the client stands where the latency was measured."""

    kind: Literal["none"] = spec("none", doc="No delay.")


@dataclass(frozen=True, kw_only=True)
class ConstantLink:
    """A fixed round trip."""

    kind: Literal["constant"] = spec("constant", doc="A fixed round trip.")
    rtt_s: float = spec(doc="Round-trip time.", unit="s", ge=0)
    up_share: float = spec(0.5, doc="Share of the round trip spent upwards.", ge=0, le=1)
    tokens_per_packet: int = spec(1, doc="Tokens the server sends together.", ge=1)
    uplink_mbit_per_s: float | None = spec(
        None, doc="Bandwidth for prompts and hand-over payloads; null for infinite.", unit="Mbit/s", gt=0
    )
    outages: tuple[Outage, ...] = spec((), doc="Windows in which nothing passes; messages wait until they end.")


@dataclass(frozen=True, kw_only=True)
class DigestLink:
    """A round trip that wanders as a measured RTT series does."""

    kind: Literal["digest"] = spec("digest", doc="Round trips from a measured digest.")
    digest: str = spec(doc="Name of a round-trip digest (`discosim traces list`).", min_length=1)
    up_share: float = spec(0.5, doc="Share of the round trip spent upwards (our choice: half).", ge=0, le=1)
    overlap: Literal["remove_floor", "keep"] = spec(
        "remove_floor",
        doc="Where both the TTFT digest and the round trip contain the wide-area path, take the round trip's floor (its p1) out; `keep` counts both.",
    )
    loss: bool = spec(True, doc="Delay lost packets by `retransmit_s` with the measured loss share.")
    retransmit_s: float = spec(
        0.2, doc="Extra delay of a lost packet (our choice: TCP's minimum timeout).", unit="s", ge=0
    )
    tokens_per_packet: int = spec(1, doc="Tokens the server sends together.", ge=1)
    uplink_mbit_per_s: float | None = spec(
        None, doc="Bandwidth for prompts and hand-over payloads; null for infinite.", unit="Mbit/s", gt=0
    )
    outages: tuple[Outage, ...] = spec((), doc="Windows in which nothing passes; messages wait until they end.")


Link = NoLink | ConstantLink | DigestLink

# --- reader, cost, policies, scenario -------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Reader:
    """The person in front of the screen."""

    tok_per_s: float | Literal["reading", "listening"] = spec(
        4.8,
        doc="Consumption rate, or a published table of rates by age group (reading) or language (listening).",
        unit="tok/s",
        gt=0,
    )
    ttft_target_s: float = spec(1.0, doc="TTFT the reader expects; used by the Andes QoE.", unit="s", ge=0)
    pacer: bool = spec(True, doc="Show tokens at the reader's rate; false shows them on arrival.")


@dataclass(frozen=True, kw_only=True)
class Cost:
    """How device energy and server money become one number."""

    exchange_rate_usd_per_j: float = spec(
        doc="Dollars that one joule of device energy is worth to the user.", unit="USD/J", ge=0
    )


@dataclass(frozen=True, kw_only=True)
class PolicySpec:
    """One policy of a scenario: which kind, under which name, with which options."""

    kind: str
    name: str
    options: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """Everything that decides a result; running it twice gives the same bytes."""

    name: str = spec(doc="Name of the run; the default output folder is results/<name>.", min_length=1)
    seed: int = spec(1, doc="Root seed.", ge=0)
    replications: int = spec(20, doc="Independent repetitions; the sample of every interval.", ge=1)
    workload: Workload = spec(doc="Who asks what, when.", discriminator="kind")
    devices: tuple[Device, ...] = spec(doc="The fleet.", min_length=1)
    server: Server = spec(doc="The service.", discriminator="kind")
    link: Link = spec(NoLink, doc="The last hop between client and server.", discriminator="kind")
    edge: EdgeTier | None = spec(None, doc="Edge boxes between device and server; null for none.")
    answers: Answers = spec(
        ShareOfAnswers, doc="The inner form of answers, for policies that write them in parts.", discriminator="kind"
    )
    quality: Quality | None = spec(
        None, doc="Assumed quality of answers, reported as `quality_assumed`; null assumes nothing."
    )
    reader: Reader = spec(Reader, doc="The reader.")
    cost: Cost = spec(doc="Exchange rate.")
    policies: tuple[PolicySpec, ...] = spec(doc="Policies to compare, on the same luck.", min_length=1)
    baseline: str | None = spec(None, doc="Name of the policy the others are compared with; null is the first.")
