"""Prompt refinement: how much quality a shortened prompt is assumed to keep.

The curve is data and an assumption: q(rho, L) = 1 down to a knee rho0(L), then a straight line to ``floor`` at 0. The
knee moves from ``knee_short`` at ``short_tok`` to ``knee_long`` at ``long_tok``, linearly in log L.

Source: form and defaults are our derivation from public compression results (F1 on SQuAD v2 with 7B picking for
itself, ~170-token contexts: 0.608 of 0.608 at 75 %, 0.541 at 50 %, 0.368 at 25 %; not distinguishable from full at
4096 tokens; unpublished manuscript, secondary source). P/D-Device's own quality figures are not public.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from discosim.core.spec import spec

PUBLISHED = ((1.0, 1.0), (0.75, 0.608 / 0.608), (0.5, 0.541 / 0.608), (0.25, 0.368 / 0.608))
"""(kept share, share of the full F1) of Qwen2.5-7B's own picks on short contexts; the intervals are about +-0.1."""


@dataclass(frozen=True)
class RefinedQuality:
    """Assumed quality of an answer to a refined prompt, relative to the full one."""

    knee_short: float = spec(0.75, doc="Kept share below which quality falls, short prompts.", gt=0, le=1)
    knee_long: float = spec(0.35, doc="The same for long prompts.", gt=0, le=1)
    short_tok: float = spec(200.0, doc="Up to this length a prompt counts as short.", unit="tokens", gt=0)
    long_tok: float = spec(4000.0, doc="From this length on a prompt counts as long.", unit="tokens", gt=0)
    floor: float = spec(0.25, doc="Relative quality of an answer to no prompt at all.", ge=0, le=1)

    def knee(self, prompt_tok: float) -> float:
        """Return the kept share below which quality falls."""
        span = math.log(self.long_tok / self.short_tok) if self.long_tok != self.short_tok else 1.0
        at = min(1.0, max(0.0, math.log(max(prompt_tok, 1.0) / self.short_tok) / span))
        return self.knee_short + at * (self.knee_long - self.knee_short)

    def quality(self, kept_share: float, prompt_tok: float) -> float:
        """Return the quality relative to the full prompt, in [floor, 1]."""
        knee = self.knee(prompt_tok)
        return 1.0 if kept_share >= knee else self.floor + (1.0 - self.floor) * kept_share / knee
