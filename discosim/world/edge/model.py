"""What an edge box can do."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BoxModel:
    """Parameters of one edge box.

    Parameters
    ----------
    slots : int
        Most sequences that a box decodes at a time, >= 1.
    decode_s : float
        Token time of a sequence that decodes alone, in s, > 0.
    batch_slowdown : float
        What each further sequence of the batch adds to the token time, as a share of ``decode_s``, >= 0.
        Source: our assumption; decoding is bound by reading the weights, so the token time grows slowly.
    prefill_s_per_tok, prefill_intercept_s : float
        Prefill time per token and fixed part, in s, >= 0.
    memory_tok : int
        KV memory of a box, in tokens, >= 1.
    age_limit_s : float
        A list whose oldest sequence has waited longer is served next, in s, >= 0.
    """

    decode_s: float
    slots: int = 4
    batch_slowdown: float = 0.0
    prefill_s_per_tok: float = 0.0
    prefill_intercept_s: float = 0.0
    memory_tok: int = 1 << 30
    age_limit_s: float = 30.0

    def token_s(self, batch: int) -> float:
        """Return the token time of ``batch`` >= 1 sequences that decode together, in s."""
        return self.decode_s * (1.0 + self.batch_slowdown * (batch - 1))

    def prefill_s(self, n_tok: float) -> float:
        """Return the time to prefill ``n_tok`` tokens, in s; nothing takes no time."""
        return self.prefill_intercept_s + self.prefill_s_per_tok * n_tok if n_tok else 0.0

    def tok_per_s(self) -> float:
        """Return the most tokens that one box decodes in a second, all slots full."""
        return self.slots / self.token_s(self.slots)
