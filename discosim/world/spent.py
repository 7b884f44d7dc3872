"""What one stream, or all of one endpoint or role, has taken for a request."""

from __future__ import annotations

import math


class Spent:
    """Work done, given every stop so far, and what it costs once the ledger has priced it.

    Attributes
    ----------
    prompt_tok : float
        Prompt tokens processed; fractional where a prefill was cut short.
    output_tok : int
        Tokens generated.
    n_preemptions : int
        Preemptions in a white-box server; this and the next three are 0 where nobody can see inside.
    gpu_s, kv_tok_s : float
        Share of its GPU time, in s, and KV tokens held there, times seconds.
    scheduled_s : float
        When the scheduler of a white-box server first took any of it; inf where none did, or nobody can see inside.
    queue_s : float
        How long what was taken first had waited at the server by then, in s.
    box_s : float
        Share of the time of edge boxes, in s.
    usd, energy_j : float
        Price, in USD, and energy beside it, in J; 0 before the ledger has been there.
    is_dispatched : bool
        Whether any of it was asked for before the answer was decided, and not refused; as the ledger says.
    """

    # defaults stand in the class: most work has none of these, and every stream of every request is counted
    n_preemptions: int = 0
    gpu_s: float = 0.0
    kv_tok_s: float = 0.0
    scheduled_s: float = math.inf
    queue_s: float = math.inf
    box_s: float = 0.0
    usd: float = 0.0
    energy_j: float = 0.0
    is_dispatched: bool = False

    def __init__(self, prompt_tok: float = 0.0, output_tok: int = 0) -> None:
        self.prompt_tok = prompt_tok
        self.output_tok = output_tok

    def add(self, more: Spent) -> None:
        """Add more; sums of floats depend on the order, which is that of the calls."""
        self.prompt_tok += more.prompt_tok
        self.output_tok += more.output_tok
        self.n_preemptions += more.n_preemptions
        self.gpu_s += more.gpu_s
        self.kv_tok_s += more.kv_tok_s
        if more.scheduled_s < self.scheduled_s:
            self.scheduled_s, self.queue_s = more.scheduled_s, more.queue_s
        self.box_s += more.box_s
        self.usd += more.usd
        self.energy_j += more.energy_j
        self.is_dispatched |= more.is_dispatched
