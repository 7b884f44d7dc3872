"""What a policy may know before the first request: history, profiles and prices, never the future."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from discosim.core.errors import UserError
from discosim.core.same import Same
from discosim.policies.past_ttfts import PastTtfts
from discosim.world.answers import AnswerModel
from discosim.world.device_profile import DeviceProfile
from discosim.world.edge.tier import EdgeModel
from discosim.world.joint import JointModel
from discosim.world.meter import Meter
from discosim.world.quality import QualityModel
from discosim.world.world import ONE_KIND, Draws

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
ASSUMED = QualityModel()


@dataclass(frozen=True)
class View:
    """History and published figures, the same for every policy of a scenario.

    Parameters
    ----------
    prompt_tok, output_tok : array of int, shape (m,)
        Lengths of past requests, drawn from the workload's law by an own random stream.
    server_ttft_s : array of float, shape (m,)
        TTFTs seen by past clients of the service, last hop included; ``inf`` where the service refused.
    server_prompt_tok : array of int or None, shape (m,)
        Prompt lengths of the requests that ``server_ttft_s`` belongs to; None where these are ``prompt_tok``.
    server_tpot_s : float
        Mean time per token of the service.
    link_delay_s : float
        Mean one-way delay of the last hop.
    uplink_bit_per_s : float or None
        Bandwidth of the uplink; None for infinite.
    fleet : tuple of (DeviceProfile, float)
        Kinds of devices and their shares of the users.
    meter : Meter
        Prices and exchange rate.
    edge : EdgeModel or None
        The edge tier, where there is one.
    answers : AnswerModel
        How long the parts of an answer are.
    quality : QualityModel
        What answers are assumed to be worth; the default assumptions where the scenario has none.
    joint : JointModel or None
        Which models are right how often; None where nobody knows.
    draws : Draws or None
        The true draws of this replication, only for policies that declare ``needs = {"oracle"}``.
    """

    prompt_tok: Ints
    output_tok: Ints
    server_ttft_s: Floats
    server_tpot_s: float
    link_delay_s: float
    fleet: tuple[tuple[DeviceProfile, float], ...]
    meter: Meter
    uplink_bit_per_s: float | None = None
    edge: EdgeModel | None = None
    answers: AnswerModel = ONE_KIND
    quality: QualityModel = ASSUMED
    draws: Draws | None = None
    server_prompt_tok: Ints | None = None
    joint: JointModel | None = None

    def edge_for(self, policy: str) -> EdgeModel:
        """Return the edge tier.

        Raises
        ------
        UserError
            If the scenario has none.
        """
        if self.edge is None:
            raise UserError(f"policy '{policy}' needs an edge tier; add an `edge:` section", where="edge")
        return self.edge

    @cached_property
    def prompt_law(self) -> PromptLaw:
        """Past prompt lengths, ready for token-weighted questions."""
        return PromptLaw.of(self.prompt_tok)

    @cached_property
    def held_law(self) -> PromptLaw:
        """The same, of the tokens of prompts that the users' devices can hold."""
        return PromptLaw.of(self.prompt_tok, self.held_share)

    @cached_property
    def past_ttfts(self) -> PastTtfts:
        """Past TTFTs beside the prompt lengths that they belong to."""
        lengths = self.prompt_tok if self.server_prompt_tok is None else self.server_prompt_tok
        return PastTtfts(lengths, self.server_ttft_s)

    def held_share(self, prompt_tok: Ints) -> Floats:
        """Return the share of the users whose device can hold a prompt of each length, shape of ``prompt_tok``."""
        held = np.zeros(prompt_tok.shape)
        for profile, share in self.fleet:
            limit = profile.max_context_tok
            held += share * (1.0 if limit is None else (prompt_tok <= limit))
        return held / sum(share for _, share in self.fleet)

    @cached_property
    def sorted_ttft_s(self) -> Floats:
        """Past server TTFTs in rising order."""
        ranked: Floats = np.sort(self.server_ttft_s)
        return ranked

    @cached_property
    def residual_output_tok(self) -> Floats:
        """Mean number of tokens still to come after token k, for k = 0, 1, ...; from past outputs.

        Beyond the longest past answer it is zero: nothing more is expected.
        """
        longest = int(self.output_tok.max())
        counts = np.bincount(self.output_tok, minlength=longest + 1)
        longer = counts[::-1].cumsum()[::-1]  # answers with at least k tokens
        more = np.append(longer[1:], 0)  # answers with more than k tokens
        to_come = more[::-1].cumsum()[::-1]  # sum over answers of (length - k)+
        residual: Floats = np.divide(to_come, more, out=np.zeros(longest + 1), where=more > 0)
        return residual

    def server_ttft_quantile_s(self, level: float) -> float:
        """Return the smallest past TTFT that a share ``level`` of the requests did not exceed; 0 at level 0."""
        if level <= 0.0:
            return 0.0
        ranked = self.sorted_ttft_s
        return float(ranked[min(int(np.ceil(level * ranked.size)) - 1, ranked.size - 1)])


def _counts(prompt_tok: Ints) -> tuple[Ints, Ints]:
    """Return distinct lengths, rising, and how many prompts have each; of a past that runs share, counted once."""
    if prompt_tok.flags.writeable:
        return np.unique(prompt_tok, return_counts=True)
    return _counts_once(Same(prompt_tok))


@lru_cache(maxsize=8)
def _counts_once(prompt_tok: Same) -> tuple[Ints, Ints]:
    lengths, counts = np.unique(prompt_tok.held, return_counts=True)
    lengths.flags.writeable = counts.flags.writeable = False
    return lengths, counts


@dataclass(frozen=True)
class PromptLaw:
    """Prompt lengths by token weight.

    Parameters
    ----------
    lengths_tok : array of int, shape (d,)
        Distinct lengths, rising; those that count for nothing are left out.
    token_share : array of float, shape (d,)
        Share of all prompt tokens that belongs to prompts of exactly this length.
    below_share : array of float, shape (d,)
        Share of all prompt tokens that belongs to shorter prompts.
    counted_share : float
        Share of the tokens of all prompts that the others are shares of, in [0, 1]; below 1 where some count less.
    """

    lengths_tok: Ints
    token_share: Floats
    below_share: Floats
    counted_share: float = 1.0

    @classmethod
    def of(cls, prompt_tok: Ints, part: Callable[[Ints], Floats] | None = None) -> PromptLaw:
        """Count a sample of prompt lengths; of the tokens of a prompt only ``part``, by its length, counts."""
        lengths, counts = _counts(prompt_tok)
        tokens = lengths * counts
        if part is None:
            counted = tokens.astype(float)
        else:
            counted = tokens * part(lengths)
            lengths, counted = lengths[counted > 0.0], counted[counted > 0.0]
        if not counted.size:
            return cls(lengths, counted, counted, 0.0)
        share = counted / counted.sum()
        whole_share = float(counted.sum() / tokens.sum())
        return cls(lengths, share, np.concatenate(([0.0], np.cumsum(share)[:-1])), whole_share)

    def split(self, share: float) -> tuple[float, float]:
        """Return the length that splits the prompt tokens at ``share``, and the part of that length below the split.

        Parameters
        ----------
        share : float
            Share of prompt tokens that the shorter side should hold, in [0, 1].

        Returns
        -------
        length_tok : float
            Prompts below it belong to the shorter side, prompts above to the longer; 0 or inf at the ends.
        part : float
            Part in [0, 1] of the tokens *at* this length that belongs to the shorter side.
        """
        if share <= 0.0:
            return 0.0, 0.0
        if share >= 1.0 or not self.lengths_tok.size:
            return float("inf"), 1.0
        at = int(np.searchsorted(self.below_share, share, side="right")) - 1
        part = (share - self.below_share[at]) / self.token_share[at]
        return float(self.lengths_tok[at]), float(min(1.0, part))
