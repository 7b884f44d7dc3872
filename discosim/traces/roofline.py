"""Iteration times of a model on a GPU from arithmetic alone: bytes over bandwidth, operations over their rate.

Every share below that is no data of a maker is a default with a reason, and may be given. What they are worth was
looked at with measured kernels of two GPUs (profiles of LLMServingSim): see `ERROR_BAND`.
"""

from __future__ import annotations

from dataclasses import dataclass

from discosim.core.errors import UserError
from discosim.traces.engine_digest import PhysicsFit
from discosim.traces.gpu_sheet import Gpu
from discosim.traces.model_config import ModelConfig

MFU, MBU = 0.75, 0.8
"""Shares of the sheet's arithmetic and bandwidth that large kernels reach. Source: kernel profiles, 16-bit: arithmetic
0.96 (RTX 4090) and 0.74 (RTX PRO 6000) of the sheet, weights 0.90 and 0.77 of the bandwidth, KV 0.83 and 0.79."""
ATTENTION_MFU = 0.4
"""Share of the arithmetic that attention over a prompt reaches; source: the same profiles, 0.62 and 0.40."""
UNHIDDEN = 0.5
"""Share of a token's arithmetic that does not run behind the weights: an iteration is hundreds of kernels, each with
its own knee. Source: the same profiles, 0.41 to 0.62 by fit."""
MIXED_KV = 2.0
"""How many times slower KV is read beside prompt tokens. Source: the same profiles, 1.8 to 4 by fit."""
OVERHEAD_S = 1e-3
"""What an iteration takes beyond its kernels: scheduling, sampling, batches of unlike lengths. Source: our choice
within what one real run shows (RTX PRO 6000, Llama-3.1-8B, vLLM 0.19), 3 to 8 % of decode iterations of some 20 ms."""
REQUEST_S = 1e-5
"""What each decode adds (sampler, output layer, attention's fixed part). Source: the same profiles, 5 to 18 us."""
TP_LINK_SHARE, EP_LINK_SHARE = 0.9, 0.11
"""Shares of a link's rate that the sums of tensor parallelism and the exchange of expert parallelism reach. Source: the
first our choice; the second from the decode and prefill iterations of one run (two RTX PRO 6000 on PCIe, Qwen3-30B-A3B,
vLLM 0.19), 58 us a token, and an assumption for every other link."""
MEMORY_SHARE, RESERVE_GIB = 0.9, 1.5
"""vLLM's gpu_memory_utilization, and what activations and graphs take of it on each GPU (our choice)."""
ERROR_BAND = 0.35
"""How far a mean of TTFT, TPOT or E2E may be off where nothing was measured: simulated over real, minus 1. Source: what
such arithmetic was off on three dense runs of vLLM 0.19 at 10 requests/s; a mixture of experts may be further off."""
GIB = 2.0**30
MICRO = 1e-6


@dataclass(frozen=True, kw_only=True)
class Shares:
    """What is not on a sheet; see the constants of this module for each and its source."""

    mfu: float = MFU
    mbu: float = MBU
    attention_mfu: float = ATTENTION_MFU
    mixed_kv: float = MIXED_KV
    overhead_s: float = OVERHEAD_S
    memory_share: float = MEMORY_SHARE
    reserve_gib: float = RESERVE_GIB


def roofline(model: ModelConfig, gpu: Gpu, *, tp: int = 1, ep: int = 1, shares: Shares | None = None) -> PhysicsFit:
    """Return the coefficients of one replica: a group of ``tp`` GPUs, one of ``ep`` ranks that share their experts.

    Parameters
    ----------
    model : ModelConfig
        What runs.
    gpu : Gpu
        On what.
    tp : int
        GPUs that share every layer, >= 1.
    ep : int
        Data-parallel ranks that share the routed experts, >= 1; 1 for none. The tokens of all ranks touch the experts
        of each: with like batches 1 - (1 - K/E)^(ep T) of them, which is the form of one rank with a larger share.
    shares : Shares, optional
        What is not on a sheet.

    Raises
    ------
    UserError
        If the heads cannot be shared out, or experts are to be shared that the model has not.
    """
    held = shares or Shares()
    _require_split(model, tp, ep)
    byte_s = 1.0 / (held.mbu * gpu.gbyte_per_s * 1e9 * tp)
    flop_s = 1.0 / (held.mfu * gpu.tflops * 1e12 * tp)
    always = (model.always_params + model.head_params) * model.bytes_per_number
    token_s = model.flops_per_tok * flop_s
    square_s = model.flops_per_square_tok / (held.attention_mfu * gpu.tflops * 1e12 * tp)
    kv_s = model.kv_bytes_per_tok * kv_copies(model, tp) * byte_s
    return PhysicsFit(
        overhead_s=held.overhead_s,
        weights_s=always * byte_s,
        compute_s_per_tok=(1.0 - UNHIDDEN) * token_s,
        comm_s_per_tok=UNHIDDEN * token_s + comm_s_per_tok(model, gpu, tp=tp, ep=ep),
        square_s=square_s,
        kv_s_per_tok=kv_s,
        kv_mixed_s_per_tok=held.mixed_kv * kv_s,
        request_s=REQUEST_S,
        experts_s=model.expert_params * model.bytes_per_number * byte_s / ep,
        expert_share=group_share(model, ep),
    )


def _require_split(model: ModelConfig, tp: int, ep: int) -> None:
    if model.n_heads % tp:
        raise UserError(f"{model.name} has {model.n_heads} heads, which {tp} GPUs cannot share evenly")
    if ep > 1 and not model.n_experts:
        raise UserError(f"{model.name} has no experts that {ep} ranks could share")
    if ep > 1 and model.n_experts % ep:
        raise UserError(f"{model.name} has {model.n_experts} experts a layer, which {ep} ranks cannot share evenly")


def group_share(model: ModelConfig, ep: int) -> float:
    """Return the share of a rank's experts that one token of each of ``ep`` ranks touches."""
    untouched: float = (1.0 - model.expert_share) ** ep
    return 1.0 - untouched


def kv_copies(model: ModelConfig, tp: int) -> float:
    """Return how often a token's cache is kept where more GPUs share a layer than it has KV heads."""
    return max(1.0, tp / model.n_kv_heads)


def comm_s_per_tok(model: ModelConfig, gpu: Gpu, *, tp: int, ep: int) -> float:
    """Return what a token's activations take between GPUs, in s.

    Tensor parallelism sums them twice a layer, and a ring moves 2 (tp - 1) / tp times their bytes; expert parallelism
    sends them to the other ranks and their results back once each layer with experts.
    """
    activation = model.hidden * model.bytes_per_number
    link = gpu.link_gbyte_per_s * 1e9
    sums = 2 * model.n_layers * activation * 2.0 * (tp - 1) / tp
    return sums / (TP_LINK_SHARE * link) + exchange_s_per_tok(model, gpu, ep=ep)


def exchange_s_per_tok(model: ModelConfig, gpu: Gpu, *, ep: int) -> float:
    """Return what of it is the exchange of expert parallelism, for a rank by itself (see `in_step`), in s."""
    exchange = 2 * model.n_expert_layers * model.hidden * model.bytes_per_number * (ep - 1)
    return exchange / (EP_LINK_SHARE * (gpu.link_gbyte_per_s * 1e9))


def kv_tok(model: ModelConfig, gpu: Gpu, *, tp: int = 1, ep: int = 1, shares: Shares | None = None) -> int:
    """Return the KV tokens that fit into a replica beside its weights.

    Raises
    ------
    UserError
        If the weights alone do not fit.
    """
    held = shares or Shares()
    rest = model.params - model.expert_params + model.expert_params / ep
    weights = rest * model.bytes_per_number
    room = tp * (held.memory_share * gpu.memory_gib - held.reserve_gib) * GIB
    left = room - weights
    per_tok = model.kv_bytes_per_tok * kv_copies(model, tp)
    if left < per_tok:
        raise UserError(
            f"{tp} x {gpu.name} cannot hold {model.name}: weights of {weights / GIB:.1f} GiB, and room for "
            f"{max(room, 0.0) / GIB:.1f} GiB ({held.memory_share:g} of {tp} x {gpu.memory_gib:g} GiB, less "
            f"{held.reserve_gib:g} GiB a GPU for activations); take more GPUs (tp)"
        )
    return int(left / per_tok)
