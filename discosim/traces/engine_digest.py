"""The engine digest: iteration times of one model on one kind of machine, and the size of its KV cache."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

from discosim.core.bounds import require_within
from discosim.traces.digest import Card


@dataclass(frozen=True, kw_only=True)
class LinesFit:
    """Iteration times as three fitted lines; see `discosim.world.engine.costs.distserve`.

    Parameters
    ----------
    prefill : tuple of float
        a, b, c of a + b * tokens + c * squared tokens, in s.
    decode_small, decode_large : tuple of float
        a, b, c of a + b * KV tokens + c * batch, in s, for batches up to 95 and above.
    """

    prefill: tuple[float, ...]
    decode_small: tuple[float, ...]
    decode_large: tuple[float, ...]

    def __post_init__(self) -> None:
        if not all(len(line) == 3 for line in (self.prefill, self.decode_small, self.decode_large)):
            raise ValueError("each fitted line needs three coefficients")
        for coefficient in (*self.prefill, *self.decode_small, *self.decode_large):
            require_within("a coefficient of a line", "s", coefficient)


@dataclass(frozen=True, kw_only=True)
class GridFit:
    """Iteration times as two measured curves; see `discosim.world.engine.costs.table`.

    Parameters
    ----------
    prefill_tok, prefill_times_s : tuple of float
        Batched prompt tokens, rising, and seconds.
    decode_batch, decode_times_s : tuple of float
        Batch sizes, rising, and seconds without the KV part.
    s_per_context_tok : float
        Seconds per KV token read, >= 0.
    """

    prefill_tok: tuple[float, ...]
    prefill_times_s: tuple[float, ...]
    decode_batch: tuple[float, ...]
    decode_times_s: tuple[float, ...]
    s_per_context_tok: float

    def __post_init__(self) -> None:
        for grid, times in ((self.prefill_tok, self.prefill_times_s), (self.decode_batch, self.decode_times_s)):
            if len(grid) != len(times) or len(grid) < 2 or list(grid) != sorted(set(grid)):
                raise ValueError("a curve needs at least two points with rising positions, and as many times")
        if self.s_per_context_tok < 0:
            raise ValueError("s_per_context_tok must be >= 0")
        require_within("s_per_context_tok", "s/tok", self.s_per_context_tok)
        for tok in (*self.prefill_tok, *self.decode_batch):
            require_within("a position of a curve", "tok", tok)
        for time_s in (*self.prefill_times_s, *self.decode_times_s):
            require_within("a time of a curve", "s", time_s)


@dataclass(frozen=True, kw_only=True)
class PhysicsFit:
    """Iteration times as coefficients of what a GPU does; see `discosim.world.engine.costs.physics` for their meaning.

    Parameters
    ----------
    overhead_s, weights_s, experts_s : float
        Seconds an iteration: whatever it holds, reading the weights of every token, reading all routed experts.
    expert_share : float
        Share of the routed experts that one token touches, in (0, 1]; 1 for a dense model.
    compute_s_per_tok, comm_s_per_tok : float
        Seconds per token: arithmetic, communication between GPUs.
    square_s : float
        Seconds per squared prompt token.
    kv_s_per_tok, kv_mixed_s_per_tok : float
        Seconds per KV token that decodes read: alone, and beside prompt tokens.
    request_s : float
        Seconds per decode.
    """

    overhead_s: float
    weights_s: float
    compute_s_per_tok: float
    square_s: float
    kv_s_per_tok: float
    kv_mixed_s_per_tok: float
    request_s: float = 0.0
    comm_s_per_tok: float = 0.0
    experts_s: float = 0.0
    expert_share: float = 1.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not value >= 0.0:
                raise ValueError(f"{field.name} must be >= 0 (got {value:g})")
            require_within(field.name, "s", value)
        if not (self.weights_s > 0.0 and self.compute_s_per_tok > 0.0):
            raise ValueError("weights_s and compute_s_per_tok must be > 0")
        if not 0.0 < self.expert_share <= 1.0:
            raise ValueError(f"expert_share must be in (0, 1] (got {self.expert_share:g})")


def tokens_s(held: PhysicsFit, tok: float) -> float:
    """Return what an iteration of so many tokens takes without its attention and what each decode adds, in s."""
    untouched: float = (1.0 - held.expert_share) ** tok
    read_s = held.weights_s + held.experts_s * (1.0 - untouched)
    return held.overhead_s + max(read_s, held.compute_s_per_tok * tok) + held.comm_s_per_tok * tok


def in_step(fit: PhysicsFit, n_ranks: int, exchange_s_per_tok: float) -> PhysicsFit:
    """Return the coefficients of a rank whose iterations begin and end with the others', from those of one by itself.

    A rank by itself reckons with the tokens of all: as many touch its experts, and its exchange takes as long as if it
    had to wait for them. In lock-step the engine counts the tokens of all and waits for the slowest itself, and a
    rank's own share of the exchange is left: one of ``n_ranks`` parts.

    Source: our choice. The parts follow from the exchange being of all ranks' tokens; on the handed half of a run of
    vLLM 0.19 (Qwen3-30B-A3B on two GPUs) the means of TTFT, TPOT and E2E from kernel times came from +72, +21 and +21 %
    to +7, +4 and +4 %.

    Parameters
    ----------
    fit : PhysicsFit
        Of a rank by itself.
    n_ranks : int
        Ranks that share the routed experts, >= 1.
    exchange_s_per_tok : float
        Part of ``comm_s_per_tok`` that the exchange between them is.
    """
    alone: float = (1.0 - fit.expert_share) ** (1.0 / n_ranks)
    left_s = fit.comm_s_per_tok - exchange_s_per_tok * (1.0 - 1.0 / n_ranks)
    return replace(fit, expert_share=1.0 - alone, comm_s_per_tok=max(0.0, left_s))


@dataclass(frozen=True, kw_only=True)
class EngineDigest:
    """What the engine must know of one model on one kind of machine.

    Parameters
    ----------
    name : str
        Name of the digest.
    card : Card
        Origin; ``card.status`` tells measured from derived figures.
    model, hardware : str
        What ran on what.
    n_gpus : int
        GPUs of one replica, >= 1 (tensor parallel).
    kv_bytes_per_tok : float
        Size of the KV cache of one token, bytes, > 0.
    kv_tok : int
        KV tokens that fit into one replica, >= 1.
    max_context_tok : int
        Context limit of the model, tokens.
    lines, grid, physics : LinesFit or None, GridFit or None, PhysicsFit or None
        Iteration times; exactly one of the three.
    moments : mapping of str to float
        Quality of the fit: mean and largest relative error, by phase.
    validated : str or None
        How far it was from a real server, in one sentence; None where it was never compared with one.
    n_expert_ranks : int or None
        Data-parallel ranks that share the routed experts, >= 2, where physics are those of one of them by itself.
    exchange_s_per_tok : float or None
        Part of ``comm_s_per_tok`` that the exchange between these ranks is.
    """

    name: str
    card: Card
    model: str
    hardware: str
    n_gpus: int
    kv_bytes_per_tok: float
    kv_tok: int
    max_context_tok: int
    lines: LinesFit | None = None
    grid: GridFit | None = None
    physics: PhysicsFit | None = None
    moments: Mapping[str, float]
    validated: str | None = None
    n_expert_ranks: int | None = None
    exchange_s_per_tok: float | None = None

    def __post_init__(self) -> None:
        if sum(form is not None for form in (self.lines, self.grid, self.physics)) != 1:
            raise ValueError("an engine digest holds one of lines, a grid and physics")
        if self.n_gpus < 1 or self.kv_tok < 1 or not self.kv_bytes_per_tok > 0 or self.max_context_tok < 1:
            raise ValueError("an engine digest needs at least one GPU, KV memory and a context")
        if self.n_expert_ranks is not None and (self.n_expert_ranks < 2 or self.physics is None):
            raise ValueError("n_expert_ranks must be >= 2, and of physics")
        if self.exchange_s_per_tok is not None and not self.exchange_s_per_tok >= 0.0:
            raise ValueError("exchange_s_per_tok must be >= 0")
        require_within("exchange_s_per_tok", "s", self.exchange_s_per_tok or 0.0)
        require_within("n_gpus", "", self.n_gpus)
        require_within("kv_bytes_per_tok", "B", self.kv_bytes_per_tok)
        require_within("kv_tok", "tok", self.kv_tok)
        require_within("max_context_tok", "tok", self.max_context_tok)
