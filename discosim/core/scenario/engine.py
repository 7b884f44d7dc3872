"""What a white-box server is made of: iteration times, a scheduler, memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from discosim.core.spec import spec

# --- iteration times ------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class DigestIterations:
    """Iteration times, KV size and context limit of a measured model on measured GPUs."""

    kind: Literal["digest"] = spec("digest", doc="A shipped engine digest.")
    digest: str = spec(doc="Name of an engine digest (`discosim traces list`).", min_length=1)


@dataclass(frozen=True, kw_only=True)
class FileIterations:
    """Iteration times fitted to your own measurements by `discosim traces fit-engine`."""

    kind: Literal["file"] = spec("file", doc="An engine digest of your own.")
    file: str = spec(doc="Path of the digest, relative to the config file.", min_length=1)


@dataclass(frozen=True, kw_only=True)
class ConstantIterations:
    """Iterations of a fixed length, for tests and theory."""

    kind: Literal["constant"] = spec("constant", doc="Iterations of a fixed length.")
    prefill_s: float = spec(doc="Length of an iteration that prefills.", unit="s", gt=0)
    decode_s: float = spec(doc="Length of an iteration that only decodes.", unit="s", gt=0)


Iterations = DigestIterations | FileIterations | ConstantIterations

# --- scheduler ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class SchedulerSpec:
    """The scheduler of a replica: which kind, with which options."""

    kind: str = "fcfs"
    options: Mapping[str, Any] = field(default_factory=dict)


# --- the server -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class PrefillPool:
    """Replicas of their own for prefill; the KV cache travels to the replicas that decode."""

    n_replicas: int = spec(1, doc="Replicas that only prefill.", ge=1)
    max_prefill_tok: int = spec(4096, doc="Prompt tokens of one of their iterations.", unit="tok", ge=1)
    kv_gbit_per_s: float = spec(
        doc="Bandwidth of the pool's link to the replicas that decode; caches take it one by one.",
        unit="Gbit/s",
        gt=0,
    )
    latency_s: float = spec(0.0, doc="Fixed time of a transfer, in which the link is free for others.", unit="s", ge=0)


@dataclass(frozen=True, kw_only=True)
class Swap:
    """Preemption to host memory."""

    kind: Literal["swap"] = spec("swap", doc="Move the KV cache to host memory and back.")
    host_kv_tok: int = spec(doc="KV tokens that host memory takes, per replica.", unit="tok", ge=1)
    gbyte_per_s: float = spec(
        16.0, doc="Bandwidth between GPU and host (our choice: half a PCIe 4.0 x16 link).", unit="GB/s", gt=0
    )


@dataclass(frozen=True, kw_only=True)
class Recompute:
    """Preemption by forgetting."""

    kind: Literal["recompute"] = spec("recompute", doc="Drop the KV cache and prefill prompt and answer again.")


Preemption = Recompute | Swap
