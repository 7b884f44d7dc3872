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


@dataclass(frozen=True, kw_only=True)
class Coefficients:
    """What an iteration is made of, in numbers: o + max(W(T), k T) + k_c T + a S + (b or b_m) C + g n."""

    overhead_s: float = spec(0.0, doc="o: every iteration, whatever it holds.", unit="s", ge=0)
    weights_s: float = spec(doc="W: reading the weights that every token needs.", unit="s", gt=0)
    experts_s: float = spec(0.0, doc="Reading all routed experts; 0 for a dense model.", unit="s", ge=0)
    expert_share: float = spec(1.0, doc="Share of the routed experts that one token touches.", gt=0, le=1)
    compute_s_per_tok: float = spec(
        doc="k: arithmetic of a token, hidden while reading the weights takes longer.", unit="s", gt=0
    )
    comm_s_per_tok: float = spec(
        0.0, doc="k_c: what is never hidden of a token, such as communication.", unit="s", ge=0
    )
    square_s: float = spec(0.0, doc="a: attention of prompts, per squared token.", unit="s", ge=0)
    kv_s_per_tok: float = spec(0.0, doc="b: reading a KV token in an iteration of decodes alone.", unit="s", ge=0)
    kv_mixed_s_per_tok: float = spec(0.0, doc="b_m: reading a KV token beside prompt tokens.", unit="s", ge=0)
    request_s: float = spec(0.0, doc="g: what each decode adds.", unit="s", ge=0)


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Factors of the coefficients."""

    overhead: float = spec(1.0, doc="Of what every iteration takes.", ge=0)
    weights: float = spec(1.0, doc="Of reading weights, experts among them.", gt=0)
    compute: float = spec(1.0, doc="Of the arithmetic of tokens, that of attention among it.", gt=0)
    comm: float = spec(1.0, doc="Of what is never hidden of a token.", ge=0)
    kv: float = spec(1.0, doc="Of reading KV tokens, alone and beside prompts.", ge=0)
    request: float = spec(1.0, doc="Of what each decode adds.", ge=0)


@dataclass(frozen=True, kw_only=True)
class PhysicsIterations:
    """Iteration times from what a GPU does: of a model on a GPU by arithmetic alone, or coefficients of your own.

    Give `gpu` and one of `model` and `model_file`, or `coefficients`.
    """

    kind: Literal["physics"] = spec("physics", doc="Reading weights or computing, and reading the KV cache.")
    model: str | None = spec(None, doc="A model whose shape is known here, for example Llama-3.1-8B.", min_length=1)
    model_file: str | None = spec(
        None, doc="Path of a model's config.json as Hugging Face writes it, relative to the config file.", min_length=1
    )
    gpu: str | None = spec(None, doc="A GPU of the sheet, for example H100-SXM.", min_length=1)
    tp: int = spec(1, doc="GPUs of a replica, which share every layer (tensor parallel).", ge=1)
    ep: int = spec(1, doc="Data-parallel replicas that share the routed experts (expert parallel).", ge=1)
    mfu: float = spec(0.75, doc="Share of the sheet's arithmetic that is reached (measured: 0.74 to 0.96).", gt=0, le=1)
    mbu: float = spec(0.8, doc="Share of the sheet's bandwidth that is reached (measured: 0.77 to 0.90).", gt=0, le=1)
    memory_share: float = spec(0.9, doc="Share of a GPU's memory that the server takes (vLLM's default).", gt=0, le=1)
    coefficients: Coefficients | None = spec(None, doc="The coefficients themselves; null for arithmetic.")
    scale: Scale = spec(Scale, doc="Factors of the coefficients.")


@dataclass(frozen=True, kw_only=True)
class PluginIterations:
    """Iteration times from a cost model of another package (entry points `discosim.costs`)."""

    kind: Literal["plugin"] = spec("plugin", doc="A cost model of another package.")
    cost: str = spec(doc="Its kind, as the package names it.", min_length=1)
    options: Mapping[str, Any] = spec(dict, doc="Its options.")


Iterations = DigestIterations | FileIterations | ConstantIterations | PhysicsIterations | PluginIterations

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
