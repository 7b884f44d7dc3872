"""What an edge box can do, and how far away it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from discosim.world.link import LinkModel

NO_DELAY = LinkModel()
Sharing = Literal["pooled", "own"]


@dataclass(frozen=True)
class EdgeModel:
    """Parameters of an edge tier.

    Parameters
    ----------
    n_boxes : int
        Boxes of the pool, >= 1; of no meaning where every user has a box of their own.
    sharing : str
        ``pooled``: all boxes serve everybody. ``own``: each user has one box, for example the own device.
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
    link : LinkModel or None
        The way between client and box; None where it is the last hop to the server.
    prefill_j_per_tok, decode_j_per_tok : float
        Energy per token, in J, >= 0.
    prompt_usd_per_tok, output_usd_per_tok : float
        Prices, >= 0.
    """

    decode_s: float
    slots: int = 4
    n_boxes: int = 1
    sharing: Sharing = "pooled"
    batch_slowdown: float = 0.0
    prefill_s_per_tok: float = 0.0
    prefill_intercept_s: float = 0.0
    memory_tok: int = 1 << 30
    age_limit_s: float = 30.0
    link: LinkModel | None = NO_DELAY
    prefill_j_per_tok: float = 0.0
    decode_j_per_tok: float = 0.0
    prompt_usd_per_tok: float = 0.0
    output_usd_per_tok: float = 0.0

    def token_s(self, batch: int) -> float:
        """Return the token time of ``batch`` >= 1 sequences that decode together, in s."""
        return self.decode_s * (1.0 + self.batch_slowdown * (batch - 1))

    def prefill_s(self, n_tok: float) -> float:
        """Return the time to prefill ``n_tok`` tokens, in s; nothing takes no time."""
        return self.prefill_intercept_s + self.prefill_s_per_tok * n_tok if n_tok else 0.0

    def tok_per_s(self) -> float:
        """Return the most tokens that one box decodes in a second, all slots full."""
        return self.slots / self.token_s(self.slots)

    def usd(self, prompt_tok: float, output_tok: float) -> float:
        """Return the price of work."""
        return prompt_tok * self.prompt_usd_per_tok + output_tok * self.output_usd_per_tok

    def energy_j(self, prompt_tok: float, output_tok: float) -> float:
        """Return the energy of work, in J."""
        return prompt_tok * self.prefill_j_per_tok + output_tok * self.decode_j_per_tok
