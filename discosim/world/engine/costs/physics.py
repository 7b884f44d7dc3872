"""Iteration times from what a GPU does: read the weights or compute, whichever takes longer, and read the KV cache.

    t = o + max(W(T), k T) + k_c T + a S + (b or b_m) C + g n

with T the tokens of the iteration (prompt tokens and decodes), S the squares of its prompts, C the KV tokens that its n
decodes read (b_m where it also holds prompt tokens, b where it does not). It is linear in C, so leaps stay exact.

A mixture of experts reads only the experts that its tokens touch: W(T) = W0 + We (1 - (1 - K/E)^T), for K of E experts
a token, routed evenly and independently. Source: our choice of form (the roofline of the paper behind DistServe,
appendix A, with weights and arithmetic overlapped); that real kernels read KV slower beside a prompt chunk is measured
(kernel profiles of LLMServingSim: 1.4 to 4.4 times).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from discosim.world.engine.costs.base import Piece


@dataclass(frozen=True, kw_only=True)
class PhysicsCost:
    """Iteration times from ten coefficients.

    Parameters
    ----------
    overhead_s : float
        o: what an iteration takes whatever it holds (launches, sampling, scheduling), >= 0.
    weights_s : float
        W0: time to read the weights that every token needs, > 0.
    experts_s : float
        We: time to read all routed experts; 0 for a dense model.
    expert_share : float
        K / E: share of the routed experts that one token touches, in (0, 1].
    compute_s_per_tok : float
        k: arithmetic of a token, > 0; hidden behind the weights while it is shorter.
    comm_s_per_tok : float
        k_c: communication of a token between GPUs, >= 0, never hidden.
    square_s : float
        a: attention of a prompt, per squared token, >= 0; a chunk from p to q tokens has q^2 - p^2 squares.
    kv_s_per_tok, kv_mixed_s_per_tok : float
        b, b_m: reading a KV token of a decode, in an iteration of decodes alone and beside prompt tokens, >= 0.
    request_s : float
        g: what each decode adds (sampler, output), >= 0.
    name : str
        Name for messages.
    n_gpus : int
        GPUs of one replica.
    other_tok : int
        Tokens of other ranks that the experts see in the same iteration.
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
    name: str = "physics"
    n_gpus: int = 1
    other_tok: int = 0

    def beside(self, other_tok: int) -> PhysicsCost:
        """Return the model of an iteration in which other ranks, that share the experts, have so many tokens."""
        return self if other_tok == self.other_tok else replace(self, other_tok=other_tok)

    def prefill_s(
        self,
        tok: float,
        square_tok: float,
        later: Sequence[Piece] = (),  # noqa: ARG002 - in the squares
    ) -> float:
        """Return the time of an iteration without decodes, in s."""
        return self._tokens_s(tok) + self.square_s * square_tok

    def decode_line(self, n: int) -> tuple[float, float]:
        """Return the time of ``n`` decodes without their KV, and the time per KV token, in s."""
        return self._tokens_s(n) + self.request_s * n, self.kv_s_per_tok

    def mixed_s(
        self,
        tok: float,
        square_tok: float,
        n: int,
        context_tok: float,
        later: Sequence[Piece] = (),  # noqa: ARG002
    ) -> float:
        """Return the time of an iteration with prompt tokens and ``n`` decodes, in s."""
        return (
            self._tokens_s(tok + n)
            + self.square_s * square_tok
            + self.kv_mixed_s_per_tok * context_tok
            + self.request_s * n
        )

    def _tokens_s(self, tok: float) -> float:
        weights_s = self.weights_s
        if self.experts_s:
            weights_s += self.experts_s * (1.0 - (1.0 - self.expert_share) ** (tok + self.other_tok))
        return self.overhead_s + max(weights_s, self.compute_s_per_tok * tok) + self.comm_s_per_tok * tok
