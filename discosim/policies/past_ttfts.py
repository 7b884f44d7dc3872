"""Past TTFTs beside the prompts they belong to: how long the server is silent, counted in prompt tokens."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from discosim.core.same import Same

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

TIE_S = 1e-9
"""TTFTs closer than this are one value: they are differences of times up to 1e6 s, which are exact to 1e-10 s."""

MIN_PAIRS = 100
"""Fewest past requests that a wait is learned from; fewer of the lengths in question are joined by the next ones."""


@dataclass(frozen=True)
class Wait:
    """How long to hold the limited endpoint back: ``lean_s``, or with probability ``rich_share`` less, ``rich_s``.

    Both are past TTFTs (a little more, see `PastTtfts.wait`), 0 for at once, or ``inf`` for as long as the server has
    not refused.
    """

    lean_s: float
    rich_s: float
    rich_share: float

    def after_s(self, coin: float) -> float:
        """Return the wait of a request whose coin, uniform on [0, 1), fell so."""
        return self.rich_s if coin < self.rich_share else self.lean_s


IF_REFUSED = Wait(np.inf, np.inf, 0.0)
AT_ONCE = Wait(0.0, 0.0, 0.0)


@dataclass(frozen=True)
class PastTtfts:
    """What clients of the service have seen: pairs of a prompt's length and its TTFT.

    Parameters
    ----------
    prompt_tok : array of int, shape (m,)
        Prompt lengths.
    ttft_s : array of float, shape (m,)
        TTFT of the same requests, ``inf`` where the service refused.
    """

    prompt_tok: Ints
    ttft_s: Floats

    def __post_init__(self) -> None:
        if self.prompt_tok.shape != self.ttft_s.shape:
            raise ValueError(f"{self.prompt_tok.size} prompt lengths for {self.ttft_s.size} TTFTs of the past")

    @cached_property
    def _order(self) -> Ints:
        """Pairs by rising TTFT; of a past that nobody may write into, sorted once for all runs that have it."""
        return _rising(self.ttft_s) if self.ttft_s.flags.writeable else _rising_once(Same(self.ttft_s))

    def near(self, above_tok: float, up_to_tok: float = np.inf) -> Bools:
        """Return which pairs belong to prompts of more than ``above_tok`` and at most ``up_to_tok`` tokens.

        Where they are fewer than ``MIN_PAIRS``, those nearest in length are added (our choice): so few prompts hold so
        small a share of the tokens that what they are taken to be like hardly moves what is used.
        """
        chosen = (self.prompt_tok > above_tok) & (self.prompt_tok <= up_to_tok)
        if chosen.sum() >= min(MIN_PAIRS, self.prompt_tok.size):
            return chosen
        beside = np.maximum(above_tok + 1.0 - self.prompt_tok, self.prompt_tok - up_to_tok)
        return _first_smallest(np.maximum(beside, 0.0), min(MIN_PAIRS, beside.size))

    def wait(self, share: float, among: Bools, weight: Floats) -> Wait:
        """Return the shortest wait after which at most ``share`` of the tokens still wait for the server.

        Parameters
        ----------
        share : float
            Share of the tokens for which the limited endpoint may start; <= 0 is never, >= 1 at once.
        among : array of bool, shape (m,)
            Pairs that count; at least one.
        weight : array of float, shape (m,)
            Tokens of each pair that count.

        Notes
        -----
        The budget counts tokens, so the wait is a quantile over tokens. Let (L, T) be the length and the TTFT of a
        request, both as random as they like and dependent or not, and let the endpoint start if T > w. It is used for
        the share ``S(w) = E[L 1(T > w)] / E[L]`` of the tokens, which falls in w. Past pairs estimate it: with their
        tokens as weights, w is the smallest value with S(w) <= share. (A quantile over requests would give
        P(T > w), which is S(w) only where T does not depend on L.)

        Where T has atoms, S jumps past the share. Then the next smaller value, v, has S(v) > share, and a coin that
        takes v with probability ``(share - S(w)) / (S(v) - S(w))`` meets the share exactly. The device starts if the
        server is silent *until* w, and a token at the very moment w counts as heard: T > w is strict, as in S. To
        make that so in spite of rounding, values closer than ``TIE_S`` are one value and the wait is ``TIE_S`` longer
        than it.

        A share of 0 is never: the largest past TTFT was not exceeded in the past, but it will be.
        """
        if share >= 1.0:
            return AT_ONCE
        if share <= 0.0 or not weight[among].sum() > 0.0:
            return IF_REFUSED
        ranked = self._order[among[self._order]]
        ttft_s, tokens = self.ttft_s[ranked], weight[ranked]
        finite = np.isfinite(ttft_s)
        is_last = np.append(np.diff(ttft_s[finite]) > TIE_S, True)[: int(finite.sum())]
        values_s = np.concatenate(([0.0], ttft_s[finite][is_last] + TIE_S, [np.inf]))
        heard = np.concatenate(([0.0], np.cumsum(tokens[finite])[is_last]))
        silent = np.append(1.0 - heard / tokens.sum(), 0.0)
        # with refusals the share may lie below S at every finite wait: only refused requests are left to start
        at = min(int(np.argmax(silent <= share + 1e-12)), silent.size - 1)
        if at == silent.size - 1:
            return IF_REFUSED
        rich_share = (share - silent[at]) / (silent[at - 1] - silent[at])
        return Wait(float(values_s[at]), float(values_s[at - 1]), float(np.clip(rich_share, 0.0, 1.0)))


def _first_smallest(values: Floats, n: int) -> Bools:
    """Return which are the ``n`` smallest values; of equal ones the first. To sort them all takes ten times."""
    limit = np.partition(values, n - 1)[n - 1]
    chosen: Bools = values < limit
    chosen[np.flatnonzero(values == limit)[: n - int(chosen.sum())]] = True
    return chosen


def _rising(ttft_s: Floats) -> Ints:
    """Return pairs by rising TTFT, equal ones as they come; where there are none, to sort takes a quarter."""
    order: Ints = np.argsort(ttft_s)
    ranked = ttft_s[order]
    if not (ranked[1:] > ranked[:-1]).all():
        order = np.argsort(ttft_s, kind="stable")
    return order


@lru_cache(maxsize=16)  # as many as pasts are kept, see `build_past`
def _rising_once(ttft_s: Same) -> Ints:
    return _rising(ttft_s.held)
