"""KV cache of public models: bytes per token, and how many tokens fit beside the weights."""

from __future__ import annotations

from dataclasses import dataclass

GPU_BYTES = 80 * 2**30
MARGIN = 0.1
BYTES_PER_NUMBER = 2


@dataclass(frozen=True)
class ModelShape:
    """A model's public shape: layers, KV heads, head size, parameters, and context limit."""

    n_layers: int
    n_kv_heads: int
    head_size: int
    n_params: float
    max_context_tok: int

    def kv_bytes_per_tok(self) -> float:
        """Return the bytes of keys and values of one token in 16 bit."""
        return float(2 * self.n_layers * self.n_kv_heads * self.head_size * BYTES_PER_NUMBER)

    def kv_tok(self, n_gpus: int) -> int:
        """Return the tokens that fit into ``n_gpus`` GPUs of 80 GiB beside the weights.

        Source: Vidur's rule, GPU memory less 10 %, less the 16-bit weights, over the bytes of a token. For OPT-13B
        on one GPU it gives 62,900; DistServe's profile names 66,144.
        """
        return int((n_gpus * GPU_BYTES * (1 - MARGIN) - BYTES_PER_NUMBER * self.n_params) / self.kv_bytes_per_tok())


SHAPES = {
    "opt-13b": ModelShape(40, 40, 128, 12.9e9, 2048),
    "opt-66b": ModelShape(64, 72, 128, 65.7e9, 2048),
    "llama2-70b": ModelShape(80, 8, 128, 69.0e9, 4096),
    "bloom-176b": ModelShape(70, 112, 128, 176.2e9, 2048),
}
"""From the models' public configuration files (recollected; the sizes agree with published KV figures)."""
