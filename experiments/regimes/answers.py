"""What the map says of a cell: what every policy reaches at equal spend, who is best, and who ties."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .runs import Floats, Played
from .settings import ALONE, CHOICES
from .spend import TIE, Mixture, cheapest_within, p99, p99_resampled, resamples, within

CAPS = {"tight": 0.2, "wide": 1.0}
"""Spend allowed: that of the cheaper endpoint alone plus this share of what the dearer one costs more."""
OUTSIDE = (0.025, 0.975)
QUESTIONS = ("p99_ttft, tight", "p99_ttft, wide", "qoe, tight", "qoe, wide", "cost")


@dataclass(frozen=True)
class Reached:
    """What a policy reaches: the number that is judged, its resamples, and the mixture behind it."""

    value: float
    resampled: Floats
    mixture: Mixture


def answers(played: Played, seed: int) -> list[dict[str, Any]]:
    """Return a row per question and policy.

    ``worse`` is how much worse than the best, in per cent (of QoE in hundredths), with the paired 95 % interval over
    resamples of the requests that all policies share. Who is no more than `TIE` worse, or whose interval reaches 0,
    ties.
    """
    counts = resamples(played.replication.size, seed)
    rows = []
    for question in QUESTIONS:
        reached = _reached(played, question, counts)
        sign = -1.0 if question.startswith("qoe") else 1.0
        best = min(reached, key=lambda name: sign * reached[name].value)
        for policy in CHOICES:
            row = {"question": question, "policy": policy, "seed": 0}
            found = reached.get(policy)
            if found is None:
                continue
            worse, low, high = _worse(found, reached[best], is_difference=question.startswith("qoe"))
            rows.append(
                {
                    **row,
                    "value": found.value,
                    "spend_usd": float(found.mixture.mean(found.mixture.spend_usd).mean()),
                    "worse": worse,
                    "low": low,
                    "high": high,
                    "is_tied": bool(policy == best or worse <= 100.0 * TIE or low <= 0.0),
                    "is_best": policy == best,
                    "setting": found.mixture.setting,
                }
            )
    return rows


def _reached(played: Played, question: str, counts: Floats) -> Mapping[str, Reached]:
    kind, _, cap = question.partition(", ")
    found: dict[str, Reached] = {}
    for policy in CHOICES:
        mixture = cheapest_within(played, policy) if kind == "cost" else within(played, policy, CAPS[cap], kind)
        if mixture is None:
            continue
        if kind == "p99_ttft":
            found[policy] = Reached(p99(mixture.ttft_s, mixture.weight), p99_resampled(mixture, counts), mixture)
        else:
            each = mixture.mean(mixture.qoe if kind == "qoe" else mixture.spend_usd)
            found[policy] = Reached(float(each.mean()), counts @ each / each.size, mixture)
    return found


def _worse(own: Reached, best: Reached, *, is_difference: bool) -> tuple[float, float, float]:
    if is_difference:
        worse, every = 100.0 * (best.value - own.value), 100.0 * (best.resampled - own.resampled)
    else:
        worse, every = 100.0 * (own.value / best.value - 1.0), 100.0 * (own.resampled / best.resampled - 1.0)
    low, high = np.quantile(every, OUTSIDE).tolist()
    return worse, low, high


def effects(played: Played, seed: int) -> dict[str, dict[str, float]]:
    """Return what a cell shows of each boundary: the measured effect with its 95 % interval over resamples."""
    counts = resamples(played.replication.size, seed)

    def tail(name: str) -> Floats:
        return np.append(p99_resampled(_whole(played, name), counts), p99_once(played, name))

    def mean(name: str, column: str) -> Floats:
        each = getattr(played.by[name], column)
        return np.append(counts @ each / each.size, each.mean())

    alone = min(ALONE, key=lambda name: p99_once(played, name))
    found = {
        "disco S, no harm": 100.0 * (tail("disco S, half") / tail("server_only") - 1.0),
        "disco D, gain": 100.0 * (tail("disco D, half") / tail("server_only") - 1.0),
        "disco S or D": 100.0 * (tail("disco S, half") / tail("disco D, half") - 1.0),
        "two beat one": 100.0 * (tail("race") / tail(alone) - 1.0),
        "P/D-Device's bill": 100.0 * (mean("pd_device", "spend_usd") / mean("server_only", "spend_usd") - 1.0),
        "hand-over's QoE": 100.0 * (mean("both at once, hand-over", "qoe") - mean("race", "qoe")),
    }
    return {
        name: dict(
            zip(("low", "high", "effect"), (*np.quantile(every[:-1], OUTSIDE).tolist(), float(every[-1])), strict=True)
        )
        for name, every in found.items()
    }


def p99_once(played: Played, name: str) -> float:
    """Return the p99 TTFT of one run."""
    ttft_s = played.by[name].ttft_s
    return p99(ttft_s, np.ones(ttft_s.size))


def _whole(played: Played, name: str) -> Mixture:
    own = played.by[name]
    ones = np.stack([np.ones(own.ttft_s.size), np.zeros(own.ttft_s.size)])
    return Mixture(name, *(np.stack([values] * 2) for values in (own.ttft_s, own.qoe, own.spend_usd)), ones)
