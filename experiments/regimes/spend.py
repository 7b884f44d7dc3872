"""Equal spend: every policy mixed by lot with the cheaper endpoint alone until it costs what is allowed.

A lot is a policy that anybody can have: with probability q the policy serves the request, else the cheaper endpoint
does. Phones are idle and the service has room in these cells, so a request does not feel who served the others, and
what a lot gives is the mixture of what its two parts gave the same requests: nothing has to be simulated again. (Only
`hedge` remembers others: its running quantile and its bucket are those of a hedge that serves every request.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .runs import Floats, Played
from .settings import ALONE, CHOICES

LEVEL = 0.99
TIE = 0.02
"""Differences of at most this share count for nothing (of QoE: this much of its range). Source: our choice."""
ROUNDING = 1e-9
N_RESAMPLES = 400
TOP = 0.06
"""Share of the sample above which no resample's p99 lies: of 1,200 requests 72 are looked at, and a resample that holds
fewer than 12 of them is one in 10^20."""
LOTS = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Mixture:
    """What a policy gives at its spend: of each request two outcomes, with weights that add up to 1.

    Parameters
    ----------
    setting : str
        Which of its runs it chose most often, and with which share of the requests.
    ttft_s, qoe, spend_usd, weight : array of float, shape (2, n)
        Outcomes under the policy and under the cheaper endpoint alone, and how often each happens.
    """

    setting: str
    ttft_s: Floats
    qoe: Floats
    spend_usd: Floats
    weight: Floats

    def mean(self, values: Floats) -> Floats:
        """Return the expectation of an outcome for each request, shape (n,)."""
        expected: Floats = (self.weight * values).sum(axis=0)
        return expected


def cheaper_of(played: Played) -> str:
    """Return the endpoint that costs less alone."""
    return min(ALONE, key=lambda name: played.by[name].spend_usd.mean())


def p99(values: Floats, weights: Floats) -> float:
    """Return the 99th percentile of a weighted sample: the least value that no more than 1 % of the weight exceeds."""
    order = np.argsort(values, axis=None)[::-1]
    above = np.cumsum(weights.ravel()[order])
    return float(values.ravel()[order][np.argmax(above > (1.0 - LEVEL) * above[-1] + ROUNDING)])


def p99_resampled(mixture: Mixture, counts: Floats) -> Floats:
    """Return the p99 of each resample of the requests, shape (r,); ``counts`` of shape (r, n)."""
    n = counts.shape[1]
    order = np.argsort(mixture.ttft_s, axis=None)[::-1]
    order = order[mixture.weight.ravel()[order] > 0.0]
    order = order[: int(np.searchsorted(np.cumsum(mixture.weight.ravel()[order]), TOP * n)) + 1]
    above = np.cumsum(counts[:, order % n] * mixture.weight.ravel()[order], axis=1)
    found: Floats = mixture.ttft_s.ravel()[order][np.argmax(above > (1.0 - LEVEL) * n + ROUNDING, axis=1)]
    return found


def share_within(own_usd: float, cheap_usd: float, cap_usd: float) -> float | None:
    """Return the share of requests that a policy may serve so that the mixture costs no more than ``cap_usd``.

    None where even the cheaper endpoint alone costs more.
    """
    if cap_usd < cheap_usd * (1.0 - ROUNDING):
        return None
    return 1.0 if own_usd <= cap_usd else max(0.0, (cap_usd - cheap_usd) / (own_usd - cheap_usd))


def mixture_of(played: Played, picks: Sequence[tuple[str, float]]) -> Mixture:
    """Return what a setting and a share for each replication give."""
    cheap = played.by[cheaper_of(played)]
    n = cheap.ttft_s.size
    columns = {name: np.stack([getattr(cheap, name)] * 2) for name in ("ttft_s", "qoe", "spend_usd")}
    share = np.zeros(n)
    for replication, (run, part) in enumerate(picks):
        mine = played.replication == replication
        for name, values in columns.items():
            values[0, mine] = getattr(played.by[run], name)[mine]
        share[mine] = part
    run, _ = picks[0]
    label = f"{float(np.mean(share)):.0%} {run}"
    return Mixture(label, *columns.values(), np.stack([share, 1.0 - share]))


def within(played: Played, policy: str, cap: float, question: str) -> Mixture | None:
    """Return a policy at its best setting for a question; None where none is cheap enough.

    It may spend what the cheaper endpoint alone does, and the share ``cap`` of what the dearer one spends beyond that.
    Setting and share are chosen for each replication from the others, so that none is judged by what it was tuned on.
    """
    picks = []
    for replication in np.unique(played.replication):
        others = played.replication != replication
        options = []
        for run, share in _shares(played, policy, cap, others):
            weights = np.full(int(others.sum()), 1.0)
            own, cheap = played.by[run], played.by[cheaper_of(played)]
            both = np.stack([share * weights, (1.0 - share) * weights])
            if question == "p99_ttft":
                score = p99(np.stack([own.ttft_s[others], cheap.ttft_s[others]]), both)
            else:
                score = -float(np.mean(share * own.qoe[others] + (1.0 - share) * cheap.qoe[others]))
            options.append((score, run, share))
        if not options:
            return None
        _, run, share = min(options)
        picks.append((run, share))
    return mixture_of(played, picks)


def _shares(played: Played, policy: str, cap: float, among: NDArray[np.bool_]) -> list[tuple[str, float]]:
    cheap_usd, dear_usd = sorted(float(played.by[name].spend_usd[among].mean()) for name in ALONE)
    cap_usd = cheap_usd + cap * (dear_usd - cheap_usd)
    if policy in ALONE:
        return [(policy, 1.0)] if played.by[policy].spend_usd[among].mean() <= cap_usd * (1.0 + ROUNDING) else []
    found = []
    for run in CHOICES[policy]:
        share = share_within(played.by[run].spend_usd[among].mean(), cheap_usd, cap_usd)
        if share is not None:
            found.append((run, share))
    return found


def cheapest_within(played: Played, policy: str) -> Mixture | None:
    """Return a policy at the setting and share that cost least while p99 TTFT is the better endpoint's; None if none.

    Chosen for each replication from the others, as in `within`.
    """
    cheap = played.by[cheaper_of(played)]
    picks = []
    for replication in np.unique(played.replication):
        others = played.replication != replication
        limit_s = min(p99(played.by[name].ttft_s[others], np.ones(int(others.sum()))) for name in ALONE)
        options = []
        runs = [policy] if policy in ALONE else list(CHOICES[policy])
        for run in runs:
            own = played.by[run]
            values = np.stack([own.ttft_s[others], cheap.ttft_s[others]])
            for share in (1.0,) if policy in ALONE else LOTS:
                weights = np.stack([np.full(values.shape[1], share), np.full(values.shape[1], 1.0 - share)])
                if p99(values, weights) <= limit_s * (1.0 + TIE):
                    usd = share * own.spend_usd[others].mean() + (1.0 - share) * cheap.spend_usd[others].mean()
                    options.append((float(usd), run, share))
        if not options:
            return None
        _, run, share = min(options)
        picks.append((run, share))
    return mixture_of(played, picks)


def resamples(n: int, seed: int) -> Floats:
    """Return how often each of n requests is in each resample, shape (r, n)."""
    rng = np.random.default_rng([seed, n])
    counts: Floats = rng.multinomial(n, np.full(n, 1.0 / n), size=N_RESAMPLES).astype(float)
    return counts
