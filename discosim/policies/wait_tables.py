"""What every wait costs and uses, by prompt length: the tables that `optimal_wait` chooses from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from discosim.policies.past_ttfts import TIE_S, PastTtfts

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

UNANSWERED_S = 1e9
"""What a request without an answer counts as: more than any wait, and finite, so that sums stay numbers."""

LAW_PAIRS = 500
"""Past requests per law of the TTFT: enough for its p99, few enough for the 2,000 of a pilot to give several laws."""

MOST_LAWS = 32
CHANCE = 1e-3
"""Chance at which a TTFT that does not depend on length is taken to depend on it."""


@dataclass(frozen=True)
class CostTable:
    """Expected TTFT and expected budget use for every (length group, wait), on one kind of device.

    Waits are ordered by strictness: finite ones, then ``inf`` (the limited endpoint only answers for one that refuses),
    then, where somebody can refuse, NaN (not even then).

    Parameters
    ----------
    lengths_tok : array of int, shape (g,)
        Upper length of each group, rising.
    waits_s : array of float, shape (w,)
        Candidate waits.
    ttft_s, used : array of float, shape (g, w)
        Contribution of the group to the mean TTFT, and to the share of prompt tokens used, by the TTFT's law in it.
    counted : array of float, shape (g, w)
        Share of all prompt tokens that the past requests of the group would have used, counted one by one.
    """

    lengths_tok: Ints
    waits_s: Floats
    ttft_s: Floats
    used: Floats
    counted: Floats

    def at(self, price: float) -> Ints:
        """Return the best wait's index for each group at this price of the budget; of equal costs the strictest."""
        return _strictest(self.ttft_s + price * self.used)

    def never(self) -> Ints:
        """Return the strictest wait's index for each group."""
        return np.full(self.lengths_tok.size, self.waits_s.size - 1, dtype=np.int64)

    def wait_s(self, prompt_tok: int, price: float) -> float:
        """Return the best wait for a prompt at this price, in s."""
        at = min(int(np.searchsorted(self.lengths_tok, prompt_tok)), self.lengths_tok.size - 1)
        return float(self.waits_s[_strictest((self.ttft_s[at] + price * self.used[at])[None, :])[0]])

    def use(self, choice: Ints) -> float:
        """Return the share of prompt tokens that the limited endpoint would have got in the past under these waits."""
        return float(self.counted[np.arange(choice.size), choice].sum())


def _strictest(cost: Floats) -> Ints:
    best = cost.min(axis=1, keepdims=True)
    is_best = cost <= best + 1e-12 * np.abs(best)
    last: Ints = cost.shape[1] - 1 - np.argmax(is_best[:, ::-1], axis=1)
    return last


@dataclass(frozen=True)
class LengthGroups:
    """Past prompts by length, all of one length in one group.

    Parameters
    ----------
    upper_tok : array of int, shape (g,)
        Longest prompt of each group.
    mean_tok, weight, token_share : array of float, shape (g,)
        Mean length, share of the requests and share of the tokens.
    """

    upper_tok: Ints
    mean_tok: Floats
    weight: Floats
    token_share: Floats

    @classmethod
    def of(cls, prompt_tok: Ints, n_groups: int) -> LengthGroups:
        """Cut a sample at its quantiles."""
        ranked = np.sort(prompt_tok)
        at_quantile = ranked[np.linspace(0, ranked.size, n_groups, endpoint=False).astype(int)]
        edges = np.unique(np.searchsorted(ranked, at_quantile))
        groups = np.split(ranked, edges[1:])
        tokens = np.array([group.sum() for group in groups], dtype=float)
        return cls(
            np.array([group[-1] for group in groups]),
            np.array([group.mean() for group in groups]),
            np.array([group.size for group in groups], dtype=float) / ranked.size,
            tokens / tokens.sum(),
        )

    def of_each(self, prompt_tok: Ints) -> Ints:
        """Return the group of each prompt; longer ones than any belong to the last."""
        return np.minimum(np.searchsorted(self.upper_tok, prompt_tok), self.upper_tok.size - 1)


def law_edges(past: PastTtfts) -> Floats:
    """Return the upper lengths of the groups that have a law of the TTFT of their own; the last is ``inf``.

    Parameters
    ----------
    past : PastTtfts
        Pairs of length and TTFT.

    Notes
    -----
    Groups hold equal shares of the prompt tokens, and there is one for every ``LAW_PAIRS`` past requests, at most
    ``MOST_LAWS``. Where the Kruskal-Wallis test finds no difference between them (at the level ``CHANCE``) all lengths
    share one law: a law from fewer requests is a worse guess. The test asks only that lengths be exchangeable, so
    a TTFT that remembers the one before does not fool it.

    Source: our choice.
    """
    n_laws = min(MOST_LAWS, past.prompt_tok.size // LAW_PAIRS)
    ranked = np.sort(past.prompt_tok)
    tokens = np.cumsum(ranked) / ranked.sum()
    cuts = ranked[np.searchsorted(tokens, np.arange(1, n_laws) / n_laws)] if n_laws > 1 else ranked[:0]
    edges = np.append(np.unique(cuts[cuts < ranked[-1]]).astype(float), np.inf)
    if edges.size > 1 and _differ(past.ttft_s, np.searchsorted(edges, past.prompt_tok), edges.size):
        return edges
    return np.array([np.inf])


def _differ(values: Floats, group: Ints, n_groups: int) -> bool:
    """Apply the Kruskal-Wallis test, ties corrected."""
    from scipy.special import chdtrc

    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks = (last - (counts - 1) / 2.0)[which]
    n = values.size
    spread = ((ranks - (n + 1) / 2.0) ** 2).sum() / (n - 1)
    if spread == 0.0:
        return False
    sizes = np.bincount(group, minlength=n_groups)
    means = np.bincount(group, ranks, n_groups) / np.maximum(sizes, 1)
    statistic = (sizes * (means - (n + 1) / 2.0) ** 2).sum() / spread
    return bool(chdtrc(n_groups - 1, statistic) < CHANCE)


def laws_of(past: PastTtfts, edges: Floats) -> list[Floats]:
    """Return the TTFTs of each group of lengths, rising."""
    group = np.searchsorted(edges, past.prompt_tok)
    return [np.sort(past.ttft_s[group == k]) for k in range(edges.size)]


def candidate_waits(laws: Sequence[Floats], n_waits: int) -> Floats:
    """Return 0 and quantiles of every law, about ``n_waits`` in all, and ``inf``."""
    found = [np.zeros(1)]
    levels = np.linspace(0.0, 1.0, max(16, n_waits // len(laws)))
    for ranked_s in laws:
        finite = ranked_s[np.isfinite(ranked_s)]
        if finite.size:
            found.append(np.quantile(finite, levels, method="inverted_cdf") + TIE_S)
    return np.append(np.unique(np.concatenate(found)), np.inf)


def joining_device(ranked_s: Floats, device_s: Floats, waits_s: Floats) -> tuple[Floats, Floats]:
    """Tabulate ``E[min(T, w + d)]`` and ``P(T > w)`` for device TTFTs d and waits w.

    Parameters
    ----------
    ranked_s : array of float, shape (m,)
        Past server TTFTs, rising, ``inf`` where refused (a refusal is learned at once here: the device then starts).
    device_s : array of float, shape (g,)
        Device TTFT of each length group, in s; ``inf`` where the prompt does not fit.
    waits_s : array of float, shape (w,)
        Candidate waits, the last ``inf``.

    Returns
    -------
    ttft_s, start : array, shape (g, w + 1)
        The last column is never, not even for a refused request.
    """
    finite = ranked_s[np.isfinite(ranked_s)]
    n, n_refused = ranked_s.size, ranked_s.size - finite.size
    device_s = np.minimum(device_s, UNANSWERED_S)
    mass = np.concatenate(([0.0], np.cumsum(finite)))
    waits_s = waits_s[:-1]
    below_wait = np.searchsorted(finite, waits_s, side="right")
    end = waits_s[None, :] + device_s[:, None]
    below_end = np.maximum(np.searchsorted(finite, end, side="right"), below_wait[None, :])
    refused_s = n_refused * device_s
    ttft = (mass[below_end] + (finite.size - below_end) * end + refused_s[:, None]) / n
    if_refused, never = (mass[-1] + refused_s) / n, np.full(device_s.size, mass[-1] + n_refused * UNANSWERED_S) / n
    start = np.concatenate((1.0 - below_wait / n, [n_refused / n, 0.0]))
    return np.column_stack([ttft, if_refused, never]), np.broadcast_to(start, (device_s.size, start.size))


def joining_server(ranked_s: Floats, device_s: Floats) -> tuple[Floats, Floats]:
    """Tabulate ``E[min(d, T)]`` against ``d``: the server joins at once, or for a prompt that does not fit, or never.

    Waiting longer only delays a certain need, as the device's TTFT is known when the request arrives.
    Arguments and returns are those of :func:`joining_device`, for waits of 0 and ``inf``.
    """
    finite = ranked_s[np.isfinite(ranked_s)]
    mass = np.concatenate(([0.0], np.cumsum(finite)))
    fits = np.isfinite(device_s)
    device_s = np.minimum(device_s, UNANSWERED_S)
    below = np.searchsorted(finite, device_s, side="right")
    both = (mass[below] + (ranked_s.size - below) * device_s) / ranked_s.size
    start = np.column_stack([np.ones(fits.size), ~fits, np.zeros(fits.size)])
    return np.column_stack([both, np.where(fits, device_s, both), device_s]), start


def solve_price(tables: Sequence[CostTable], budget: float) -> tuple[float, float]:
    """Return prices just below and at the point where the use falls to the budget.

    Bisection on the dual variable: the use at a price never rises with the price.
    """

    def used(price: float) -> float:
        return sum(table.use(table.at(price)) for table in tables)

    low, high = 0.0, 1.0
    if used(low) <= budget:
        return low, low
    while used(high) > budget and high < 1e15:
        high *= 4.0
    for _ in range(80):
        middle = (low + high) / 2
        if not low < middle < high:
            break
        if used(middle) > budget:
            low = middle
        else:
            high = middle
    return low, high
